//! Whether others than this user and root can put code where the programs load it from.

use std::path::Path;

/// Why others can change what lies in a folder, or a link there; `None` if they cannot, or the folder is not there.
#[cfg(unix)]
pub fn of(folder: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(folder).ok()?;
    match found.mode() {
        _ if !is_trusted(found.uid()) => Some("it belongs to another user"),
        mode if mode & 0o002 != 0 => Some("everybody can write to it"),
        // The group of its own that a user has on many systems is the user.
        mode if mode & 0o020 != 0 && found.gid() != rustix::process::getegid().as_raw() => {
            Some("another group can write to it")
        }
        _ => None,
    }
}

/// Whether a file of an exposed folder may nevertheless be taken: everybody may add files there, but only its owner, who
/// is this user or root, replaces this one.
#[cfg(unix)]
pub fn is_held(folder: &Path, file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let sticky = |found: std::fs::Metadata| found.mode() & 0o1000 != 0 && is_trusted(found.uid());
    std::fs::metadata(folder).is_ok_and(sticky) && std::fs::metadata(file).is_ok_and(|found| is_trusted(found.uid()))
}

#[cfg(unix)]
fn is_trusted(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
pub fn of(_folder: &Path) -> Option<&'static str> {
    None
}

#[cfg(not(unix))]
pub fn is_held(_folder: &Path, _file: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_everybody_writes_to_is_exposed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path(), folder.path().join("file"));
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for (bits, exposed, held) in
            [(0o700, false, false), (0o755, false, false), (0o777, true, false), (0o1777, true, true)]
        {
            mode(bits);
            assert_eq!((of(path).is_some(), is_held(path, &file)), (exposed, held), "{bits:o}");
        }
        mode(0o700);
        assert_eq!(of(&path.join("absent")), None);
    }
}
