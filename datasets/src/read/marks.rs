//! Checks a folder of shards without a manifest: it must hold the whole output of one job.

use std::collections::BTreeMap;
use std::path::Path;

use super::Part;
use crate::data_file::name_of;
use crate::error::{DatasetError, Result};
use crate::output::{Mark, short};

/// Refuses a folder with shards that are not all from one job, or mixed with other files.
pub(super) fn check(folder: &Path, parts: &[&Part]) -> Result<()> {
    let marks: Vec<Option<Mark>> = parts.iter().map(|part| Mark::of(part)).collect();
    if marks.iter().all(Option::is_none) {
        return Ok(());
    }
    let mixed = |reason| Err(DatasetError::Mixed { path: folder.to_path_buf(), reason });
    let mut shards: BTreeMap<u64, String> = BTreeMap::new();
    let mut first: Option<(String, Mark)> = None;
    for (part, mark) in parts.iter().zip(marks) {
        let name = name_of(&part.source.path);
        let Some(mark) = mark else {
            return mixed(format!("{name} was not written by the job that wrote other files here"));
        };
        if mark.rows != part.rows {
            return mixed(format!("{name} says that it has {} rows, but has {}", mark.rows, part.rows));
        }
        let (first_name, begun) = first.get_or_insert_with(|| (name.clone(), mark.clone()));
        if (&begun.job, begun.of) != (&mark.job, mark.of) {
            let a = short(&begun.job);
            let b = short(&mark.job);
            return mixed(format!("{first_name} was written by the job {a}, {name} by the job {b}"));
        }
        if let Some(other) = shards.insert(mark.shard, name.clone()) {
            return mixed(format!("{other} and {name} are both shard {}", mark.shard));
        }
    }
    let of = first.map_or(0, |(_, mark)| mark.of);
    match (0..of).find(|shard| !shards.contains_key(shard)) {
        Some(missing) => {
            let count = shards.len();
            mixed(format!(
                "it holds {count} of the {of} shards of a job; shard {missing} is missing, or had no good row"
            ))
        }
        None => Ok(()),
    }
}
