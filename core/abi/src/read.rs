//! For hosts: the descriptor, and what the loader is asked for, out of a library file, without loading it.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};

use crate::SECTION;

/// Why a file has no readable descriptor.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not a library that this host could load. The user must pass another file.
    #[error("not a shared library for this platform: {0}")]
    NotALibrary(String),
    /// A library, but no plugin; or one whose author did not export it.
    #[error(
        "no section `{SECTION}`: this is no Anyflow plugin, or it was built without `export_plugin!` (in C, \
         ANYFLOW_DESCRIPTOR); rebuild it with the SDK"
    )]
    NoSection,
    /// The section is there and is not text. The plugin's author must act.
    #[error("the section `{SECTION}` is not UTF-8")]
    NotText,
}

/// The descriptor JSON of the plugin whose library file consists of `library`, without the zero bytes that may end its
/// section.
///
/// # Errors
/// See [`ReadError`].
pub fn descriptor(library: &[u8]) -> Result<&str, ReadError> {
    let file = object::File::parse(library).map_err(|e| ReadError::NotALibrary(e.to_string()))?;
    let section = file.section_by_name(SECTION).ok_or(ReadError::NoSection)?;
    let bytes = section.data().map_err(|e| ReadError::NotALibrary(e.to_string()))?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    core::str::from_utf8(&bytes[..end]).map_err(|_| ReadError::NotText)
}

/// What a library asks the system's loader for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The name that others ask for it by (`DT_SONAME`).
    pub name: Option<String>,
    /// Names of the libraries that it cannot do without (`DT_NEEDED`).
    pub libraries: Vec<String>,
    /// Folders where they are looked for before others (`DT_RUNPATH`, or without one `DT_RPATH`), as they are written.
    pub folders: Vec<String>,
}

/// What the library whose file consists of `library` needs.
///
/// # Errors
/// [`ReadError::NotALibrary`].
pub fn needs(library: &[u8]) -> Result<Needs, ReadError> {
    let wrong = |error: object::Error| ReadError::NotALibrary(error.to_string());
    let file = ElfFile64::<Endianness>::parse(library).map_err(wrong)?;
    let table = file.elf_section_table().dynamic_table(file.endian(), library).map_err(wrong)?;
    let (mut needs, mut older) = (Needs::default(), Vec::new());
    let folders = |text: String| text.split(':').map(String::from).collect::<Vec<_>>();
    for entry in table.iter() {
        let text = || table.string(entry).map(|text| String::from_utf8_lossy(text).into_owned()).map_err(wrong);
        match entry.tag {
            DT_SONAME => needs.name = Some(text()?),
            DT_NEEDED => needs.libraries.push(text()?),
            DT_RUNPATH => needs.folders.extend(folders(text()?)),
            DT_RPATH => older.extend(folders(text()?)),
            _ => {}
        }
    }
    if needs.folders.is_empty() {
        needs.folders = older;
    }
    Ok(needs)
}
