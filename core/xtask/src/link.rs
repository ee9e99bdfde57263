//! The link `.libtorch`, through which cargo and the built programs find libtorch.
//!
//! Programs carry a run path relative to themselves (see `.cargo/config.toml`), so the link lies beside the target
//! directory. Cargo's own `LIBTORCH` names the link in the root of the workspace. By default that is the same place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The name of the link.
pub const NAME: &str = ".libtorch";

/// Every place where the link must lie.
pub fn places(root: &Path, target: &Path) -> Vec<PathBuf> {
    let mut places = vec![root.join(NAME)];
    places.extend(target.parent().filter(|beside| *beside != root).map(|beside| beside.join(NAME)));
    places
}

/// Makes the link, or turns it to another folder. A right link is left as it is.
///
/// # Errors
///
/// Something else lies there, or the folder cannot be written.
pub fn point(place: &Path, libtorch: &Path) -> Result<()> {
    if place.canonicalize().is_ok_and(|current| current == libtorch) {
        return Ok(());
    }
    ensure!(
        place.is_symlink() || !place.exists(),
        "{} is in the way: it is not the link that set-up makes. Move it elsewhere.",
        place.display()
    );
    replace(place, libtorch).with_context(|| {
        format!("cannot make the link {}: point CARGO_TARGET_DIR into a folder that can be written", place.display())
    })
}

/// Renames a new link over the old one, so that a build that runs meanwhile always finds one.
fn replace(place: &Path, libtorch: &Path) -> std::io::Result<()> {
    // The target directory may not be there yet.
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
        let (place, old, new) = (folder.join("out").join(NAME), folder.join("old"), folder.join("new"));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&new).unwrap();
        for libtorch in [&old, &old, &new] {
            point(&place, libtorch).unwrap();
            assert_eq!(fs::read_link(&place).unwrap(), *libtorch);
        }
        fs::remove_dir(&new).unwrap();
        point(&place, &old).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), old, "a link to nowhere is turned");
        assert_eq!(fs::read_dir(folder.join("out")).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn something_else_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(NAME);
        fs::create_dir(&place).unwrap();
        assert!(point(&place, Path::new("/elsewhere")).unwrap_err().to_string().contains("is in the way"));
        // A libtorch unpacked right there is as good as a link.
        point(&place, &place.canonicalize().unwrap()).unwrap();
    }
}
