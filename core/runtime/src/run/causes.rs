//! Failed rows by cause.

use anyflow_datasets::Failure;
use anyflow_plan::survey::FailureCause;
use indexmap::IndexMap;

/// Keys to keep for each cause.
const EXAMPLES: usize = 3;
/// The most causes to tell apart: texts may quote anything.
const MOST_CAUSES: usize = 200;
/// Causes to tell the user at the end of a run, and characters of each.
const MOST_NOTED: usize = 3;
const NOTED_CHARACTERS: usize = 200;
/// The text of causes beyond [`MOST_CAUSES`].
const OTHER: &str = "other causes";

/// Counts failed rows by cause.
#[derive(Default)]
pub struct FailureCauses {
    /// By node, code, and the pattern of the text.
    found: IndexMap<[String; 3], FailureCause>,
}

impl FailureCauses {
    /// Counts a failed row.
    pub fn add(&mut self, failure: &Failure) {
        let Failure { node, code, text, row_key, .. } = failure;
        let mut kind = [node.clone(), code.clone(), pattern_of(text)];
        let mut text = text.as_str();
        if self.found.len() >= MOST_CAUSES && !self.found.contains_key(&kind) {
            kind = [String::new(), String::new(), OTHER.into()];
            text = OTHER;
        }
        let cause = self.found.entry(kind).or_insert_with_key(|[node, code, _]| FailureCause {
            node: node.clone(),
            code: code.clone(),
            text: text.into(),
            rows: 0,
            keys: Vec::new(),
        });
        cause.rows += 1;
        if cause.keys.len() < EXAMPLES {
            cause.keys.push(row_key.clone());
        }
    }

    /// A line for each of the most frequent causes.
    pub fn notes(self) -> Vec<String> {
        let causes = self.sorted();
        let more = causes.len().saturating_sub(MOST_NOTED);
        let note = |FailureCause { text, rows, keys, .. }: &FailureCause| {
            let text: String = text.chars().take(NOTED_CHARACTERS).collect();
            let rows = if *rows == 1 { "1 row".into() } else { format!("{rows} rows") };
            format!("{rows} failed: {text} (keys {})", keys.join(", "))
        };
        let rest = (more > 0).then(|| format!("failures have {more} more causes"));
        causes.iter().take(MOST_NOTED).map(note).chain(rest).collect()
    }

    /// The causes, the most frequent first.
    pub fn sorted(self) -> Vec<FailureCause> {
        let mut causes: Vec<FailureCause> = self.found.into_values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        causes
    }
}

/// The text without what differs from row to row: digits, and what is quoted.
fn pattern_of(text: &str) -> String {
    let mut pattern = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            pattern.push('`');
            continue;
        }
        for c in part.chars() {
            if !c.is_ascii_digit() {
                pattern.push(c);
            } else if !pattern.ends_with('0') {
                pattern.push('0');
            }
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(row: u64, text: &str) -> Failure {
        Failure { row_key: format!("k{row}"), row, node: "seen".into(), code: "cell".into(), text: text.into() }
    }

    #[test]
    fn texts_that_differ_in_numbers_and_quoted_words_are_one_cause() {
        let mut causes = FailureCauses::default();
        let texts = ["28 of 48 lines", "null", "3 of 100 lines", "`a` is unknown", "`bc` is unknown", "1 of 9 lines"];
        texts.iter().enumerate().for_each(|(row, text)| causes.add(&failure(row as u64, text)));
        let sorted = causes.sorted();
        let shown: Vec<(&str, u64)> = sorted.iter().map(|cause| (cause.text.as_str(), cause.rows)).collect();
        assert_eq!(shown, [("28 of 48 lines", 3), ("`a` is unknown", 2), ("null", 1)]);
        assert_eq!(sorted[0].keys, ["k0", "k2", "k5"]);
        let mut causes = FailureCauses::default();
        let texts = ["a", "b", "a", "c", "d", "`x`", "`y`"];
        texts.iter().enumerate().for_each(|(row, text)| causes.add(&failure(row as u64, text)));
        let noted = ["2 rows failed: a (keys k0, k2)", "2 rows failed: `x` (keys k5, k6)", "1 row failed: b (keys k1)"];
        assert_eq!(causes.notes(), [&noted[..], &["failures have 2 more causes"]].concat());
    }

    #[test]
    fn texts_of_any_kind_take_bounded_memory() {
        let mut causes = FailureCauses::default();
        for row in 0..5000 {
            let text: String = format!("{row}").chars().map(|digit| char::from(b'a' + digit as u8 - b'0')).collect();
            causes.add(&failure(row, &text));
        }
        let sorted = causes.sorted();
        assert_eq!((sorted.len(), sorted[0].text.as_str()), (MOST_CAUSES + 1, OTHER));
        assert_eq!(sorted.iter().map(|cause| cause.rows).sum::<u64>(), 5000);
    }
}
