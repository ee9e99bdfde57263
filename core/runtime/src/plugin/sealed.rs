//! The bytes of a library file, held in memory that nobody can change: what was checked is what is loaded.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};

/// No library is larger.
const MOST_BYTES: u64 = 4 << 30;

/// A copy of a library file. Whatever becomes of the file afterwards, the copy stays as it is.
pub(super) struct Sealed {
    memory: File,
    bytes: Mmap,
}

impl Sealed {
    /// Copies a regular file.
    ///
    /// # Errors
    /// It cannot be read, is none, or is too large; the system has no such memory.
    pub fn read(path: &Path) -> io::Result<Sealed> {
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let name = path.file_name().unwrap_or_default();
        let mut memory = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        if io::copy(&mut file.take(MOST_BYTES + 1), &mut memory)? > MOST_BYTES {
            return Err(io::Error::other("it has more than 4 GB, which no library has"));
        }
        fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        // SAFETY: the seals keep everyone, this process too, from changing the bytes or their number.
        let bytes = unsafe { MmapOptions::new().map_copy_read_only(&memory)? };
        Ok(Sealed { memory, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their hash, hexadecimal.
    pub fn blake3(&self) -> String {
        blake3::hash(&self.bytes).to_hex().to_string()
    }

    /// Loads the library out of the copy, for the life of the process.
    ///
    /// # Errors
    /// What the system's loader says.
    ///
    /// # Safety
    /// The user wants the library's constructors to run.
    pub unsafe fn load(self) -> Result<Library, String> {
        let path = format!("/proc/self/fd/{}", self.memory.as_raw_fd());
        // The loader knows libraries by their paths. As the file stays open, no other library gets this one.
        std::mem::forget(self.memory);
        // SAFETY: as the caller promises.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            // The error itself does not say which symbol or library is missing; what it stems from does.
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_copy_outlives_its_file_and_cannot_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liba.so");
        std::fs::write(&path, "the bytes").unwrap();
        let sealed = Sealed::read(&path).unwrap();
        std::fs::write(&path, "other ones").unwrap();
        assert_eq!(sealed.bytes(), b"the bytes");
        assert_eq!(sealed.blake3(), blake3::hash(b"the bytes").to_hex().to_string());
        assert!((&sealed.memory).write_all(b"x").is_err() && sealed.memory.set_len(1).is_err());
        assert_eq!(sealed.bytes(), b"the bytes");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        for path in ["/dev/zero", "/tmp"] {
            assert!(Sealed::read(Path::new(path)).is_err(), "{path}");
        }
    }
}
