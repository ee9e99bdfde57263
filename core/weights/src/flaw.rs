//! What is wrong with files and folders that should hold weights. Each flaw has a code and a sentence of its own.

/// Why a file is no complete safetensors file.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It ends before its last tensor. The user must fetch it again.
    #[error("its tensors have {wanted} bytes, but the file has {found}; it is truncated, copy or download it again")]
    Truncated {
        /// By its header.
        wanted: u64,
        /// By its length.
        found: u64,
    },
    /// It goes on after its last tensor.
    #[error("its tensors have {wanted} bytes, but the file has {found}; something was appended, download it again")]
    Surplus {
        /// By its header.
        wanted: u64,
        /// By its length.
        found: u64,
    },
    /// It ends inside its header.
    #[error("its header has {header} bytes, but the file has {file}; it is truncated, or no safetensors file at all")]
    HeaderBeyondFile {
        /// Length of the header, as the file begins.
        header: u64,
        /// Length of the file.
        file: u64,
    },
    /// Its header is longer than any that we accept.
    #[error("its header has {header} bytes, more than the {most} that we read; it is no safetensors file, or damaged")]
    HeaderTooLong {
        /// Length of the header, as the file begins.
        header: u64,
        /// The most that is read.
        most: u64,
    },
    /// Two tensors share bytes, or bytes belong to no tensor.
    #[error("the bytes of {0} overlap those of another tensor or leave a gap; the file is damaged, download it again")]
    Offsets(String),
    /// Its header is no JSON of the format, or contradicts itself.
    #[error("{0}")]
    Header(String),
    /// It is compressed, and its frame is damaged or of a kind that we do not read.
    #[error("it is compressed with Zstandard, and {0}")]
    Compressed(String),
}

impl Flaw {
    /// A word for programs. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Flaw::Truncated { .. } => "weights.truncated",
            Flaw::Surplus { .. } => "weights.surplus",
            Flaw::HeaderBeyondFile { .. } => "weights.header-beyond-file",
            Flaw::HeaderTooLong { .. } => "weights.header-too-long",
            Flaw::Offsets(_) => "weights.offsets",
            Flaw::Header(_) => "weights.header",
            Flaw::Compressed(_) => "weights.compressed",
        }
    }
}

/// A file that often stands in the place of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// A folder cloned without large files.
    #[error("it is a pointer of Git LFS, a few lines in place of the file; fetch the file with `git lfs pull`")]
    Pointer,
    /// What a server answers in place of the file.
    #[error("it is a web page, probably an error message of a server; download the file again")]
    Page,
    /// Nothing.
    #[error("it is empty; download or copy it again")]
    Empty,
    /// Weights of Flax.
    #[error("it is a Flax file (.msgpack); take the safetensors or PyTorch file of the same model")]
    Flax,
}

impl Stranger {
    /// A word for programs. It never changes.
    pub fn code(self) -> &'static str {
        match self {
            Stranger::Pointer => "weights.pointer",
            Stranger::Page => "weights.web-page",
            Stranger::Empty => "weights.empty",
            Stranger::Flax => "weights.flax",
        }
    }
}

/// Why a folder, or the index of files in it, gives no weights.
#[derive(Debug, thiserror::Error)]
pub enum FolderFlaw {
    /// There is nothing that we read.
    #[error("has no weights file ({wanted}); {found}")]
    NoWeights {
        /// The names that are looked for.
        wanted: String,
        /// What is there in place of it, and what to do.
        found: String,
    },
    /// The variant is not there.
    #[error("has no variant `{variant}` of its weights; it has {}", have(found))]
    NoVariant {
        /// As asked for.
        variant: String,
        /// The variants that are there; the empty name stands for none.
        found: Vec<String>,
    },
    /// There are only variants, and none was asked for.
    #[error("has its weights only as variants; name the file of one in place of the folder: {}", found.join(" or "))]
    OnlyVariants {
        /// Their files.
        found: Vec<String>,
    },
    /// The index is not what it should be.
    #[error("is no index of weights files: {0}")]
    Index(String),
    /// A file of the index is not there.
    #[error("names the file {file}, which is not in its folder; download it too")]
    MissingFile {
        /// Its name.
        file: String,
    },
    /// A tensor of the index is in no file.
    #[error(
        "says that `{tensor}` is in {file}, but it is not; the files belong to different models, download them again"
    )]
    AbsentTensor {
        /// Its name.
        tensor: String,
        /// The file that should hold it.
        file: String,
    },
    /// Two files hold a tensor of one name.
    #[error("has `{tensor}` in {first} and in {second}; remove the file that does not belong to the model")]
    Twice {
        /// Its name.
        tensor: String,
        /// A file with it.
        first: String,
        /// The other file with it.
        second: String,
    },
}

impl FolderFlaw {
    /// A word for programs. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            FolderFlaw::NoWeights { .. } => "weights.no-file",
            FolderFlaw::NoVariant { .. } => "weights.no-variant",
            FolderFlaw::OnlyVariants { .. } => "weights.only-variants",
            FolderFlaw::Index(_) => "weights.index",
            FolderFlaw::MissingFile { .. } => "weights.missing-file",
            FolderFlaw::AbsentTensor { .. } => "weights.absent-tensor",
            FolderFlaw::Twice { .. } => "weights.twice",
        }
    }
}

/// The variants that are there.
fn have(found: &[String]) -> String {
    let named =
        found.iter().map(|name| if name.is_empty() { "the one without a name".into() } else { format!("`{name}`") });
    named.collect::<Vec<_>>().join(" and ")
}
