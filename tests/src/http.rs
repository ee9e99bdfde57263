//! A small HTTP client: one request per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, with names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A client of a server.
#[derive(Clone, Debug)]
pub struct Http {
    /// The server's address.
    pub address: SocketAddr,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
}

impl Http {
    /// A client without headers of its own.
    pub fn new(address: SocketAddr) -> Self {
        Http { address, headers: Vec::new() }
    }

    /// `GET`.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, "", &[])
    }

    /// `DELETE`.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path, "", &[])
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path, "application/json", body.to_string().as_bytes())
    }

    /// `POST` of a form; each part has a name, and a file name if it is a file.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn post_form(&self, path: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Response {
        let mut body = Vec::new();
        for (name, file, bytes) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
            body.extend_from_slice(bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--edge--\r\n");
        self.request("POST", path, "multipart/form-data; boundary=edge", &body)
    }

    /// A request with a body of some media type; no body if that is empty.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn request(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        if !media.is_empty() {
            head += &format!("Content-Type: {media}\r\nContent-Length: {}\r\n", body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = format!("{head}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes).unwrap_or_else(|| panic!("no response to {method} {path}"))
    }

    /// Sends bytes as they are. `None` if the server closes the connection without a response.
    ///
    /// # Panics
    /// If the server does not listen.
    pub fn raw(&self, bytes: &[u8]) -> Option<Response> {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a time limit");
        // The server may answer before it has read everything.
        let _ = stream.write_all(bytes);
        read(&mut BufReader::new(stream))
    }

    /// Reads server-sent events until `heard` returns false, or the stream ends.
    ///
    /// # Panics
    /// If the server does not send such a stream.
    pub fn events(&self, path: &str, mut heard: impl FnMut(&str, Value) -> bool) {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a time limit");
        let own: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n{own}\r\n", self.address).expect("a request");
        let mut lines = BufReader::new(stream).lines();
        let mut event = String::new();
        // Sizes of chunks are lines of their own, which name no field.
        while let Some(Ok(line)) = lines.next() {
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().into();
            } else if let Some(data) = line.strip_prefix("data:") {
                let data = serde_json::from_str(data.trim()).expect("JSON in an event");
                if !heard(&event, data) || event == "done" {
                    return;
                }
            }
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Response> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let status = line.split_whitespace().nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_string()));
    }
    let mut body = Vec::new();
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            stream.take(size).read_to_end(&mut body).ok()?;
            stream.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    } else {
        // Without a length there is no body, as behind status 204.
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Some(0), |(_, length)| length.parse().ok())?;
        stream.take(length).read_to_end(&mut body).ok()?;
    }
    Some(Response { status, headers, body })
}
