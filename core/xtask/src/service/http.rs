//! A small HTTP client: one request per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Time limit of an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// A client of a server.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The server's address.
    pub address: SocketAddr,
}

impl Client {
    /// A client of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Client { address }
    }

    /// `GET`.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, "", &[])
    }

    /// `POST` of JSON.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request("POST", path, "application/json", body.to_string().as_bytes())
    }

    /// A request with a body of a media type; without a media type, there is no body.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn request(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Result<Answer> {
        let mut bytes = self.head(method, path);
        if !media.is_empty() {
            bytes += &format!("Content-Type: {media}\r\nContent-Length: {}\r\n", body.len());
        }
        bytes += "\r\n";
        let bytes = [bytes.as_bytes(), body].concat();
        self.raw(&bytes)?.with_context(|| format!("no answer to {method} {path}"))
    }

    /// The first lines of a request.
    pub fn head(&self, method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nHost: {}\r\n", self.address)
    }

    /// A connection.
    ///
    /// # Errors
    /// The server does not listen.
    pub fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).context("the server does not listen")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sends bytes as they are. `None` if the server closes the connection without an answer.
    ///
    /// # Errors
    /// The server does not listen, or is silent for too long.
    pub fn raw(&self, bytes: &[u8]) -> Result<Option<Answer>> {
        let mut stream = self.connect()?;
        // The server may answer, and close, before it has read everything.
        let _ = stream.write_all(bytes);
        answer(stream)
    }

    /// Follows a stream of events to its end, and returns the last event.
    ///
    /// # Errors
    /// The stream ends early.
    pub fn last_event(&self, path: &str) -> Result<Value> {
        let mut stream = self.connect()?;
        stream.write_all(format!("{}\r\n", self.head("GET", path)).as_bytes())?;
        let mut is_last = false;
        for line in BufReader::new(stream).lines() {
            let line = line.context("the events ended")?;
            if let Some(data) = line.strip_prefix("data:").filter(|_| is_last) {
                return serde_json::from_str(data.trim()).context("an event is not JSON");
            }
            is_last = is_last || line.strip_prefix("event:").is_some_and(|name| name.trim() == "done");
        }
        bail!("the events of {path} ended without the last one")
    }
}

/// Reads an answer; `None` if there is none.
///
/// # Errors
/// The server is silent for too long.
pub fn answer(stream: TcpStream) -> Result<Option<Answer>> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            bail!("the server is silent for {} s", PATIENCE.as_secs())
        }
        // The server closed a connection on which it had more to read.
        Err(_) => return Ok(None),
    }
    let Some(status) = line.split_whitespace().nth(1).and_then(|status| status.parse().ok()) else { return Ok(None) };
    let mut length = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    // The end of an answer may be lost with a connection that is closed early.
    let _ = match length {
        Some(length) => stream.take(length).read_to_end(&mut body),
        None => stream.read_to_end(&mut body),
    };
    Ok(Some(Answer { status, body }))
}
