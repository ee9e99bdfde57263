//! What a codec does with cells and arrays that no correct file or network gives it.

use super::super::codec::Input;
use super::super::hostile;
use super::super::outcome::Verdict;
use super::Subject;

impl Subject<'_> {
    /// Null, and every cell kind but its own, fails that row only.
    pub(super) fn wrong_cells(&self, samples: &[Input]) -> Verdict {
        let codec = self.make()?;
        let mut wrong = hostile::other_kinds(&self.descriptor.cell);
        wrong.extend([Input::Null, Input::Unknown]);
        for input in &wrong {
            // Between good rows, which must give the same arrays as they do alone.
            let good = samples.first().into_iter();
            let cells: Vec<Input> = good.clone().chain([input]).chain(good).cloned().collect();
            let at = cells.len() / 2;
            let mut array = self.zeros(cells.len())?;
            let heard = codec.encode(&cells, &mut array).map_err(|why| format!("for {input:?}: {why}"))?;
            if !heard.rows.contains_key(&at) {
                return Err(format!("{input:?} was accepted, though its cells are {}", self.descriptor.cell).into());
            }
            if heard.rows.len() > 1 {
                return Err(format!("{input:?} failed other rows as well: {:?}", heard.rows).into());
            }
            if array.row(at).iter().any(|x| *x != 0.0) {
                return Err(format!("{input:?} was refused, but its row is not all zeros").into());
            }
        }
        Ok(format!("{} kinds refused, row by row", wrong.len()))
    }

    /// Broken values of its own kind are accepted or refused; a refused one leaves zeros.
    pub(super) fn garbage(&self, samples: &[Input]) -> Verdict {
        let codec = self.make()?;
        let inputs = hostile::values(&self.descriptor.cell, samples);
        let mut array = self.zeros(inputs.len())?;
        let heard = codec.encode(&inputs, &mut array)?;
        for (row, input) in inputs.iter().enumerate() {
            let values = array.row(row);
            if heard.rows.contains_key(&row) && values.iter().any(|x| *x != 0.0) {
                return Err(format!("a refused value left a row that is not all zeros: {}", brief(input)).into());
            }
            if values.iter().any(|x| !x.is_finite()) {
                return Err(format!("its array holds NaN or infinite values: {}", brief(input)).into());
            }
        }
        if let Some(sample) = samples.first() {
            self.encoded(&codec, std::slice::from_ref(sample))?;
        }
        Ok(format!("{} of {} values refused", heard.rows.len(), inputs.len()))
    }

    /// Arrays out of range or of NaN are accepted or refused.
    pub(super) fn wrong_arrays(&self) -> Verdict {
        let codec = self.make()?;
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, f64::MIN_POSITIVE];
        let mut array = self.zeros(values.len() + 1)?;
        for (row, value) in values.iter().enumerate() {
            let values = vec![*value; array.row_size()];
            array.set_row(row, &values);
        }
        // One NaN among good elements.
        let mut last = vec![0.0; array.row_size()];
        last.iter_mut().rev().take(1).for_each(|x| *x = f64::NAN);
        array.set_row(values.len(), &last);
        let cells = codec.decode(&mut array)?;
        Ok(format!("{} of {} arrays refused", cells.iter().filter(|cell| cell.is_err()).count(), cells.len()))
    }
}

/// A value in a few words.
fn brief(input: &Input) -> String {
    let text = format!("{input:?}");
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}.. ({} characters)", &text[..at], text.len()),
        None => text,
    }
}
