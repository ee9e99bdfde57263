//! Why a published model cannot be adopted.

use anyflow_weights::FileError;

/// The result type of this module.
pub(super) type Result<T, E = AdoptError> = std::result::Result<T, E>;

/// Why a published model cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// There is nothing to read.
    #[error(
        "{folder} holds no published model: it has neither model_index.json nor config.json. Name the folder that \
         `save_pretrained` wrote, or for the files of a tiny autoencoder say --like taesd"
    )]
    NoModel {
        /// The folder.
        folder: String,
    },
    /// `--like` names an unknown family.
    #[error("unknown family `{like}` in --like; known are {known}")]
    UnknownFamily {
        /// As written.
        like: String,
        /// All that are known.
        known: String,
    },
    /// A configuration cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A configuration is not a JSON object.
    #[error("{path} is not a JSON object: {text}; download it again")]
    Json {
        /// The file.
        path: String,
        /// What is wrong.
        text: String,
    },
    /// The class belongs to an unknown family.
    #[error("{path}: the class `{class}` is not known; known are {known}")]
    UnknownClass {
        /// The configuration.
        path: String,
        /// The class.
        class: String,
        /// All that are known.
        known: String,
    },
    /// A switch has a value that we do not build.
    #[error("{path}: `{key}` is {found}, but only {usual} can be run; this model cannot be adopted")]
    Unusual {
        /// The configuration.
        path: String,
        /// Its key.
        key: String,
        /// Its value.
        found: String,
        /// What can be run.
        usual: String,
    },
    /// A value is missing or of another form.
    #[error("{path}: `{key}` is {found}, but {wanted} is needed; the file is damaged or of another class")]
    Form {
        /// The configuration.
        path: String,
        /// Its key.
        key: String,
        /// Its value.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// The scheduler is of no class that we know.
    #[error(
        "{path}: the scheduler `{class}` {reason}; put the scheduler_config.json of another one there, such as {known}"
    )]
    Scheduler {
        /// The configuration.
        path: String,
        /// Its class.
        class: String,
        /// What is wrong with it.
        reason: &'static str,
        /// All that are known.
        known: String,
    },
    /// A part of a pipeline is not there.
    #[error("{folder} has no part `{part}`, which this class needs; download it too")]
    NoPart {
        /// The folder of the pipeline.
        folder: String,
        /// The part.
        part: String,
    },
    /// The weights are quantized.
    #[error(
        "{path} has a `quantization_config` ({method}): the weights are quantized; take the model in f32, f16 or bf16"
    )]
    QuantizationConfig {
        /// The configuration.
        path: String,
        /// The scheme.
        method: String,
    },
    /// The tokenizer lacks files.
    #[error("{folder} holds no tokenizer: {missing} is missing; download it too")]
    Tokenizer {
        /// The folder.
        folder: String,
        /// What is missing.
        missing: String,
    },
    /// A folder has the files of several models, or of none.
    #[error("{folder}: {text}")]
    Files {
        /// The folder.
        folder: String,
        /// What is wrong, and what to do.
        text: String,
    },
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] FileError),
}

impl AdoptError {
    /// A word for programs. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            AdoptError::NoModel { .. } => "adopt.no-model",
            AdoptError::UnknownFamily { .. } => "adopt.unknown-family",
            AdoptError::Read { .. } => "adopt.read",
            AdoptError::Json { .. } => "adopt.json",
            AdoptError::UnknownClass { .. } => "adopt.unknown-class",
            AdoptError::Unusual { .. } => "adopt.unusual",
            AdoptError::Form { .. } => "adopt.form",
            AdoptError::Scheduler { .. } => "adopt.scheduler",
            AdoptError::NoPart { .. } => "adopt.no-part",
            AdoptError::QuantizationConfig { .. } => "adopt.quantized",
            AdoptError::Tokenizer { .. } => "adopt.tokenizer",
            AdoptError::Files { .. } => "adopt.files",
            AdoptError::Weights(error) => error.error.code(),
        }
    }
}
