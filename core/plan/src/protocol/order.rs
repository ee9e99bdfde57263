//! The order: a job, and the command line options that are not part of the pipeline. The front starts the engine and writes
//! the order as a [frame](crate::frame) to its standard input. It keeps that pipe open, so the engine notices the end of the
//! front. The engine saves the order as `order.json` in the output folder. Checks of plugins have their own order.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::plan::{Job, Model};

/// The column with the number of the draw, in the output of a run that draws each row several times.
pub const DRAW_COLUMN: &str = "draw";

/// An order to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// See [`crate::plan::PLAN_FORMAT`].
    pub format: u32,
    /// The job.
    pub job: Job,
    /// Output folder.
    pub output: String,
    /// Dataset files or folders, for a run with inputs.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Number of rows of a run without inputs; maximum number of rows of a run with inputs.
    #[serde(default)]
    pub rows: Option<u64>,
    /// The rows of the input that run, and how often.
    #[serde(default)]
    pub selection: RowSelection,
    /// Column with the row key; by default `id` if it exists, otherwise the number of the row.
    #[serde(default)]
    pub key: Option<String>,
    /// Input columns that pass through to the output; `None` for all.
    #[serde(default)]
    pub keep: Option<Vec<String>>,
    /// Rows per output shard.
    pub shard_rows: u64,
    /// The share of the shards that this order does; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Maximum rows per network call of a run; measured by default.
    #[serde(default)]
    pub batch_rows: Option<u32>,
    /// Attempts at a shard after which its rows fail, if each attempt killed its process; `None` to count no attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// How the process of the last attempt ended, if the front knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_death: Option<String>,
    /// Maximum number of failed rows before a run stops; `None` for no limit.
    #[serde(default)]
    pub max_failures: Option<u64>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads inside libtorch.
    pub threads: u32,
    /// Threads that encode the rows of a training; as many as inside libtorch by default. Results do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<u32>,
    /// Bytes of memory that the job may use; by default a share of the machine's memory.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Maximum seconds of one call into a plugin; `None` for no limit.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
    /// Blake3 hashes, in hexadecimal, of the allowed plugin files; `None` allows all.
    #[serde(default)]
    pub plugins_allowed: Option<Vec<String>>,
    /// File for a timeline of the run.
    #[serde(default)]
    pub trace: Option<String>,
}

impl Order {
    /// The number of shards over so many rows of the input.
    pub fn shards(&self, rows: u64) -> u64 {
        rows.div_ceil(self.rows_per_shard())
    }

    /// What is wrong if no row of the inputs is read.
    pub fn without_rows(&self) -> String {
        let reason = if self.selection.is_all() { "" } else { " that --where and --skip select" };
        format!("the input has no rows{reason}: {}", self.inputs.join(", "))
    }

    /// Rows of the input in a shard, which has each of them as often as it is drawn.
    pub fn rows_per_shard(&self) -> u64 {
        (self.shard_rows / self.selection.draws.max(1)).max(1)
    }

    /// True if the shards follow the order, one by one.
    pub fn is_given(&self) -> bool {
        matches!(self.share, Some(Share::Given(_)))
    }
}

/// A share of a job's shards. Whoever does it writes a part of the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Share {
    /// A range of them.
    Range(ShardShare),
    /// Those that the front gives.
    Given(GivenShare),
}

impl Share {
    /// The shards that may be of this share, of so many in all.
    pub fn of_shards(&self, shards: u64) -> Range<u64> {
        match self {
            Share::Range(share) => share.of_shards(shards),
            Share::Given(_) => 0..shards,
        }
    }

    /// The name of the part.
    pub fn name(&self) -> String {
        match self {
            Share::Range(share) => share.name(),
            Share::Given(share) => share.part.clone(),
        }
    }
}

/// The shards that the front gives: a [`GivenShard`] each, in frames behind the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenShare {
    /// The name of the part.
    pub part: String,
    /// Seconds without a shard after which the engine ends, so that others may take its part over.
    pub idle_seconds: f64,
}

/// A shard that the front gives. `None` in place of one ends the share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenShard {
    /// The shard.
    pub shard: u64,
    /// How the process of its last attempt ended, if the front knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_death: Option<String>,
}

/// One of `of` ranges of a job's shards, of nearly equal length. Neighbours are in one range, so that it reads few row groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardShare {
    /// From 1 to `of`.
    pub index: u64,
    /// Number of shares.
    pub of: u64,
}

impl ShardShare {
    /// The shards of this share, of so many in all.
    pub fn of_shards(self, shards: u64) -> Range<u64> {
        let bound = |index: u64| (u128::from(index) * u128::from(shards) / u128::from(self.of)) as u64;
        bound(self.index - 1)..bound(self.index)
    }

    /// The name of the part that does this share.
    pub fn name(self) -> String {
        format!("{}-of-{}", self.index, self.of)
    }
}

impl FromStr for ShardShare {
    type Err = String;

    /// Parses `3/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let share = parsed.map(|(index, of)| ShardShare { index, of });
        let is_valid = |share: &ShardShare| (1..=share.of).contains(&share.index);
        share.filter(is_valid).ok_or_else(|| "expected I/N with I from 1 to N, such as 3/8".into())
    }
}

impl fmt::Display for ShardShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Rows of the input of a run. [`Order::rows`] bounds their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSelection {
    /// A condition that the rows fulfil.
    pub filter: Option<String>,
    /// Rows to pass over, among those that fulfil it.
    pub skip: u64,
    /// Number of times that each row runs, each with other noise; at least 1.
    pub draws: u64,
}

impl Default for RowSelection {
    /// All rows, once.
    fn default() -> Self {
        RowSelection { filter: None, skip: 0, draws: 1 }
    }
}

impl RowSelection {
    /// True if no row is left out.
    pub fn is_all(&self) -> bool {
        self.filter.is_none() && self.skip == 0
    }
}

/// An order to check a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// The plugin's library file.
    pub library: String,
    /// Values of parameters: component -> parameter -> value.
    #[serde(default)]
    pub parameters: IndexMap<String, serde_json::Map<String, serde_json::Value>>,
    /// Cells to test codecs with.
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// Seconds after which a check fails.
    pub timeout_secs: u64,
    /// Blake3 hashes, in hexadecimal, of the allowed library files; `None` allows all.
    #[serde(default)]
    pub plugins_allowed: Option<Vec<String>>,
}

/// An order to list the weights that a model wants, without reading any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightsOrder {
    /// See [`crate::plan::PLAN_FORMAT`].
    pub format: u32,
    /// The model.
    pub model: Model,
    /// Blake3 hashes, in hexadecimal, of the allowed library files; `None` allows all.
    #[serde(default)]
    pub plugins_allowed: Option<Vec<String>>,
}

/// Cells of a codec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The codec.
    pub component: String,
    /// A file with one cell, or a dataset with a column of cells.
    pub file: String,
    /// The column.
    pub column: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_is_of_one_share() {
        let shares: Vec<ShardShare> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        for shards in [0, 1, 2, 3, 10, u64::MAX] {
            let ranges: Vec<Range<u64>> = shares.iter().map(|share| share.of_shards(shards)).collect();
            assert_eq!((ranges[0].start, ranges[2].end), (0, shards));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
            let lengths = ranges.iter().map(|range| range.end - range.start);
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1, "{ranges:?}");
        }
        assert_eq!(shares[1].to_string(), "2/3");
        for text in ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", ""] {
            assert!(text.parse::<ShardShare>().is_err(), "{text}");
        }
    }
}
