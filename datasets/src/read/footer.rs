//! Checks the claims of a footer before anything is allocated for them.

use std::ops::Range;

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::thrift::{Flaw, Walk, Walker, kind};
use crate::data_file::DataFile;
use crate::error::{DatasetError, Result};

/// The most levels of nesting of a column.
const MAX_DEPTH: usize = 64;
/// The most leaf columns.
const MAX_LEAVES: u64 = 1 << 16;
/// The most column chunks of all row groups. Each takes about 1 kB when decoded.
const MAX_CHUNKS: u64 = 1 << 20;
/// The most values per byte of a column chunk. A run of equal values takes a few bytes, but pages have headers.
const MAX_VALUES_PER_BYTE: u64 = 1 << 15;
/// The highest compression ratio of a column chunk; that of zstd is lower.
const MAX_RATIO: u64 = 1 << 17;
/// Slack for both limits, so that they do not apply to columns of a few bytes.
const SLACK_BYTES: u64 = 1 << 10;

const FILE: &[u8] =
    &[kind::I32, kind::LIST, kind::I64, kind::LIST, kind::LIST, kind::BINARY, kind::LIST, kind::STRUCT, kind::BINARY];
const ELEMENT: &[u8] = &[
    kind::I32,
    kind::I32,
    kind::I32,
    kind::BINARY,
    kind::I32,
    kind::I32,
    kind::I32,
    kind::I32,
    kind::I32,
    kind::STRUCT,
];
const GROUP: &[u8] = &[kind::LIST, kind::I64, kind::I64, kind::LIST, kind::I64, kind::I64, kind::I16];
const CHUNK: &[u8] =
    &[kind::BINARY, kind::I64, kind::STRUCT, kind::I64, kind::I32, kind::I64, kind::I32, kind::STRUCT, kind::BINARY];
const COLUMN: &[u8] = &[
    kind::I32,
    kind::LIST,
    kind::LIST,
    kind::I32,
    kind::I64,
    kind::I64,
    kind::I64,
    kind::LIST,
    kind::I64,
    kind::I64,
    kind::I64,
    kind::STRUCT,
    kind::LIST,
    kind::I64,
    kind::I32,
    kind::STRUCT,
    kind::STRUCT,
];

/// Refuses an encoded footer whose lists are not backed by bytes, or whose columns are too many or nested too deeply.
/// Returns the name of the first encrypted column.
pub(super) fn check_encoded(footer: &[u8]) -> Result<Option<String>, String> {
    let mut encrypted = None;
    let mut leaves = None;
    let mut chunks = 0u64;
    let mut walker = Walker::new(footer);
    let walked = walker.record(FILE, |walker, id, _| match id {
        2 => {
            leaves = Some(schema(walker)?);
            Ok(true)
        }
        4 => {
            let wanted = leaves.ok_or(Flaw::Wrong("its row groups come before its schema"))?;
            walker.list(kind::STRUCT, |walker| {
                chunks += group(walker, &mut encrypted)?;
                if chunks > MAX_CHUNKS { Err(Flaw::Wrong("it has more than 1048576 column chunks")) } else { Ok(()) }
            })?;
            // The Parquet decoder compares the count of each group; here, only the total matters.
            if chunks > 0 && wanted == 0 {
                Err(Flaw::Wrong("its row groups have columns that its schema has not"))
            } else {
                Ok(true)
            }
        }
        _ => Ok(false),
    });
    walked.map(|()| encrypted).map_err(|flaw| format!("its footer is invalid: {flaw}"))
}

