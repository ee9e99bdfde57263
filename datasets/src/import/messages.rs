//! Checks the lengths in a stream of Arrow messages before Arrow's reader allocates by them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use arrow::ipc::{Message, RecordBatch, root_as_message};

use super::refusal;
use crate::error::{Result, io_error};

/// Starts every message.
const CONTINUATION: [u8; 4] = [255; 4];

/// Walks over all messages from `start`.
///
/// # Errors
/// [`DatasetError::Import`](crate::DatasetError::Import) for a length that goes beyond the file or its message, or an
/// invalid message.
pub(super) fn check(path: &Path, file: &mut File, start: u64) -> Result<()> {
    let size = file.metadata().map_err(io_error(path, "read"))?.len();
    let mut at = file.seek(SeekFrom::Start(start)).map_err(io_error(path, "read"))?;
    // A stream may end without an end mark.
    while at < size {
        let head: [u8; 8] = bytes(path, file, 8, size - at)?.try_into().unwrap_or_default();
        let [a, b, c, d, length @ ..] = head;
        if [a, b, c, d] != CONTINUATION {
            return Err(refusal(path, "is not a stream of Arrow messages, or an old one; write it again"));
        }
        let length = u64::from(u32::from_le_bytes(length));
        if length == 0 {
            break;
        }
        let message = bytes(path, file, length, size - at - 8)?;
        let message = root_as_message(&message);
        let message = message.map_err(|error| refusal(path, format!("has an invalid message: {error}")))?;
        let body = u64::try_from(message.bodyLength()).unwrap_or(u64::MAX);
        let end = at.saturating_add(8 + length).saturating_add(body);
        if end > size || !fits(&message, body) {
            return Err(refusal(path, CUT));
        }
        at = file.seek(SeekFrom::Start(end)).map_err(io_error(path, "read"))?;
    }
    Ok(())
}

const CUT: &str = "ends earlier than its messages say; fetch it again";

/// Reads `length` of the `left` bytes of a file.
fn bytes(path: &Path, file: &mut File, length: u64, left: u64) -> Result<Vec<u8>> {
    if length > left {
        return Err(refusal(path, CUT));
    }
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(refusal(path, CUT)) }
}

/// True if all buffers of a message lie in its body.
fn fits(message: &Message, body: u64) -> bool {
    let rows = message.header_as_record_batch();
    let words = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let within = |batch: RecordBatch| {
        batch.buffers().into_iter().flatten().all(|buffer| {
            let (Ok(offset), Ok(length)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
                return false;
            };
            offset.saturating_add(length) <= body
        })
    };
    rows.into_iter().chain(words).all(within)
}
