//! The names of objects below an address, as files and folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::entry::{Entry, Kind};
use crate::error::{DatasetError, Result};
use crate::store::{Address, ObjectVersion};

/// `*` matches no slash.
const BY_FOLDER: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// The objects at and below an address, from one listing.
pub(super) struct Listed {
    root: Address,
    /// In the order of paths, in which a folder comes right before what is in it.
    objects: BTreeMap<PathBuf, ObjectVersion>,
}

impl Listed {
    /// Lists an address: the object itself, else the objects of the folder. A web server is only asked for the object.
    pub(super) fn below(root: Address) -> Result<Listed> {
        if let Some(version) = if root.is_root() { None } else { root.version()? } {
            let objects = BTreeMap::from([(root.shown.clone(), version)]);
            return Ok(Listed { root, objects });
        }
        if !root.has_folders() {
            let reason = "there is no such file on this server, and servers do not say what is in a folder".into();
            return Err(DatasetError::Empty { path: root.shown, reason });
        }
        let objects = root.list()?.into_iter().map(|object| (root.shown.join(&object.name), object.version)).collect();
        Ok(Listed { root, objects })
    }

    /// What is at a path.
    pub(super) fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        if !path.starts_with(&self.root.shown) {
            // Only records above a folder are asked for.
            let object = Address::parse(path)?.map(|address| address.version()).transpose()?.flatten();
            return Ok(object.map(|_| Kind::File));
        }
        Ok(match self.objects.range(path.to_path_buf()..).next() {
            Some((found, _)) if found == path => Some(Kind::File),
            Some((found, _)) if found.starts_with(path) => Some(Kind::Folder),
            _ => None,
        })
    }

    /// The version of an object that was listed.
    pub(super) fn version(&self, path: &Path) -> Option<&ObjectVersion> {
        self.objects.get(path)
    }

    /// What lies directly in a folder.
    pub(super) fn entries(&self, folder: &Path) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        for (path, rest) in self.below_folder(folder) {
            let mut parts = rest.components();
            let Some(first) = parts.next() else { continue };
            match parts.next() {
                None => found.push(Entry { path: path.clone(), kind: Kind::File }),
                Some(_) => {
                    let path = folder.join(first);
                    // What is in a folder is together in the listing.
                    if found.last().is_none_or(|last| last.path != path) {
                        found.push(Entry { path, kind: Kind::Folder });
                    }
                }
            }
        }
        found
    }

    /// The bytes of an object of at most `most` bytes.
    pub(super) fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        if self.version(path).is_none_or(|version| version.size_bytes > most) {
            return Ok(None);
        }
        let read = Address::parse(path)?.map(|address| address.read()).transpose()?.flatten();
        Ok(read.map(|bytes| bytes.to_vec()))
    }

    /// The objects and folders below a folder whose names a pattern matches.
    pub(super) fn matches(&self, folder: &Path, pattern: &Pattern) -> Result<Vec<PathBuf>, glob::PatternError> {
        let mut found = BTreeSet::new();
        for (_, rest) in self.below_folder(folder) {
            let names = rest.ancestors().filter(|name| !name.as_os_str().is_empty());
            found.extend(names.filter(|name| pattern.matches_path_with(name, BY_FOLDER)).map(|name| folder.join(name)));
        }
        Ok(found.into_iter().collect())
    }

    /// The objects below a folder, with their names there.
    fn below_folder<'l>(&'l self, folder: &'l Path) -> impl Iterator<Item = (&'l PathBuf, &'l Path)> {
        let from = self.objects.range(folder.to_path_buf()..);
        from.map_while(move |(path, _)| Some((path, path.strip_prefix(folder).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Listed {
        let root = Address::parse(Path::new("s3://bucket/rows")).unwrap().unwrap();
        let version = ObjectVersion { size_bytes: 1, etag: None, modified: 0 };
        let objects = names.iter().map(|name| (root.shown.join(name), version.clone())).collect();
        Listed { root, objects }
    }

    fn names(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        paths.into_iter().map(|path| path.strip_prefix("s3://bucket/rows").unwrap().display().to_string()).collect()
    }

    #[test]
    fn names_with_slashes_are_folders() {
        let listed =
            listed(&["a.parquet", "b/1.parquet", "b/2.parquet", "b-c/1.parquet", "b.parquet", "d/e/1.parquet"]);
        let at = |name: &str| listed.kind(&Path::new("s3://bucket/rows").join(name)).unwrap();
        assert_eq!([at(""), at("b"), at("d/e")], [Some(Kind::Folder); 3]);
        assert_eq!([at("a.parquet"), at("d/e/1.parquet")], [Some(Kind::File); 2]);
        assert_eq!([at("c"), at("a.par"), at("d/e/1")], [None; 3]);
        let entries = |folder: &str| names(listed.entries(Path::new(folder)).into_iter().map(|entry| entry.path));
        assert_eq!(entries("s3://bucket/rows"), ["a.parquet", "b", "b-c", "b.parquet", "d"]);
        assert_eq!(entries("s3://bucket/rows/d"), ["d/e"]);
    }

    #[test]
    fn patterns_match_as_on_a_disk() {
        let listed = listed(&["a.parquet", "x/1.parquet", "x/y/1.parquet", "z/1.parquet"]);
        for (pattern, found) in [
            ("*.parquet", &["a.parquet"][..]),
            ("*/*.parquet", &["x/1.parquet", "z/1.parquet"]),
            ("x*", &["x"]),
            ("**/1.parquet", &["x/1.parquet", "x/y/1.parquet", "z/1.parquet"]),
            ("[ab].parquet", &["a.parquet"]),
        ] {
            let matches = listed.matches(Path::new("s3://bucket/rows"), &Pattern::new(pattern).unwrap()).unwrap();
            assert_eq!(names(matches), found, "{pattern}");
        }
    }
}
