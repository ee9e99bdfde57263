//! Checks that a folder is a complete libtorch of the right version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The required version: each release of tch supports exactly one.
pub const VERSION: &str = "2.11.0";

/// Files that the build or the programs need. Their presence implies the others.
const NEEDED: [&str; 4] =
    ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"];

/// Headers that state the version, newest layout first.
const VERSION_HEADERS: [&str; 2] =
    ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"];

/// Why a folder cannot be used as libtorch. The user must set `LIBTORCH` to another folder or remove this one.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// There is no such folder.
    #[error("there is no folder {}", .0.display())]
    Absent(PathBuf, #[source] io::Error),
    /// A file is missing.
    #[error("{} is not a complete libtorch: {file} is missing", .root.display())]
    Incomplete { root: PathBuf, file: &'static str },
    /// Its version is unknown.
    #[error("{} has no version: neither in build-version nor in a header version.h", .0.display())]
    Unversioned(PathBuf),
    /// It is another version.
    #[error("{} is libtorch {found}, but Anyflow needs libtorch {VERSION}", .root.display())]
    Version { root: PathBuf, found: String },
}

/// Checks a folder and returns its path with all links resolved.
///
/// # Errors
///
/// [`Unfit`].
pub fn open(folder: &Path) -> Result<PathBuf, Unfit> {
    let root = folder.canonicalize().map_err(|error| Unfit::Absent(folder.into(), error))?;
    // The version comes first, since another version may have other files.
    match version(&root) {
        Some(found) if found != VERSION => return Err(Unfit::Version { root, found }),
        Some(_) => {}
        None if root.join("lib").is_dir() => return Err(Unfit::Unversioned(root)),
        None => return Err(Unfit::Incomplete { root, file: "lib" }),
    }
    match NEEDED.into_iter().find(|file| !root.join(file).is_file()) {
        Some(file) => Err(Unfit::Incomplete { root, file }),
        None => Ok(root),
    }
}

fn version(root: &Path) -> Option<String> {
    let stated = fs::read_to_string(root.join("build-version")).ok();
    stated.and_then(|text| release(&text)).or_else(|| {
        VERSION_HEADERS.iter().find_map(|header| header_version(&fs::read_to_string(root.join(header)).ok()?))
    })
}

/// `2.11.0+cu130` is release 2.11.0 built for CUDA 13.0. The part after the plus is ignored.
fn release(text: &str) -> Option<String> {
    let release = text.trim().split('+').next()?;
    (!release.is_empty()).then(|| release.into())
}

fn header_version(header: &str) -> Option<String> {
    let part = |name: &str| {
        let define = format!("#define TORCH_VERSION_{name} ");
        header.lines().find_map(|line| line.strip_prefix(&define)).map(str::trim)
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#pragma once\n/// Major.\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                          #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION \\\n  \"2.11.0\"\n";

    /// A folder with the given files and all required ones.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in NEEDED.iter().map(|file| (*file, "")).chain(files.iter().copied()) {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_right_version_is_taken() {
        for files in [("build-version", "2.11.0\n"), ("build-version", "2.11.0+cu130"), (VERSION_HEADERS[0], HEADER)] {
            let folder = folder(&[files]);
            assert_eq!(open(folder.path()).unwrap(), folder.path().canonicalize().unwrap());
        }
    }

    #[test]
    fn another_libtorch_version_is_refused_with_both_versions() {
        let older = HEADER.replace("MINOR 11", "MINOR 9");
        for (file, text, found) in
            [("build-version", "2.10.0+cpu\n", "2.10.0"), (VERSION_HEADERS[1], older.as_str(), "2.9.0")]
        {
            let text = open(folder(&[(file, text)]).path()).unwrap_err().to_string();
            assert!(text.ends_with(&format!("is libtorch {found}, but Anyflow needs libtorch 2.11.0")), "{text}");
        }
    }

    #[test]
    fn an_incomplete_libtorch_is_refused() {
        let folder = folder(&[("build-version", VERSION)]);
        fs::remove_file(folder.path().join("lib/libc10.so")).unwrap();
        assert!(matches!(open(folder.path()), Err(Unfit::Incomplete { file: "lib/libc10.so", .. })));
    }

    #[test]
    fn a_folder_without_version_or_without_anything_is_refused() {
        assert!(matches!(open(folder(&[]).path()), Err(Unfit::Unversioned(_))));
        assert!(matches!(open(tempfile::tempdir().unwrap().path()), Err(Unfit::Incomplete { file: "lib", .. })));
        assert!(matches!(open(Path::new("/no/such/folder")), Err(Unfit::Absent(..))));
    }
}
