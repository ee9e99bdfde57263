//! The packets of compressed recordings.

use std::io::ErrorKind;

use anyflow_sdk::Error;
use symphonia::core::errors::Error as Failure;
use symphonia::core::formats::FormatReader;
use symphonia::core::packet::Packet;

/// The next packet, or none at the end; `cut` becomes true if the file ends inside of a packet.
pub(super) fn next(reader: &mut dyn FormatReader, cut: &mut bool) -> Result<Option<Packet>, Error> {
    match reader.next_packet() {
        Ok(packet) => Ok(packet),
        Err(Failure::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            *cut = true;
            Ok(None)
        }
        // Another recording follows in the same file.
        Err(Failure::ResetRequired) => Ok(None),
        Err(failure) => Err(damaged(failure)),
    }
}

pub(super) fn damaged(failure: Failure) -> Error {
    Error::data(format!("the recording is damaged: {failure}"))
}
