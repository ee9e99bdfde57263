//! For hosts: the descriptor out of a library file, without loading it.

use object::{Object, ObjectSection};

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
