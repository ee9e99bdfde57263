//! What a store says of an object.

use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectVersion {
    pub(crate) size_bytes: u64,
    /// The store's mark of the content.
    pub(crate) etag: Option<String>,
    /// Time of the last change, in milliseconds since 1970.
    pub(crate) modified: i64,
}

/// An object of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Its name below the listed address.
    pub(crate) name: String,
    pub(crate) version: ObjectVersion,
}

impl ObjectVersion {
    pub(super) fn of(meta: &ObjectMeta) -> ObjectVersion {
        ObjectVersion {
            size_bytes: meta.size,
            etag: meta.e_tag.clone(),
            modified: meta.last_modified.timestamp_millis(),
        }
    }

    /// True if both have the same content: the same length and mark, or time where a store gives no mark.
    pub(crate) fn has_content_of(&self, other: &ObjectVersion) -> bool {
        let same_mark = match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a == b,
            _ => self.modified == other.modified,
        };
        same_mark && self.size_bytes == other.size_bytes
    }

    /// Stands for the content, which is not read: a hash of length and mark, or of length and time.
    pub(crate) fn identity(&self) -> blake3::Hash {
        let mark = self.etag.clone().unwrap_or_else(|| self.modified.to_string());
        blake3::hash(format!("object of {} bytes, {mark}", self.size_bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_decides_and_else_the_time() {
        let version =
            |etag: Option<&str>, modified| ObjectVersion { size_bytes: 7, etag: etag.map(str::to_string), modified };
        let marked = version(Some("a"), 1);
        assert!(marked.has_content_of(&version(Some("a"), 2)) && !marked.has_content_of(&version(Some("b"), 1)));
        assert_eq!(marked.identity(), version(Some("a"), 2).identity());
        let timed = version(None, 1);
        assert!(timed.has_content_of(&version(None, 1)) && !timed.has_content_of(&version(None, 2)));
        assert_ne!(timed.identity(), version(None, 2).identity());
        assert!(!timed.has_content_of(&ObjectVersion { size_bytes: 8, ..timed.clone() }));
    }
}
