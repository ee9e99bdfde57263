//! Source files that are not in the dataset.

use indexmap::IndexMap;
use serde::Serialize;

/// Files that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The reason: "not named by the metadata".
    pub reason: String,
    /// Number of files.
    pub files: u64,
    /// The name of one such file.
    pub example: String,
}

/// Counts files by reason, in the order of appearance.
#[derive(Debug, Default)]
pub(super) struct Tally(IndexMap<&'static str, (u64, String)>);

impl Tally {
    pub(super) fn note(&mut self, reason: &'static str, file: &str) {
        let (files, _) = self.0.entry(reason).or_insert_with(|| (0, file.to_string()));
        *files += 1;
    }

    /// Adds the counts of another tally.
    pub(super) fn add(&mut self, other: Tally) {
        for (reason, (files, example)) in other.0 {
            self.0.entry(reason).or_insert((0, example)).0 += files;
        }
    }

    pub(super) fn finish(self) -> Vec<LeftOut> {
        let left_out =
            |(reason, (files, example)): (&str, (u64, String))| LeftOut { reason: reason.into(), files, example };
        self.0.into_iter().map(left_out).collect()
    }
}
