//! The Arrow schema that writers put into a footer, asked before it is built.
//!
//! Its parts may share bytes, so that a few of them can stand for very many names and columns.

use arrow::ipc::root_as_message_with_opts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::VerifierOptions;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::file::metadata::ParquetMetaData;

/// How often each byte may stand for something.
const MAX_SHARING: usize = 4;
/// Bytes and tables that any schema may have.
const SLACK: usize = 1 << 12;
/// Tables take more bytes than these.
const TABLE_BYTES: usize = 4;
/// Four bytes that mark a message, four of its length.
const HEAD_BYTES: usize = 8;

/// Refuses a stated schema that is no schema, or larger than its bytes.
pub(super) fn check(parquet: &ParquetMetaData) -> Result<(), String> {
    let stated = parquet.file_metadata().key_value_metadata().into_iter().flatten();
    for text in stated.filter(|pair| pair.key == ARROW_SCHEMA_META_KEY).filter_map(|pair| pair.value.as_ref()) {
        // What is no base64 is told by Parquet's reader.
        let Ok(bytes) = BASE64_STANDARD.decode(text) else { continue };
        let has_head = bytes.len() > HEAD_BYTES && bytes.starts_with(&[255; 4]);
        let bytes = if has_head { &bytes[HEAD_BYTES..] } else { &bytes };
        let options = VerifierOptions {
            max_tables: bytes.len() / TABLE_BYTES + SLACK,
            max_apparent_size: bytes.len().saturating_mul(MAX_SHARING) + SLACK,
            ..VerifierOptions::default()
        };
        root_as_message_with_opts(&options, bytes).map_err(|error| format!("its Arrow schema is none: {error}"))?;
    }
    Ok(())
}
