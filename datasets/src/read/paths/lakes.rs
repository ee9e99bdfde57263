//! Tables whose log says which of their files count: the others hold deleted and replaced rows.

use std::path::Path;

use super::tree::Tree;
use crate::error::{DatasetError, Result};

/// What lies in the folder of such a table, and its name.
const LAKES: [(&str, &str); 3] =
    [("_delta_log", "Delta Lake"), (".hoodie", "Hudi"), ("metadata/version-hint.text", "Iceberg")];

/// Refuses the folder of such a table.
pub(super) fn refuse(tree: &Tree, folder: &Path) -> Result<()> {
    let is_there = |mark: &str| tree.has(&folder.join(mark)).unwrap_or(false);
    let Some((_, name)) = LAKES.iter().find(|(mark, _)| is_there(mark)) else { return Ok(()) };
    let reason = format!(
        "it is a table of {name}, whose log says which of its files count; export its rows as Parquet files, or name files"
    );
    Err(DatasetError::Empty { path: folder.to_path_buf(), reason })
}