/// Walks the tree of columns, which is stored as a list. Returns the number of leaf columns.
fn schema(walker: &mut Walker<'_>) -> Walk<u64> {
    // Remaining children of each open group.
    let mut open: Vec<i64> = Vec::new();
    let mut leaves = 0;
    let mut elements = 0u64;
    walker.list(kind::STRUCT, |walker| {
        let mut children = 0;
        walker.record(ELEMENT, |walker, id, _| {
            if id == 5 {
                children = walker.integer()?;
            }
            Ok(id == 5)
        })?;
        if elements > 0 && open.is_empty() {
            return Err(Flaw::Wrong("its schema has several roots"));
        }
        elements += 1;
        if let Some(rest) = open.last_mut() {
            *rest -= 1;
        }
        match children {
            0 => leaves += 1,
            1.. if children <= MAX_LEAVES as i64 => open.push(children),
            _ => return Err(Flaw::Wrong("a group of its schema claims more than 65536 columns")),
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > MAX_DEPTH {
            return Err(Flaw::Wrong("its columns are nested more than 64 levels deep"));
        }
        if leaves > MAX_LEAVES { Err(Flaw::Wrong("it has more than 65536 columns")) } else { Ok(()) }
    })?;
    if open.is_empty() {
        Ok(leaves)
    } else {
        Err(Flaw::Wrong("a group of its schema claims columns that are not there"))
    }
}

/// Walks a row group. Returns the number of its column chunks. Notes the name of the first encrypted column.
fn group(walker: &mut Walker<'_>, encrypted: &mut Option<String>) -> Walk<u64> {
    let mut chunks = 0;
    walker.record(GROUP, |walker, id, _| {
        if id != 1 {
            return Ok(false);
        }
        chunks = walker.list(kind::STRUCT, |walker| {
            let mut name = Vec::new();
            walker.record(CHUNK, |walker, id, _| {
                match id {
                    3 => walker.record(COLUMN, |walker, id, _| {
                        if id == 3 {
                            walker.list(kind::BINARY, |walker| {
                                name.push(walker.binary()?);
                                Ok(())
                            })?;
                        }
                        Ok(id == 3)
                    })?,
                    // It says with which key the pages are encrypted.
                    8 => drop(encrypted.get_or_insert_with(|| String::from_utf8_lossy(&name.join(&b'.')).into_owned())),
                    _ => {}
                }
                Ok(id == 3)
            })
        })?;
        Ok(true)
    })?;
    Ok(chunks)
}

/// Refuses impossible numbers and errors that reading would find only much later. Returns the rows of all row groups.
pub(super) fn check_layout(source: &DataFile, parquet: &ParquetMetaData) -> Result<u64> {
    let corrupt = |reason: String| DatasetError::Corrupt { path: source.path.clone(), row: 0, reason };
    let mut rows = 0u64;
    let mut places = Vec::new();
    for (index, group) in parquet.row_groups().iter().enumerate() {
        let in_group = |reason: String| corrupt(format!("row group {index}: {reason}"));
        let count = u64::try_from(group.num_rows()).map_err(|_| in_group(format!("has {} rows", group.num_rows())))?;
        rows =
            rows.checked_add(count).ok_or_else(|| in_group("the rows of all groups are too many to count".into()))?;
        if group.columns().is_empty() && count > most(source.size_bytes, MAX_VALUES_PER_BYTE) {
            return Err(in_group(format!("claims {count} rows without a column")));
        }
        for column in group.columns() {
            places.push(place(source, column)?);
            check_figures(group, column)
                .map_err(|reason| in_group(format!("column `{}` {reason}", column.column_path().string())))?;
        }
    }
    places.retain(|place| !place.is_empty());
    places.sort_by_key(|place| place.start);
    match places.windows(2).find(|pair| pair[0].end > pair[1].start) {
        None => Ok(rows),
        Some(pair) => Err(corrupt(format!(
            "two column chunks share bytes: {} to {}, and {} to {}",
            pair[0].start, pair[0].end, pair[1].start, pair[1].end
        ))),
    }
}

/// The byte range of a column chunk in the file.
fn place(source: &DataFile, column: &ColumnChunkMetaData) -> Result<Range<u64>> {
    let unsupported = |what: String| DatasetError::Unsupported { path: source.path.clone(), what };
    if column.file_path().is_some() {
        return Err(unsupported("a column in another file".into()));
    }
    let codec = column.compression();
    if matches!(codec, Compression::BROTLI(_) | Compression::LZO) {
        return Err(unsupported(format!("compression {codec}")));
    }
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    match (u64::try_from(start), end.and_then(|end| u64::try_from(end).ok())) {
        (Ok(start), Some(end)) if start <= end && end <= source.size_bytes => Ok(start..end),
        _ => Err(source.truncated("its footer names pages past its end")),
    }
}

/// Compares the sizes and counts of a column chunk with each other.
fn check_figures(group: &RowGroupMetaData, column: &ColumnChunkMetaData) -> Result<(), String> {
    let count = |value: i64, what: &str| u64::try_from(value).map_err(|_| format!("has {value} {what}"));
    let bytes = count(column.compressed_size(), "bytes")?;
    let unpacked = count(column.uncompressed_size(), "unpacked bytes")?;
    let values = count(column.num_values(), "values")?;
    if unpacked > most(bytes, MAX_RATIO) {
        return Err(format!("claims to unpack {bytes} bytes to {unpacked}, more than {MAX_RATIO} times as many"));
    }
    if values > most(bytes, MAX_VALUES_PER_BYTE) {
        return Err(format!("claims {values} values in {bytes} bytes, more than {MAX_VALUES_PER_BYTE} for a byte"));
    }
    let rows = group.num_rows();
    if column.column_descr().max_rep_level() == 0 && column.num_values() != rows {
        return Err(format!("has {values} values, and its row group {rows} rows"));
    }
    Ok(())
}

fn most(bytes: u64, times: u64) -> u64 {
    bytes.saturating_add(SLACK_BYTES).saturating_mul(times)
}
