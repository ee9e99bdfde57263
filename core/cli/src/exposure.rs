//! Detects folders in which other users can change the code that the programs load.

use std::path::Path;

/// Why other users can change files in a folder; `None` if they cannot, or the folder does not exist. Reads as the end
/// of a sentence: "folder X is writable by everyone".
#[cfg(unix)]
pub fn of(folder: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(folder).ok()?;
    match found.mode() {
        _ if !is_trusted(found.uid()) => Some("belongs to another user"),
        mode if mode & 0o002 != 0 => Some("is writable by everyone"),
        // On many systems each user has a group of their own.
        mode if mode & 0o020 != 0 && found.gid() != rustix::process::getegid().as_raw() => {
            Some("is writable by another group")
        }
        _ => None,
    }
}

/// True if every user of the machine can place files in a folder.
#[cfg(unix)]
pub fn is_open_to_all(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o002 != 0)
}

/// True if only its owner, this user or root, can replace a file of an exposed folder (sticky bit).
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
pub fn is_open_to_all(_folder: &Path) -> bool {
    false
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
    fn a_folder_writable_by_everyone_is_exposed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for (bits, exposed, held) in
            [(0o700, false, false), (0o755, false, false), (0o777, true, false), (0o1777, true, true)]
        {
            mode(bits);
            assert_eq!((of(path).is_some(), is_held(path, &file)), (exposed, held), "{bits:o}");
            assert_eq!(is_open_to_all(path), exposed, "{bits:o}");
        }
        mode(0o700);
        assert_eq!(of(&path.join("absent")), None);
    }
}
