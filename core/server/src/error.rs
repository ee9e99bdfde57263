//! Why a server cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyflow_datasets::DatasetError;

/// An error that ends the server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The user must name a file with a token.
    #[error("{address} can be reached by others; name a file with a secret token (--token-file), or use 127.0.0.1")]
    NoToken {
        /// The address.
        address: SocketAddr,
    },
    /// The user must correct the file.
    #[error("token file {}: {reason}; write at least 16 random characters into it", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The user must choose another port or address.
    #[error("{address}: cannot be listened on ({source}); choose another --port")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user must rename a pipeline.
    #[error("two pipelines have the name `{name}` (the other is {file}); change `name` in one of them")]
    SameName {
        /// The name.
        name: String,
        /// The file of the first.
        file: String,
    },
    /// The user must choose another folder.
    #[error("--state {}: its path is too long for a socket (107 bytes); choose a shorter one", state.display())]
    LongPath {
        /// The folder.
        state: PathBuf,
    },
    /// The user must choose another folder.
    #[error("--data {}: cannot be listed ({source}); name a folder with Parquet files", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The folder is in use or cannot be written.
    #[error(transparent)]
    Folder(#[from] DatasetError),
    /// The queue cannot be read or written. The user must look at the disk, or choose another folder.
    #[error("the queue cannot be used ({0}); check the disk, or choose another --state")]
    Store(#[from] rusqlite::Error),
    /// A file, thread or socket of the server fails. The user must look at the machine.
    #[error("the server cannot work: {0}")]
    State(std::io::Error),
    /// The engine cannot be started.
    #[error("{text}")]
    Engine {
        /// Why.
        text: String,
    },
}

impl ServerError {
    /// 2 if the user's arguments are wrong, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServerError::NoToken { .. }
            | ServerError::Token { .. }
            | ServerError::SameName { .. }
            | ServerError::LongPath { .. }
            | ServerError::Data { .. } => 2,
            ServerError::Folder(error) => u8::try_from(error.fault().exit_code()).unwrap_or(1),
            ServerError::Address { .. }
            | ServerError::Store(_)
            | ServerError::State(_)
            | ServerError::Engine { .. } => 1,
        }
    }

    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ServerError::NoToken { .. } => "server.no-token",
            ServerError::Token { .. } => "server.token",
            ServerError::Address { .. } => "server.address",
            ServerError::SameName { .. } => "server.same-name",
            ServerError::LongPath { .. } => "server.long-path",
            ServerError::Data { .. } => "server.data",
            ServerError::Folder(error) => error.code(),
            ServerError::Store(_) => "server.store",
            ServerError::State(_) => "server.state",
            ServerError::Engine { .. } => "server.engine",
        }
    }
}
