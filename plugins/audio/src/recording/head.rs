//! Recordings that begin like those of a format, but have no head that its reader takes: what of them is there.

use std::io::ErrorKind;

use anyflow_sdk::Error;
use symphonia::core::errors::Error as Failure;

use super::chunks::{Chunks, Layout};
use super::packets::damaged;

/// Why no reader takes a recording.
pub(super) fn refused(bytes: &[u8], failure: Failure) -> Error {
    let there = bytes.len();
    let reason = if bytes.get(4..8) == Some(b"ftyp") { without_movie(bytes) } else { frames(bytes) };
    match (reason, failure) {
        (Some(reason), _) => Error::data(reason),
        (None, Failure::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::data(format!("the recording ends early, in its head: only {there} bytes are there"))
        }
        (None, other) => damaged(other),
    }
}

/// What is there of an MP4 file without the box that says what its samples are.
fn without_movie(bytes: &[u8]) -> Option<String> {
    let there = bytes.len() as u64;
    let mut all = there;
    for found in (Chunks { layout: Layout::Mp4, rest: bytes }) {
        if &found.id == b"moov" && found.stated <= found.rest.len() as u64 {
            return None;
        }
        all = all.max(there.saturating_add(found.stated.saturating_sub(found.rest.len() as u64)));
    }
    let lacks = "its part `moov`, which says what its samples are, is not there as a whole";
    Some(match all {
        all if all > there => format!("the recording ends early: {lacks} ({there} of at least {all} bytes are there)"),
        _ => format!("the recording ends early: {lacks} ({there} bytes are there)"),
    })
}

/// What is there of an AAC recording (ADTS, ISO/IEC 14496-3, annex 1.A.3.2) that ends inside of a frame.
fn frames(bytes: &[u8]) -> Option<String> {
    let (mut at, mut count) = (0, 0);
    while let Some([0xFF, sync, _, high, middle, low, ..]) = bytes.get(at..).filter(|_| at < bytes.len()) {
        let length = usize::from(high & 3) << 11 | usize::from(*middle) << 3 | usize::from(low >> 5);
        if sync & 0xF6 != 0xF0 || length < 7 {
            return None;
        }
        if at + length > bytes.len() {
            let there = bytes.len();
            return Some(format!(
                "the recording ends early: {count} whole frames of AAC are there ({there} bytes), which are too few"
            ));
        }
        (at, count) = (at + length, count + 1);
    }
    None
}
