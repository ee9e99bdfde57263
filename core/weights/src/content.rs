//! The hash of a file's content.

use std::collections::BTreeMap;

use crate::CONTENT_KEY;
use crate::header::{Metadata, TensorEntry};

/// Collects the tensors of a file, in any order.
#[derive(Default)]
pub(crate) struct ContentHasher {
    tensors: BTreeMap<String, blake3::Hash>,
}

impl ContentHasher {
    /// Adds a tensor.
    pub(crate) fn add(&mut self, entry: &TensorEntry, bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        field(&mut hasher, &format!("{} {:?}", entry.dtype, entry.shape));
        hasher.update(bytes);
        self.tensors.insert(entry.name.clone(), hasher.finalize());
    }

    /// The hash of all tensors and of the metadata except the hash itself, in hexadecimal.
    pub(crate) fn finish(self, metadata: &Metadata) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, hash) in &self.tensors {
            field(&mut hasher, name);
            hasher.update(hash.as_bytes());
        }
        for (key, value) in metadata.iter().filter(|(key, _)| *key != CONTENT_KEY) {
            field(&mut hasher, key);
            field(&mut hasher, value);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// A text with its length in front, so that different lists of texts have different hashes.
fn field(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
