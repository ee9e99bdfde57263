//! Errors of weights files. Callers put the file's name in front of these texts.

use std::fmt;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use crate::flaw::{Flaw, FolderFlaw, Stranger};

/// The result type of this crate.
pub type Result<T, E = WeightsError> = std::result::Result<T, E>;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read. The user must correct the path or check the machine.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The file is not a safetensors file, or is cut. The user must copy or write it again.
    #[error("is not a complete safetensors file: {0}")]
    Foreign(Flaw),
    /// The file holds something else. The user must fetch the right one.
    #[error("holds no weights: {0}")]
    Stranger(Stranger),
    /// A tensor has a type that no network computes in. The user must take the file of another precision.
    #[error(
        "holds `{tensor}` as {dtype:?}, {}; take the file of this model in F32, F16 or BF16",
        scheme(*dtype)
    )]
    Quantized {
        /// Its name.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A folder has no weights file that we read.
    #[error(transparent)]
    Folder(#[from] FolderFlaw),
    /// The file is not a PyTorch file, is damaged, or holds more than tensors. The user must save the state dict again.
    #[error(
        "is not a PyTorch file of plain tensors: {0}; save it again with `torch.save(model.state_dict(), ...)`, or better \
         as safetensors"
    )]
    Pickle(String),
    /// The file changed while it was read. The user must wait until nothing writes to it.
    #[error("changed while it was read; run again when nothing writes to it")]
    Changed,
    /// The content differs from the recorded hash. The user must restore the file, unless it was changed on purpose.
    #[error(
        "has changed since it was written (hash {found}, recorded {expected}): it is damaged or was \
         changed; restore it from a copy, or, if the change is wanted, remove `{}` from its metadata",
        crate::CONTENT_KEY
    )]
    Damaged {
        /// The hash in its metadata.
        expected: String,
        /// The hash of its content.
        found: String,
    },
    /// The file cannot be written. The user must check disk and permissions.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
}

impl WeightsError {
    pub(crate) fn foreign(reason: impl ToString) -> Self {
        WeightsError::Foreign(Flaw::Header(reason.to_string()))
    }

    /// A word for programs. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            WeightsError::Read(_) => "weights.read",
            WeightsError::Foreign(flaw) => flaw.code(),
            WeightsError::Stranger(stranger) => stranger.code(),
            WeightsError::Quantized { .. } => "weights.quantized-type",
            WeightsError::Folder(flaw) => flaw.code(),
            WeightsError::Pickle(_) => "weights.pickle",
            WeightsError::Changed => "weights.changed",
            WeightsError::Damaged { .. } => "weights.damaged",
            WeightsError::Write(_) => "weights.write",
        }
    }
}

/// The scheme that a type belongs to.
fn scheme(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::U8 | Dtype::I8 => "packed numbers of a quantized file (nf4, int8)",
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::F8_E8M0 => "floats of a quantized file (MX)",
        _ => "8-bit floats of a quantized file (fp8)",
    }
}

/// An error with the file or folder that it is about.
#[derive(Debug)]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: WeightsError,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.error)
    }
}

impl std::error::Error for FileError {}

impl FileError {
    /// Names the file or folder.
    pub fn at(path: &Path) -> impl FnOnce(WeightsError) -> FileError {
        |error| FileError { path: path.to_path_buf(), error }
    }
}
