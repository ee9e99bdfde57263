//! The figures of an evaluation. A verdict is the judge's class of a row. It is `None` if the row's cell could not be read
//! back, and then counts as wrong.

use anyflow_datasets::OwnedCell;

/// Share of rows with the true class.
pub fn accuracy(verdict: &[Option<i64>], truth: &[i64]) -> f64 {
    share(verdict.iter().zip(truth).map(|(verdict, truth)| *verdict == Some(*truth)))
}

/// Joint coherence: the share of rows for which all streams have the same class.
pub fn agreement(verdicts: &[Vec<Option<i64>>]) -> f64 {
    let Some((first, others)) = verdicts.split_first() else { return f64::NAN };
    share((0..first.len()).map(|row| first[row].is_some() && others.iter().all(|other| other[row] == first[row])))
}

/// Share of rows for which all streams have the true class.
pub fn all_right(verdicts: &[Vec<Option<i64>>], truth: &[i64]) -> f64 {
    share(truth.iter().enumerate().map(|(row, truth)| verdicts.iter().all(|verdict| verdict[row] == Some(*truth))))
}

/// Share of rows with exactly the wanted text; `None` if the cells are not texts.
pub fn exact(cells: &[Option<OwnedCell>], wanted: &[Option<OwnedCell>]) -> Option<f64> {
    let text = |cell: &Option<OwnedCell>| matches!(cell, Some(OwnedCell::Utf8(_)));
    let texts = wanted.iter().any(text);
    texts.then(|| share(cells.iter().zip(wanted).map(|(cell, wanted)| text(cell) && cell == wanted)))
}

/// Entropy of the predicted classes, divided by the entropy of equally frequent classes.
pub fn class_entropy(verdict: &[Option<i64>], classes: i64) -> f64 {
    let known: Vec<i64> = verdict.iter().flatten().copied().collect();
    let entropy: f64 = (0..classes)
        .map(|class| known.iter().filter(|k| **k == class).count() as f64 / known.len().max(1) as f64)
        .filter(|p| *p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    // The sum over a single class is -0.
    (entropy + 0.0) / (classes.max(2) as f64).ln()
}

fn share(hits: impl Iterator<Item = bool>) -> f64 {
    let mut count = 0usize;
    let mut all = 0usize;
    for hit in hits {
        count += usize::from(hit);
        all += 1;
    }
    count as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_verdict_is_wrong_and_agrees_with_nothing() {
        let a = vec![Some(1), None, Some(3), Some(4)];
        let b = vec![Some(1), None, Some(3), Some(5)];
        assert_eq!(accuracy(&a, &[1, 2, 3, 4]), 0.75);
        assert_eq!(agreement(&[a.clone(), b.clone()]), 0.5);
        assert_eq!(all_right(&[a, b], &[1, 2, 3, 4]), 0.5);
    }

    #[test]
    fn only_texts_have_an_exact_share() {
        let texts =
            |texts: &[&str]| texts.iter().map(|text| Some(OwnedCell::Utf8(text.to_string()))).collect::<Vec<_>>();
        let wanted = texts(&["one", "two", "six", "ten"]);
        let mut found = texts(&["one", "tow", "six", ""]);
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
