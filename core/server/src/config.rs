//! Addresses, limits and folders of a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyflow_plan::service::ServeOrder;

use crate::error::ServerError;

/// The configuration of a server.
pub struct ServerConfig {
    /// The address to listen on.
    pub address: SocketAddr,
    /// What clients must know; `None` only for the loopback address.
    pub token: Option<Token>,
    /// The limits of requests.
    pub limits: Limits,
    /// The folder of queue and history.
    pub state: PathBuf,
    /// The order for the engine. The server sets its socket.
    pub engine: ServeOrder,
}

/// The limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request.
    pub upload_bytes: usize,
    /// Rows of a run.
    pub rows: u64,
    /// Steps of a sampler.
    pub steps: usize,
    /// Runs that wait.
    pub queue: u64,
    /// Runs in the engine at a time.
    pub running: usize,
    /// Ended runs to keep.
    pub history: u64,
}

/// A secret. Only its hash is kept, and hashes are compared in constant time.
#[derive(Clone)]
pub struct Token(blake3::Hash);

/// The shortest token that cannot be guessed.
const SHORTEST_TOKEN: usize = 16;

impl Token {
    /// Reads a token from a file; white space around it does not count.
    ///
    /// # Errors
    /// [`ServerError::Token`]: the file cannot be read, or its token is too short.
    pub fn read(path: &Path) -> Result<Token, ServerError> {
        let unusable = |reason: String| ServerError::Token { path: path.into(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(format!("cannot be read ({error})")))?;
        let token = text.trim();
        if token.len() < SHORTEST_TOKEN {
            return Err(unusable(format!("holds {} characters, fewer than {SHORTEST_TOKEN}", token.len())));
        }
        Ok(Token(blake3::hash(token.as_bytes())))
    }

    /// True if a client knows the token.
    pub fn is(&self, offered: &str) -> bool {
        self.0 == blake3::hash(offered.trim().as_bytes())
    }
}

impl ServerConfig {
    /// Refuses an address that others can reach without a token.
    ///
    /// # Errors
    /// [`ServerError::NoToken`].
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        if self.token.is_none() && !self.address.ip().is_loopback() {
            return Err(ServerError::NoToken { address: self.address });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_without_the_space_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "  0123456789abcdef\n").unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is("0123456789abcdef") && !token.is("0123456789abcdeF") && !token.is(""));
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(Token::read(&path), Err(ServerError::Token { .. })));
    }
}
