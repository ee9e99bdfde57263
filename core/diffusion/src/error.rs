//! The errors of the engine, and who must act.

use anyflow_native::NativeError;

/// A result with [`EngineError`] as the default error.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error of the engine. It is `Clone` because one failed network call answers several requests.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// A tensor operation failed. The caller must act if the shapes are its own; otherwise this is a bug of the engine.
    #[error("{op} failed on {shapes}: {message}")]
    Tensor {
        /// The operation, by its libtorch name.
        op: &'static str,
        /// The shapes of its inputs, `[2, 3] [3]`.
        shapes: String,
        /// The first line of libtorch's message.
        message: String,
    },
    /// The device is out of memory, even for one row. The user must act: use a smaller model or another device.
    #[error("out of memory in {op} on {shapes}")]
    OutOfMemory {
        /// The operation that failed to allocate.
        op: &'static str,
        /// The shapes of its inputs.
        shapes: String,
    },
    /// A tensor's shape differs from the one that its stream declares. Whoever made the tensor must act.
    #[error("{what} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor, with the name of its stream.
        what: String,
        /// The required shape.
        expected: Vec<i64>,
        /// The actual shape.
        found: Vec<i64>,
    },
    /// A number in a configuration is out of range. The author of the model or pipeline must act.
    #[error("{field} must be {wanted}, found {found}")]
    Config {
        /// The field, as spelled in a configuration.
        field: &'static str,
        /// The range, in words.
        wanted: &'static str,
        /// The actual value.
        found: String,
    },
    /// An option of a schedule or sampler is out of range. The author of the model or pipeline must act.
    #[error("{0}")]
    Options(String),
    /// A request or a model names something that does not exist. Its author must act.
    #[error("unknown {what} {name:?}; known: {known:?}")]
    Unknown {
        /// The kind of thing: stream, denoiser.
        what: &'static str,
        /// The requested name.
        name: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// A request is inconsistent. The caller must act.
    #[error("invalid request: {0}")]
    Request(String),
    /// A closure or a denoiser panicked on the compute thread, which keeps running. The author of that code must act.
    #[error("{what} panicked: {message}")]
    Panicked {
        /// The code that panicked: a call, or a denoiser by name.
        what: String,
        /// The panic's message.
        message: String,
    },
    /// The engine has been dropped. The caller must start another.
    #[error("the engine has stopped")]
    Stopped,
    /// The compute thread could not be started. The user must act: the system refuses new threads.
    #[error("the compute thread could not be started: {0}")]
    Thread(String),
}

impl EngineError {
    /// True if a smaller batch might succeed.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, EngineError::OutOfMemory { .. })
    }
}

impl From<NativeError> for EngineError {
    /// The shapes are not repeated, since the message for a list of tensors names the tensor at fault.
    fn from(error: NativeError) -> Self {
        failed(error.op, "lists of tensors".into(), &error.message)
    }
}

/// The error of a failed operation. libtorch appends a C++ backtrace to the reason, which is the first line.
pub(crate) fn failed(op: &'static str, shapes: String, text: &str) -> EngineError {
    let message = text.lines().next().unwrap_or_default().to_string();
    let exhausted = ["out of memory", "can't allocate memory", "not enough memory"];
    if exhausted.iter().any(|reason| message.contains(reason)) {
        EngineError::OutOfMemory { op, shapes }
    } else {
        EngineError::Tensor { op, shapes, message }
    }
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let said = payload.downcast_ref::<&str>().map(ToString::to_string);
    said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}
