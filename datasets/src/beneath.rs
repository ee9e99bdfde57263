//! Opens files that a dataset names: only regular files below its own folder.
//!
//! An untrusted dataset must not make a run read (and publish) other files of the machine, hang on a pipe, or fill
//! memory from a device. Links are followed as long as they stay inside the folder.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::data_file::Version;
use crate::hash::hash_of;
use crate::store::{Address, ObjectStream, ObjectVersion};

/// Largest file that a cell can hold.
pub(crate) const MAX_CELL_BYTES: u64 = 256 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such file")]
    Missing,
    #[error("it is outside of the dataset's folder; copy it into the folder")]
    Outside,
    #[error("it is {0}; only regular files are read")]
    NotRegular(&'static str),
    #[error("it has {0} bytes, more than the {MAX_CELL_BYTES} that a cell can hold; make it smaller")]
    TooLarge(u64),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A file or an object below a folder.
pub(crate) struct Beneath(Content);

enum Content {
    /// With the version that it had when it was opened.
    Disk(File, Version),
    Store(Address, ObjectVersion),
}

impl Beneath {
    /// Opens the file `name` below `folder`, which may be an address.
    pub(crate) fn open(folder: &Path, name: &Path) -> Result<Beneath, Refusal> {
        if let Some(folder) = Address::parse(folder).map_err(std::io::Error::other)? {
            return in_store(&folder, name);
        }
        let file = open_file(folder, name)?;
        let version = Version::of(&file.metadata()?);
        Beneath(Content::Disk(file, version)).of_fitting_size()
    }

    fn of_fitting_size(self) -> Result<Beneath, Refusal> {
        match self.size_bytes() {
            size_bytes if size_bytes <= MAX_CELL_BYTES => Ok(self),
            size_bytes => Err(Refusal::TooLarge(size_bytes)),
        }
    }

    /// Its length.
    pub(crate) fn size_bytes(&self) -> u64 {
        match &self.0 {
            Content::Disk(_, version) => version.size_bytes,
            Content::Store(_, version) => version.size_bytes,
        }
    }

    /// True if another change of its content would change [`Beneath::mark`].
    pub(crate) fn is_settled(&self) -> bool {
        match &self.0 {
            Content::Disk(_, version) => version.is_settled(),
            Content::Store(_, version) => version.etag.is_some(),
        }
    }

    /// Its version as a text.
    pub(crate) fn mark(&self) -> String {
        match &self.0 {
            Content::Disk(_, version) => format!("{version:?}"),
            Content::Store(_, version) => version.identity().to_hex().to_string(),
        }
    }

    /// Its first bytes.
    pub(crate) fn head(self, count: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        match self.0 {
            Content::Disk(file, _) => file.take(count).read_to_end(&mut bytes)?,
            Content::Store(address, version) => {
                ObjectStream::new(address, version).take(count).read_to_end(&mut bytes)?
            }
        };
        Ok(bytes)
    }

    /// Its bytes.
    pub(crate) fn read(self) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size_bytes()).unwrap_or(0));
        match self.0 {
            Content::Disk(file, _) => file.take(MAX_CELL_BYTES + 1).read_to_end(&mut bytes)?,
            Content::Store(address, version) => ObjectStream::new(address, version).read_to_end(&mut bytes)?,
        };
        // The file may have grown.
        if bytes.len() as u64 > MAX_CELL_BYTES { Err(Refusal::TooLarge(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// Hash of its bytes; of an object, what stands for them.
    pub(crate) fn hash(self) -> Result<blake3::Hash, Refusal> {
        match self.0 {
            Content::Disk(file, _) => Ok(hash_of(&mut file.take(MAX_CELL_BYTES + 1))?),
            Content::Store(_, version) => Ok(version.identity()),
        }
    }
}

/// Opens the file `name` below a folder of the disk, of any size.
pub(crate) fn open_file(folder: &Path, name: &Path) -> Result<File, Refusal> {
    let file = open(folder, name)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(file) } else { Err(Refusal::NotRegular(kind(&metadata))) }
}

/// The object of this name below an address. A store has no links, and its names no `..`.
fn in_store(folder: &Address, name: &Path) -> Result<Beneath, Refusal> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !name.components().all(is_plain) {
        return Err(Refusal::Outside);
    }
    let parts: Vec<&str> = name.iter().filter_map(|part| part.to_str()).filter(|part| *part != ".").collect();
    let object = folder.join(&parts.join("/"));
    match object.version().map_err(std::io::Error::other)? {
        Some(version) => Beneath(Content::Store(object, version)).of_fitting_size(),
        None => Err(Refusal::Missing),
    }
}

/// The path below `folder` that `name` leads to, with all links resolved. Reveals nothing about files elsewhere.
fn resolved(folder: &Path, name: &Path) -> Result<PathBuf, Refusal> {
    let root = folder.canonicalize()?;
    let is_inside = name.is_absolute() && (name.starts_with(&root) || name.starts_with(folder));
    let found = root.join(name).canonicalize().map_err(|error| match missing(error) {
        Refusal::Missing if !is_inside => Refusal::Outside,
        other => other,
    })?;
    found.strip_prefix(&root).map(Path::to_path_buf).map_err(|_| Refusal::Outside)
}

