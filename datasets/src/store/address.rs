//! Addresses of objects and of folders of objects.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt};

use super::client::{self, Kind};
use super::error::failed;
use super::object::{Object, ObjectVersion};
use super::runtime;
use crate::error::{DatasetError, Result, io_error};

/// Requests on their way at once.
const AT_ONCE: usize = 32;
/// The largest object that is read as a whole: records, cards and linked files.
const MAX_WHOLE_BYTES: u64 = 256 << 20;

/// True for a path with a scheme, such as `s3://bucket/folder`.
pub fn is_address(path: &Path) -> bool {
    scheme_of(path).is_some()
}

/// True if there is a file, or an object, at a path or an address.
///
/// # Errors
/// A store cannot be asked.
pub fn is_there(path: &Path) -> Result<bool> {
    match Address::parse(path)? {
        Some(address) => Ok(address.version()?.is_some()),
        None => Ok(path.is_file()),
    }
}

/// Writes a small file and removes it, in a folder or at an address of a store that must honour conditional puts. `token` is
/// unique among those who try at once.
///
/// # Errors
/// It cannot be written, or not on a condition.
pub fn try_access(path: &Path, token: &str) -> Result<()> {
    let name = format!(".anyflow-access-{token}");
    let Some(address) = Address::parse(path)? else {
        let file = path.join(name);
        std::fs::write(&file, token).map_err(io_error(&file, "write"))?;
        return std::fs::remove_file(&file).map_err(io_error(&file, "remove"));
    };
    let object = address.join(&name);
    let content = Bytes::from(token.to_string());
    object.try_create(&content)?;
    let is_replaced = object.try_create(&content)?;
    object.remove()?;
    if is_replaced {
        let reason = "it replaced an object that it should have kept".into();
        return Err(DatasetError::NoConditionalPut { path: path.to_path_buf(), reason });
    }
    Ok(())
}

fn scheme_of(path: &Path) -> Option<(&str, &str)> {
    let (scheme, rest) = path.to_str()?.split_once("://")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (!scheme.is_empty() && scheme.chars().all(is_word)).then_some((scheme, rest))
}

/// The address of an object, or of a folder of objects.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(super) client: Arc<dyn ObjectStore>,
    kind: Kind,
    pub(super) key: Key,
    /// As the user wrote it, for messages.
    pub(crate) shown: PathBuf,
}

