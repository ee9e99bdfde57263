//! The platform tag of a wheel, from what its programs and libraries need.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::Endianness;
use object::read::elf::{ElfFile64, FileHeader};

/// The oldest glibc that has a tag of this form (PEP 600).
const OLDEST: u32 = 17;

/// The tag for these files: pip refuses the wheel where glibc is older than the newest of their symbols.
///
/// # Errors
///
/// A file cannot be read.
pub fn tag<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Result<String> {
    let mut minor = OLDEST;
    for file in files {
        minor = minor.max(glibc(file)?.unwrap_or(OLDEST));
    }
    Ok(format!("manylinux_2_{minor}_{ARCH}"))
}

/// The minor version of the newest symbol of glibc that a file needs; `None` if it needs none, or is not ELF.
fn glibc(file: &Path) -> Result<Option<u32>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Ok(elf) = ElfFile64::<Endianness>::parse(bytes.as_slice()) else { return Ok(None) };
    let (endian, data) = (elf.endian(), bytes.as_slice());
    let sections = elf.elf_header().sections(endian, data)?;
    let Some((needed, link)) = sections.gnu_verneed(endian, data)? else { return Ok(None) };
    let strings = sections.strings(endian, data, link)?;
    let mut newest = None;
    for library in needed {
        for version in library?.1 {
            newest = newest.max(minor(version?.name(endian, strings)?));
        }
    }
    Ok(newest)
}

/// `GLIBC_2.34` is 34; other names belong to other libraries.
fn minor(name: &[u8]) -> Option<u32> {
    let version = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_2.")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_versions_are_read() {
        for (name, expected) in
            [("GLIBC_2.34", Some(34)), ("GLIBC_2.2.5", Some(2)), ("GLIBC_PRIVATE", None), ("GLIBCXX_3.4.30", None)]
        {
            assert_eq!(minor(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_program_needs_the_glibc_of_its_newest_symbol() {
        let own = std::env::current_exe().unwrap();
        let found = glibc(&own).unwrap().unwrap();
        assert!((OLDEST..100).contains(&found), "{found}");
        assert_eq!(tag([own].iter()).unwrap(), format!("manylinux_2_{found}_{ARCH}"));
        assert_eq!(glibc(Path::new("Cargo.toml")).unwrap(), None);
    }
}
