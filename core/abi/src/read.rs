//! For hosts: reads the descriptor and the loader's dependencies from a library file, without loading it.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME};
use object::read::elf::ElfFile64;
use object::{Architecture, Endianness, Object, ObjectSection};

use crate::SECTION;

/// Why a file has no readable descriptor.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not a library that this host can load. The user must pass another file.
    #[error("not a shared library for this platform: {0}")]
    NotALibrary(String),
    /// The library is not a plugin, or its author did not export it.
    #[error(
        "no section `{SECTION}`: this is not an Anyflow plugin, or it was built without `export_plugin!` (in C, \
         ANYFLOW_DESCRIPTOR); rebuild it with the SDK"
    )]
    NoSection,
    /// The section does not hold text. The plugin's author must act.
    #[error("the section `{SECTION}` is not UTF-8")]
    NotText,
}

/// The descriptor JSON in the bytes of a plugin's library file, without trailing zero bytes of its section.
///
/// # Errors
/// See [`ReadError`].
pub fn descriptor(library: &[u8]) -> Result<&str, ReadError> {
    let file = parsed(library)?;
    let section = file.section_by_name(SECTION).ok_or(ReadError::NoSection)?;
    let bytes = section.data().map_err(|e| ReadError::NotALibrary(e.to_string()))?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    core::str::from_utf8(&bytes[..end]).map_err(|_| ReadError::NotText)
}

/// The machine that a library is made for, if it is not this one: `aarch64`, for example.
///
/// # Errors
/// [`ReadError::NotALibrary`].
pub fn other_machine(library: &[u8]) -> Result<Option<String>, ReadError> {
    let architecture = parsed(library)?.architecture();
    let name = format!("{architecture:?}").to_lowercase();
    Ok(Some(name).filter(|name| architecture != Architecture::Unknown && name != std::env::consts::ARCH))
}

fn parsed(library: &[u8]) -> Result<object::File<'_>, ReadError> {
    object::File::parse(library).map_err(|error| {
        ReadError::NotALibrary(match library {
            [] => "the file is empty".into(),
            [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', b't', b't', b'p', ..] => {
                "the file is a Git LFS pointer; `git lfs pull` fetches the library".into()
            }
            [b'M', b'Z', ..] => "it is a Windows library".into(),
            [0xCF, 0xFA, 0xED, 0xFE, ..] | [0xCA, 0xFE, 0xBA, 0xBE, ..] => "it is a macOS library".into(),
            [0x7F, b'E', b'L', b'F', ..] => format!("the file is cut or damaged ({error}); copy it again"),
            _ => error.to_string(),
        })
    })
}

/// The dependencies that a library names for the system's loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The name by which other libraries request it (`DT_SONAME`).
    pub name: Option<String>,
    /// Names of the libraries that it requires (`DT_NEEDED`).
    pub libraries: Vec<String>,
    /// Folders that are searched for them first (`DT_RUNPATH`, or without one `DT_RPATH`), as written in the file.
    pub folders: Vec<String>,
}

/// The dependencies in the bytes of a library file.
///
/// # Errors
/// [`ReadError::NotALibrary`].
pub fn needs(library: &[u8]) -> Result<Needs, ReadError> {
    let wrong = |error: object::Error| ReadError::NotALibrary(error.to_string());
    let file = ElfFile64::<Endianness>::parse(library).map_err(wrong)?;
    let table = file.elf_section_table().dynamic_table(file.endian(), library).map_err(wrong)?;
    let mut needs = Needs::default();
    let mut older = Vec::new();
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
