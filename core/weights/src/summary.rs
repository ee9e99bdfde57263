//! What is known of a file after it was read.

use crate::header::Metadata;

/// What a file holds besides its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its metadata.
    pub metadata: Metadata,
    /// Hash of the whole file as it was read, in hexadecimal.
    pub blake3: String,
    /// True if the file carries a hash of its content. The hash was compared.
    pub proven: bool,
}
