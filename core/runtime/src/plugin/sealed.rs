//! A copy of a library file in sealed memory, so that exactly the checked bytes are loaded.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Maximum size of a library.
const MOST_BYTES: u64 = 4 << 30;

/// An immutable copy of a library file.
pub(super) struct Sealed {
    memory: File,
    bytes: Mmap,
}

impl Sealed {
    /// Copies a regular file.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file, or is too large; the system cannot seal memory.
    pub fn read(path: &Path) -> io::Result<Sealed> {
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let name = path.file_name().unwrap_or_default();
        let mut memory = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        if io::copy(&mut file.take(MOST_BYTES + 1), &mut memory)? > MOST_BYTES {
            return Err(io::Error::other("it is larger than 4 GB"));
        }
        fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        // SAFETY: the seals keep every process, including this one, from changing the bytes or their number.
        let bytes = unsafe { MmapOptions::new().map_copy_read_only(&memory)? };
        Ok(Sealed { memory, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash of the bytes, hexadecimal.
    pub fn blake3(&self) -> String {
        blake3::hash(&self.bytes).to_hex().to_string()
    }

    /// Loads the library from the copy, for the life of the process.
    ///
    /// # Errors
    /// The loader's error.
    ///
    /// # Safety
    /// The user wants the library's constructors to run.
    pub unsafe fn load(self) -> Result<Library, String> {
        let path = format!("/proc/self/fd/{}", self.memory.as_raw_fd());
        // The loader identifies libraries by their paths. The file stays open, so no other library can get the same path.
        std::mem::forget(self.memory);
        // SAFETY: as the caller promises.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            // Only the source of the error names the missing symbol or library.
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
    fn only_regular_files_are_read() {
        for path in ["/dev/zero", "/tmp"] {
            assert!(Sealed::read(Path::new(path)).is_err(), "{path}");
        }
    }
}
