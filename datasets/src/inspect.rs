//! Summaries of a dataset for people. Every type serializes for `--json`.

mod head;
mod stats;

use serde::Serialize;

pub use head::head;

use crate::read::Dataset;

/// A summary of a dataset, from footers only.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Rows of all files.
    pub rows: u64,
    /// Fingerprint of the data, see [`Dataset::fingerprint`].
    pub fingerprint: String,
    /// The files in order.
    pub files: Vec<FileSummary>,
    /// The columns in order.
    pub columns: Vec<ColumnSummary>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct FileSummary {
    /// Path as it was given.
    pub path: String,
    /// Length of the file.
    pub size_bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Rows of each row group.
    pub row_group_rows: Vec<u64>,
    /// The program that wrote the file, as it names itself.
    pub created_by: Option<String>,
}

/// One column over all files.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnSummary {
    /// Name.
    pub name: String,
    /// The feature in words: `image`, `class label (10)`, `list of int16`.
    pub feature: String,
    /// Names of the classes, for class labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Arrow type.
    pub arrow_type: String,
    /// Bytes on disk.
    pub compressed_bytes: u64,
    /// Bytes before compression.
    pub uncompressed_bytes: u64,
    /// Compressions used, usually one.
    pub compression: Vec<String>,
    /// Null rows (for media: rows without bytes); `None` if the files do not say.
    pub nulls: Option<u64>,
    /// Smallest value, if the files have statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<serde_json::Value>,
    /// Largest value, if the files have statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<serde_json::Value>,
}

/// Summarizes a dataset without reading its rows.
pub fn inspect(dataset: &Dataset) -> Inspection {
    let file = |part: &crate::read::Part| FileSummary {
        path: part.source.path.display().to_string(),
        size_bytes: part.source.size_bytes,
        rows: part.rows,
        row_group_rows: part.row_groups().map(|group| group.end - group.start).collect(),
        created_by: part.metadata.metadata().file_metadata().created_by().map(str::to_string),
    };
    Inspection {
        rows: dataset.rows(),
        fingerprint: dataset.fingerprint().to_string(),
        files: dataset.parts().iter().map(file).collect(),
        columns: (0..dataset.features().len()).map(|index| stats::summary(dataset, index)).collect(),
    }
}