fn missing(error: std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Refusal::Missing,
        _ => Refusal::Io(error),
    }
}

#[cfg(unix)]
fn open(folder: &Path, name: &Path) -> Result<File, Refusal> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let root = rustix::fs::open(folder, flags, Mode::empty()).map_err(std::io::Error::from)?;
    match inside(&root, name) {
        Ok(file) => Ok(file.into()),
        // A link on the way leads out, or the kernel is too old for this call: the end of the path decides.
        Err(Errno::XDEV | Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            step_by_step(&root, &resolved(folder, name)?).map_err(|errno| missing(errno.into()))
        }
        Err(errno) => Err(special(errno)),
    }
}

#[cfg(unix)]
use rustix::io::Errno;

/// The refusal of a file that cannot be opened at all, such as a socket.
#[cfg(unix)]
fn special(errno: Errno) -> Refusal {
    if errno == Errno::NXIO { Refusal::NotRegular("a socket or a device") } else { missing(errno.into()) }
}

/// Flags that open a pipe without waiting for a writer.
#[cfg(unix)]
fn flags() -> rustix::fs::OFlags {
    use rustix::fs::OFlags;
    OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY
}

#[cfg(target_os = "linux")]
fn inside(root: &rustix::fd::OwnedFd, name: &Path) -> Result<rustix::fd::OwnedFd, Errno> {
    use rustix::fs::{Mode, ResolveFlags};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, name, flags(), Mode::empty(), resolve)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn inside(_root: &rustix::fd::OwnedFd, _name: &Path) -> Result<rustix::fd::OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Opens a path folder by folder without following links, so that a link created meanwhile has no effect.
#[cfg(unix)]
fn step_by_step(root: &rustix::fd::OwnedFd, path: &Path) -> Result<File, Errno> {
    use rustix::fs::{Mode, OFlags, openat};
    let mut parts: Vec<_> = path.components().collect();
    let last = parts.pop().ok_or(Errno::ISDIR)?;
    let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    for part in parts {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        folder = openat(&folder, part.as_os_str(), flags, Mode::empty())?;
    }
    Ok(openat(&folder, last.as_os_str(), flags() | OFlags::NOFOLLOW, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(folder: &Path, name: &Path) -> Result<File, Refusal> {
    File::open(folder.canonicalize()?.join(resolved(folder, name)?)).map_err(missing)
}

#[cfg(unix)]
fn kind(metadata: &std::fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(metadata: &std::fs::Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a device" }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
        Beneath::open(folder, Path::new(name)).and_then(Beneath::read).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn only_regular_files_below_the_folder_are_read() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("data");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::fs::write(folder.join("sub/a"), "a").unwrap();
        symlink("sub/a", folder.join("link")).unwrap();
        symlink(folder.join("sub"), folder.join("absolute")).unwrap();
        symlink("../secret", folder.join("out")).unwrap();
        symlink("..", folder.join("sub/up")).unwrap();
        symlink("../..", folder.join("sub/out")).unwrap();
        symlink("/dev/zero", folder.join("zero")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
        let whole = folder.join("sub/a").display().to_string();
        for name in ["sub/a", "./sub/../sub/a", "link", "absolute/a", "sub/up/sub/a", whole.as_str()] {
            assert_eq!(read(&folder, name), Ok(b"a".to_vec()), "{name}");
        }
        let secret = outer.path().join("secret").display().to_string();
        for name in
            ["../secret", "../gone", "out", "sub/out/secret", "/etc/hostname", "zero", "/dev/zero", secret.as_str()]
        {
            assert!(read(&folder, name).unwrap_err().contains("outside"), "{name}");
        }
        for name in ["pipe", "socket", "sub", ""] {
            assert!(read(&folder, name).is_err(), "{name}");
        }
        assert!(read(&folder, "gone").unwrap_err().contains("no such file"));
        assert!(read(&folder, "sub/a/b").unwrap_err().contains("no such file"));
        let large = File::create(folder.join("large")).unwrap();
        large.set_len(MAX_CELL_BYTES + 1).unwrap();
        assert!(read(&folder, "large").unwrap_err().contains("more than"));
    }

    #[test]
    fn only_objects_below_the_address_are_read() {
        let folder = Address::in_memory("data");
        folder.join("sub/a").write("a").unwrap();
        let read =
            |name: &str| in_store(&folder, Path::new(name)).and_then(Beneath::read).map_err(|error| error.to_string());
        for name in ["sub/a", "./sub/./a", "sub//a"] {
            assert_eq!(read(name), Ok(b"a".to_vec()), "{name}");
        }
        for name in ["../secret", "/sub/a", "sub/../sub/a"] {
            assert!(read(name).unwrap_err().contains("outside"), "{name}");
        }
        assert!(read("gone").unwrap_err().contains("no such file"));
        let opened = || in_store(&folder, Path::new("sub/a")).unwrap();
        let before = opened();
        assert_eq!((before.size_bytes(), before.mark()), (1, opened().mark()));
        folder.join("sub/a").write("b").unwrap();
        assert_ne!(opened().mark(), before.mark(), "another version");
        assert_eq!(opened().head(1).unwrap(), b"b");
    }
}
