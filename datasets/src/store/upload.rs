//! Copies a file of the disk into a store: in one request, or in parts that are sent side by side.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path as Key;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt};

use super::address::Address;
use super::error::failed;
use crate::error::Result;

/// Bytes of a part. A store takes 10,000 parts.
const PART_BYTES: u64 = 16 << 20;
/// Parts on their way at once.
const AT_ONCE: usize = 4;

impl Address {
    /// Writes a file of `size` bytes, and replaces an object that is there. Until it is complete, nobody sees it.
    ///
    /// # Errors
    /// [`DatasetError::Store`](crate::DatasetError::Store), [`DatasetError::Denied`](crate::DatasetError::Denied).
    pub(crate) fn upload(&self, file: File, size: u64) -> Result<()> {
        let Address { client, key, .. } = self.clone();
        let sent = self.wait("write", async move { send(&client, &key, file, size).await })?;
        sent.map_err(|error| failed(&self.shown, "write", error))
    }
}

async fn send(client: &Arc<dyn ObjectStore>, key: &Key, mut file: File, size: u64) -> object_store::Result<()> {
    if size <= PART_BYTES {
        let content = part(&mut file, size)?;
        return client.put(key, content.into()).await.map(drop);
    }
    let mut upload = client.put_multipart(key).await?;
    match parts(upload.as_mut(), &mut file, size).await {
        Ok(()) => upload.complete().await.map(drop),
        Err(error) => {
            // Best effort: a store can be told to drop uploads that nobody completes.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn parts(upload: &mut dyn MultipartUpload, file: &mut File, size: u64) -> object_store::Result<()> {
    let mut sent = FuturesUnordered::new();
    let mut left = size;
    while left > 0 {
        let length = left.min(PART_BYTES);
        sent.push(upload.put_part(part(file, length)?.into()));
        left -= length;
        if sent.len() >= AT_ONCE {
            sent.next().await.transpose()?;
        }
    }
    while let Some(done) = sent.next().await {
        done?;
    }
    Ok(())
}

/// The next bytes of the file. Reading from the disk is short beside sending.
fn part(file: &mut File, length: u64) -> object_store::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut bytes).map_err(|error| Error::Generic { store: "the disk", source: error.into() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;
    use crate::store::faulty::{Fault, Faulty, passing};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_file_is_whole_in_one_request_or_in_parts() {
        for (size, request) in [(0, "put a"), (PART_BYTES, "put a"), (5 * PART_BYTES + 7, "multipart a")] {
            let bytes: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let store = Faulty::new(|_, _| None);
            store.address("a").upload(file(&bytes), size).unwrap();
            assert_eq!(store.requests(), [request]);
            assert!(store.address("a").read().unwrap().unwrap() == bytes, "{size} bytes");
        }
    }

    #[test]
    fn a_file_that_is_cut_is_no_object() {
        for size in [8, PART_BYTES + 1] {
            let store = Faulty::new(|_, _| None);
            let error = store.address("a").upload(file(b"seven b"), size).unwrap_err();
            assert!(error.to_string().contains("the disk"), "{error}");
            assert_eq!(store.address("a").version().unwrap(), None);
        }
        let store = Faulty::new(|_, _| Some(Fault::Fails(passing())));
        assert!(store.address("a").upload(file(b"seven b"), 7).unwrap_err().to_string().contains("no answer"));
    }
}
