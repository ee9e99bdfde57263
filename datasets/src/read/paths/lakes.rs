//! Tables whose log says which of their files count: the others hold deleted and replaced rows.

use std::path::Path;

use crate::error::{DatasetError, Result};

/// What lies in the folder of such a table, and its name.
const LAKES: [(&str, &str); 3] =
    [("_delta_log", "Delta Lake"), (".hoodie", "Hudi"), ("metadata/version-hint.text", "Iceberg")];

/// Refuses the folder of such a table.
pub(super) fn refuse(folder: &Path) -> Result<()> {
    let Some((_, name)) = LAKES.iter().find(|(mark, _)| folder.join(mark).exists()) else { return Ok(()) };
    let reason = format!(
        "it is a table of {name}, whose log says which of its files count; export its rows as Parquet files, or name files"
    );
    Err(DatasetError::Empty { path: folder.to_path_buf(), reason })
}
