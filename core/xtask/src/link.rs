//! The link `.libtorch`, by which cargo and the built programs find libtorch.
//!
//! Programs have a run path relative to themselves (see `.cargo/config.toml`), so the link is next to the target
//! directory. Cargo's own `LIBTORCH` names the link in the root of the workspace. By default, both are the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// File name of the link.
pub const NAME: &str = ".libtorch";

/// All places of the link.
pub fn places(root: &Path, target: &Path) -> Vec<PathBuf> {
    let mut places = vec![root.join(NAME)];
    places.extend(target.parent().filter(|beside| *beside != root).map(|beside| beside.join(NAME)));
    places
}

/// Creates the link, or redirects it. A correct link stays as it is.
///
/// # Errors
///
/// Another file is in its place, or the folder cannot be written.
pub fn point(place: &Path, libtorch: &Path) -> Result<()> {
    if place.canonicalize().is_ok_and(|current| current == libtorch) {
        return Ok(());
    }
    ensure!(
        place.is_symlink() || !place.exists(),
        "{} exists, but is not the link of the set-up. Move it elsewhere.",
        place.display()
    );
    replace(place, libtorch).with_context(|| {
        format!("cannot create the link {}: set CARGO_TARGET_DIR to a folder that can be written", place.display())
    })
}

/// Renames a new link over the old one, so that a concurrent build always finds one.
fn replace(place: &Path, libtorch: &Path) -> std::io::Result<()> {
    // The target directory may not exist yet.
    place.parent().map_or(Ok(()), fs::create_dir_all)?;
    let fresh = place.with_file_name(format!("{NAME}.{}", std::process::id()));
    symlink(libtorch, &fresh)?;
    fs::rename(&fresh, place).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: &[&str]) {
        let places = places(Path::new("/home/user/anyflow"), Path::new(target));
        assert_eq!(places, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
    }

    #[test]
    fn the_link_is_in_the_root_and_next_to_the_target_directory() {
        check("/home/user/anyflow/target", &["/home/user/anyflow/.libtorch"]);
        check("/cache/ci-target", &["/home/user/anyflow/.libtorch", "/cache/.libtorch"]);
        check("/home/user/anyflow/out/target", &["/home/user/anyflow/.libtorch", "/home/user/anyflow/out/.libtorch"]);
        check("/", &["/home/user/anyflow/.libtorch"]);
    }

    #[test]
    fn a_link_is_created_kept_or_redirected() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let place = folder.join("out").join(NAME);
        let old = folder.join("old");
        let new = folder.join("new");
        fs::create_dir(&old).unwrap();
        fs::create_dir(&new).unwrap();
        for libtorch in [&old, &old, &new] {
            point(&place, libtorch).unwrap();
            assert_eq!(fs::read_link(&place).unwrap(), *libtorch);
        }
        fs::remove_dir(&new).unwrap();
        point(&place, &old).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), old, "a broken link is redirected");
        assert_eq!(fs::read_dir(folder.join("out")).unwrap().count(), 1, "no temporary files are left");
    }

    #[test]
    fn something_else_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(NAME);
        fs::create_dir(&place).unwrap();
        assert!(point(&place, Path::new("/elsewhere")).unwrap_err().to_string().contains("is not the link"));
        // A libtorch unpacked in its place is as good as a link.
        point(&place, &place.canonicalize().unwrap()).unwrap();
    }
}