impl Address {
    /// The address that a path is; `None` for a path of the disk. Asks nobody.
    ///
    /// # Errors
    /// [`DatasetError::Address`] for a scheme that is unknown, or a name that no object can have; [`DatasetError::Store`] if
    /// the environment holds unusable settings.
    pub(crate) fn parse(path: &Path) -> Result<Option<Address>> {
        let Some((scheme, rest)) = scheme_of(path) else { return Ok(None) };
        let wrong = |reason: &str| DatasetError::Address { path: path.to_path_buf(), reason: reason.to_string() };
        let kind = Kind::of(scheme).ok_or_else(|| wrong("its scheme is none of s3, gs, az, abfs, http and https"))?;
        let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(wrong("it names no bucket, container or server"));
        }
        if kind == Kind::Web && name.contains(['?', '#']) {
            return Err(wrong("it has a query, which is not sent; download the file, or use the store's own scheme"));
        }
        let name = name.trim_end_matches('/');
        let key = if kind == Kind::Web { Key::from_url_path(name) } else { Key::parse(name) };
        let key = key.map_err(|error| wrong(&error.to_string()))?;
        let client = client::of(kind, &format!("{scheme}://{host}"))?;
        Ok(Some(Address { client, kind, key, shown: path.to_path_buf() }))
    }

    /// An address in an empty store in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(name: &str) -> Address {
        Address::in_store(Arc::new(object_store::memory::InMemory::new()), name)
    }

    /// An address in a store of a test.
    #[cfg(test)]
    pub(crate) fn in_store(client: Arc<dyn ObjectStore>, name: &str) -> Address {
        Address { client, kind: Kind::S3, key: Key::from(name), shown: Path::new("memory://").join(name) }
    }

    /// The address of a name below this one.
    pub(crate) fn join(&self, name: &str) -> Address {
        let parts = name.split('/').filter(|part| !part.is_empty());
        let joined = parts.fold(self.key.to_string(), |key, part| match key.is_empty() {
            true => part.to_string(),
            false => format!("{key}/{part}"),
        });
        // Names from listings and our own names are valid; another one finds nothing.
        let key = Key::parse(&joined).unwrap_or_else(|_| Key::from(joined.as_str()));
        Address { key, shown: self.shown.join(name), ..self.clone() }
    }

    /// True for a bucket, container or server itself.
    pub(crate) fn is_root(&self) -> bool {
        self.key.as_ref().is_empty()
    }

    /// True if the objects below an address can be listed, and written.
    pub(crate) fn has_folders(&self) -> bool {
        self.kind != Kind::Web
    }

    /// The version of the object; `None` if there is none.
    ///
    /// # Errors
    /// [`DatasetError::Store`], [`DatasetError::Denied`].
    pub(crate) fn version(&self) -> Result<Option<ObjectVersion>> {
        let Address { client, key, .. } = self.clone();
        match self.wait("read", async move { client.head(&key).await })? {
            Ok(meta) => Ok(Some(ObjectVersion::of(&meta))),
            Err(error) => self.absent_or("read", error),
        }
    }

    /// The bytes of a small object; `None` if there is none.
    ///
    /// # Errors
    /// As [`Address::version`]; the object has more than 256 MiB.
    pub(crate) fn read(&self) -> Result<Option<Bytes>> {
        let Address { client, key, .. } = self.clone();
        match self.wait("read", async move { whole(&client, &key).await })? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => self.absent_or("read", error),
        }
    }

    /// The bytes of small objects below this address, in order; `None` for those that are missing.
    ///
    /// # Errors
    /// As [`Address::read`].
    pub(crate) fn read_all(&self, names: &[String]) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<Key> = names.iter().map(|name| self.join(name).key).collect();
        let client = self.client.clone();
        let read = async move {
            let each = keys.into_iter().map(|key| {
                let client = client.clone();
                async move {
                    match whole(&client, &key).await {
                        Ok(bytes) => Ok(Some(bytes)),
                        Err(Error::NotFound { .. }) => Ok(None),
                        Err(error) => Err(error),
                    }
                }
            });
            stream::iter(each).buffered(AT_ONCE).try_collect::<Vec<_>>().await
        };
        self.wait("read", read)?.map_err(|error| failed(&self.shown, "read", error))
    }

    /// All objects below this address, in order of their names.
    ///
    /// # Errors
    /// As [`Address::version`].
    pub(crate) fn list(&self) -> Result<Vec<Object>> {
        let Address { client, key, .. } = self.clone();
        let prefix = (!key.as_ref().is_empty()).then_some(key);
        let listed = async move {
            let found: Vec<_> = client.list(prefix.as_ref()).try_collect().await?;
            let start = prefix.map_or(0, |prefix| prefix.as_ref().len() + 1);
            let object = |meta: &object_store::ObjectMeta| {
                let name = meta.location.as_ref().get(start..)?.to_string();
                Some(Object { name, version: ObjectVersion::of(meta) })
            };
            Ok::<_, Error>(found.iter().filter_map(object).collect::<Vec<_>>())
        };
        let mut found = self.wait("list", listed)?.map_err(|error| failed(&self.shown, "list", error))?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The last bytes of several objects, at most `count` of each.
    ///
    /// # Errors
    /// As [`Address::version`], with the address of the object.
    pub(crate) fn tails(objects: &[(Address, u64)], count: u64) -> Result<Vec<Bytes>> {
        let Some((first, _)) = objects.first() else { return Ok(Vec::new()) };
        let wanted = objects.to_vec();
        let read = async move {
            let each = wanted.into_iter().map(|(address, size)| async move {
                let range = size.saturating_sub(count)..size;
                let read = address.client.get_range(&address.key, range).await;
                read.map_err(|error| failed(&address.shown, "read", error))
            });
            stream::iter(each).buffered(AT_ONCE).try_collect::<Vec<_>>().await
        };
        first.wait("read", read)?
    }

    /// Writes an object, and replaces one that is there.
    ///
    /// # Errors
    /// As [`Address::version`].
    pub(crate) fn write(&self, content: impl Into<Bytes>) -> Result<()> {
        let Address { client, key, .. } = self.clone();
        let content: Bytes = content.into();
        let written = self.wait("write", async move { client.put(&key, content.into()).await })?;
        written.map(drop).map_err(|error| failed(&self.shown, "write", error))
    }

    /// Removes an object, if it exists.
    ///
    /// # Errors
    /// As [`Address::version`].
    pub(crate) fn remove(&self) -> Result<()> {
        let Address { client, key, .. } = self.clone();
        match self.wait("remove", async move { client.delete(&key).await })? {
            Ok(()) => Ok(()),
            Err(error) => self.absent_or::<()>("remove", error).map(drop),
        }
    }

    pub(super) fn wait<T: Send + 'static>(
        &self,
        action: &'static str,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        runtime::wait(request).map_err(io_error(&self.shown, action))
    }

    fn absent_or<T>(&self, action: &'static str, error: Error) -> Result<Option<T>> {
        match error {
            Error::NotFound { .. } => Ok(None),
            error => Err(failed(&self.shown, action, error)),
        }
    }
}

