//! The hash of what a file holds.

use std::collections::BTreeMap;

use crate::header::{Entry, Metadata};

/// Key of the metadata whose value is the hash of everything else in the file.
pub const CONTENT_KEY: &str = "anyflow.blake3";

/// Gathers the tensors of a file, in whatever order they come.
#[derive(Default)]
pub(crate) struct Content {
    tensors: BTreeMap<String, blake3::Hash>,
}

impl Content {
    /// Adds a tensor.
    pub(crate) fn add(&mut self, entry: &Entry, bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        field(&mut hasher, &format!("{} {:?}", entry.dtype, entry.shape));
        hasher.update(bytes);
        self.tensors.insert(entry.name.clone(), hasher.finalize());
    }

    /// The hash, hexadecimal, of all tensors and of the metadata besides the hash itself.
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

/// A text with its length before it, so that no two lists of texts are hashed alike.
fn field(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
