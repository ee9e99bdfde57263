//! Checks the Arrow schema in a footer before it is built.
//!
//! Its parts may share bytes, so a few bytes can describe a huge number of names and columns.

use arrow::ipc::root_as_message_with_opts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::VerifierOptions;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::file::metadata::ParquetMetaData;

/// The most uses of each byte.
const MAX_SHARING: usize = 4;
/// Bytes and tables that are always allowed.
const SLACK: usize = 1 << 12;
/// The fewest bytes of a table.
const TABLE_BYTES: usize = 4;
/// Four bytes of a marker and four of the message's length.
const HEAD_BYTES: usize = 8;

/// Refuses an invalid schema, and one that is larger than its bytes.
pub(super) fn check(parquet: &ParquetMetaData) -> Result<(), String> {
    let stated = parquet.file_metadata().key_value_metadata().into_iter().flatten();
    for text in stated.filter(|pair| pair.key == ARROW_SCHEMA_META_KEY).filter_map(|pair| pair.value.as_ref()) {
        // The Parquet reader reports invalid base64.
        let Ok(bytes) = BASE64_STANDARD.decode(text) else { continue };
        let has_head = bytes.len() > HEAD_BYTES && bytes.starts_with(&[255; 4]);
        let bytes = if has_head { &bytes[HEAD_BYTES..] } else { &bytes };
        let options = VerifierOptions {
            max_tables: bytes.len() / TABLE_BYTES + SLACK,
            max_apparent_size: bytes.len().saturating_mul(MAX_SHARING) + SLACK,
            ..VerifierOptions::default()
        };
        root_as_message_with_opts(&options, bytes).map_err(|error| format!("its Arrow schema is invalid: {error}"))?;
    }
    Ok(())
}
