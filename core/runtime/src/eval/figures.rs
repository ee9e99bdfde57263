//! The figures of an evaluation. A verdict is a class, or nothing where a cell could not be read back: that is wrong.

use anyflow_datasets::OwnedCell;

/// Share of rows whose class is the true one.
pub fn accuracy(verdict: &[Option<i64>], truth: &[i64]) -> f64 {
    share(verdict.iter().zip(truth).map(|(verdict, truth)| *verdict == Some(*truth)))
}

/// Share of rows on which all verdicts name one class: joint coherence.
pub fn agreement(verdicts: &[Vec<Option<i64>>]) -> f64 {
    let Some((first, others)) = verdicts.split_first() else { return f64::NAN };
    share((0..first.len()).map(|row| first[row].is_some() && others.iter().all(|other| other[row] == first[row])))
}

/// Share of rows on which every verdict is the true class.
pub fn all_right(verdicts: &[Vec<Option<i64>>], truth: &[i64]) -> f64 {
    share(truth.iter().enumerate().map(|(row, truth)| verdicts.iter().all(|verdict| verdict[row] == Some(*truth))))
}

/// Share of rows whose text is the wanted one; nothing where the cells are no texts.
pub fn exact(cells: &[Option<OwnedCell>], wanted: &[Option<OwnedCell>]) -> Option<f64> {
    let text = |cell: &Option<OwnedCell>| matches!(cell, Some(OwnedCell::Utf8(_)));
    let texts = wanted.iter().any(text);
    texts.then(|| share(cells.iter().zip(wanted).map(|(cell, wanted)| text(cell) && cell == wanted)))
}

/// Entropy of the classes named, divided by that of equally frequent ones.
pub fn class_entropy(verdict: &[Option<i64>], classes: i64) -> f64 {
    let known: Vec<i64> = verdict.iter().flatten().copied().collect();
    let entropy: f64 = (0..classes)
        .map(|class| known.iter().filter(|k| **k == class).count() as f64 / known.len().max(1) as f64)
        .filter(|p| *p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    // A sum of nothing but -0 is 0.
    (entropy + 0.0) / (classes.max(2) as f64).ln()
}

fn share(hits: impl Iterator<Item = bool>) -> f64 {
    let (mut hit, mut all) = (0usize, 0usize);
    for h in hits {
        hit += usize::from(h);
        all += 1;
    }
    hit as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_verdict_is_wrong_and_agrees_with_nothing() {
        let (a, b) = (vec![Some(1), None, Some(3), Some(4)], vec![Some(1), None, Some(3), Some(5)]);
        assert_eq!(accuracy(&a, &[1, 2, 3, 4]), 0.75);
        assert_eq!(agreement(&[a.clone(), b.clone()]), 0.5);
        assert_eq!(all_right(&[a, b], &[1, 2, 3, 4]), 0.5);
    }

    #[test]
    fn only_texts_are_compared_to_the_letter() {
        let texts =
            |texts: &[&str]| texts.iter().map(|text| Some(OwnedCell::Utf8(text.to_string()))).collect::<Vec<_>>();
        let (wanted, mut found) = (texts(&["one", "two", "six", "ten"]), texts(&["one", "tow", "six", ""]));
        found[2] = None;
        assert_eq!(exact(&found, &wanted), Some(0.25));
        assert_eq!(exact(&[Some(OwnedCell::I64(1))], &[Some(OwnedCell::I64(1))]), None);
    }

    #[test]
    fn entropy_is_one_for_equal_classes_and_zero_for_a_single_one() {
        assert!((class_entropy(&[Some(0), Some(1), Some(2), Some(3)], 4) - 1.0).abs() < 1e-12);
        assert_eq!(class_entropy(&[Some(2), Some(2)], 4), 0.0);
    }
}