async fn whole(client: &Arc<dyn ObjectStore>, key: &Key) -> object_store::Result<Bytes> {
    let found = client.get_opts(key, GetOptions::default()).await?;
    if found.meta.size > MAX_WHOLE_BYTES {
        let reason = format!("it has {} bytes, more than the {MAX_WHOLE_BYTES} that are read at once", found.meta.size);
        return Err(Error::Generic { store: "read", source: reason.into() });
    }
    found.bytes().await
}

/// Ranges of an object's bytes with the version that they are of.
pub(super) async fn ranges(
    client: Arc<dyn ObjectStore>,
    key: Key,
    ranges: Vec<Range<u64>>,
) -> object_store::Result<Vec<(ObjectVersion, Bytes)>> {
    let each = ranges.into_iter().map(|range| {
        let (client, key) = (client.clone(), key.clone());
        async move {
            let found = client.get_opts(&key, GetOptions::new().with_range(Some(range))).await?;
            let version = ObjectVersion::of(&found.meta);
            Ok((version, found.bytes().await?))
        }
    });
    stream::iter(each).buffered(AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for path in ["s3://bucket/a", "https://host/a.parquet", "abfss://c@account/a"] {
            assert!(is_address(Path::new(path)), "{path}");
        }
        for path in ["a.parquet", "/data/a://b", "://a", "./s3:/a"] {
            assert!(!is_address(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused_without_asking_anybody() {
        for (path, reason) in [
            ("ftp://host/a", "its scheme is none of"),
            ("s3:///a", "names no bucket"),
            ("s3://bucket/a/../b", ".."),
            ("https://host/a?token=b", "it has a query"),
        ] {
            let error = Address::parse(Path::new(path)).unwrap_err();
            assert!(matches!(error, DatasetError::Address { .. }) && error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn only_addresses_of_the_web_have_percent_signs_as_an_encoding() {
        for (path, key) in [
            ("https://host/a%20b/c%25.parquet", "a b/c%.parquet"),
            ("https://host/d\u{fc}/", "d\u{fc}"),
            ("s3://bucket/a%20b", "a%20b"),
            ("s3://bucket/100%", "100%"),
        ] {
            let address = Address::parse(Path::new(path)).unwrap().unwrap();
            assert_eq!((address.key.as_ref(), address.is_root()), (key, false), "{path}");
        }
        let root = Address::parse(Path::new("s3://bucket")).unwrap().unwrap();
        assert_eq!((root.is_root(), root.join("a//b").key.as_ref().to_string()), (true, "a/b".into()));
    }

    #[test]
    fn large_objects_are_not_read_as_a_whole() {
        let object = Address::in_memory("a");
        object.write(vec![0; MAX_WHOLE_BYTES as usize]).unwrap();
        assert_eq!(object.read().unwrap().unwrap().len() as u64, MAX_WHOLE_BYTES);
        object.write(vec![0; MAX_WHOLE_BYTES as usize + 1]).unwrap();
        let error = object.read().unwrap_err();
        assert!(error.to_string().contains("268435457 bytes"), "{error}");
    }
}
