//! Versions of a file, told by its metadata.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A file that changed more recently than this may change again with the same time stamp.
const SETTLED: Duration = Duration::from_secs(3);

/// A version of a file. Once the file has settled, every change of its content changes one of these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) changed: (i64, i64),
}

impl Version {
    pub(crate) fn of(metadata: &Metadata) -> Version {
        Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// True if both are the same file with the same content. New permissions and new links leave the content as it is.
    pub(crate) fn has_content_of(&self, other: &Version) -> bool {
        let Version { device, inode, size_bytes, modified, .. } = self;
        other.device == *device
            && other.inode == *inode
            && other.size_bytes == *size_bytes
            && other.modified == *modified
    }

    /// True if another change would change the time stamp.
    pub(crate) fn is_settled(&self) -> bool {
        let (seconds, _) = self.changed;
        let changed = u64::try_from(seconds).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        changed.is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED))
    }
}
