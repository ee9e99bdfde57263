//! What a source holds and the dataset does not.

use indexmap::IndexMap;
use serde::Serialize;

/// Files that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What they are: "not named by the metadata".
    pub reason: String,
    /// How many.
    pub files: u64,
    /// One of them.
    pub example: String,
}

/// Counts what is left out, reasons in the order in which they come up.
#[derive(Debug, Default)]
pub(super) struct Tally(IndexMap<&'static str, (u64, String)>);

impl Tally {
    pub(super) fn note(&mut self, reason: &'static str, file: &str) {
        let (files, _) = self.0.entry(reason).or_insert_with(|| (0, file.to_string()));
        *files += 1;
    }

    /// Adds what was counted elsewhere.
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
