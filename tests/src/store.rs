//! A real S3-compatible store on this machine, and a line to it that can be bad.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Http, leave_out, python};

/// moto checks no signature, but wants to know an account.
const ACCOUNT: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
/// The bucket of a [`Store`].
pub const BUCKET: &str = "bucket";

/// A store with an empty bucket. It ends with this value.
pub struct Store {
    server: Child,
    _input: ChildStdin,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Store {
    /// Starts the server; `None` on a machine without it.
    ///
    /// # Panics
    /// In CI if it is missing; if it does not start.
    pub fn start() -> Option<Store> {
        let python = python()?;
        let has_moto =
            Command::new(&python).args(["-c", "import moto.moto_server, flask_cors"]).stderr(Stdio::null()).status();
        if !has_moto.is_ok_and(|status| status.success()) {
            leave_out("moto", "the Python that ANYFLOW_PYTHON names has no moto (`cargo xtask test` provides one)");
            return None;
        }
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/s3.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().expect("the store starts");
        let input = server.stdin.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a port");
        let port: u16 = line.trim().parse().expect("a port");
        let store = Store { server, _input: input, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        store.request("PUT", "", &[], b"");
        Some(store)
    }

    /// The variables with which a program finds the store.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        variables(self.address)
    }

    /// Puts an object.
    ///
    /// # Panics
    /// If it is refused.
    pub fn put(&self, key: &str, content: &[u8]) {
        self.request("PUT", key, &[("x-amz-acl", "public-read")], content);
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", key, &[], b"")
    }

    /// Removes an object.
    ///
    /// # Panics
    /// If it is refused.
    pub fn delete(&self, key: &str) {
        self.request("DELETE", key, &[], b"");
    }

    /// The keys below a folder, in order.
    ///
    /// # Panics
    /// If the store does not answer.
    pub fn keys(&self, folder: &str) -> Vec<String> {
        let mut keys = Vec::new();
        loop {
            let after = keys.last().map(|last| format!("&start-after={last}")).unwrap_or_default();
            let listed = self.request("GET", &format!("?list-type=2&prefix={folder}/{after}"), &[], b"");
            let listed = String::from_utf8(listed).expect("a listing");
            let found = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            keys.extend(found.map(String::from));
            if !listed.contains("<IsTruncated>true") {
                return keys;
            }
        }
    }

    fn request(&self, method: &str, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut http = Http::new(self.address);
        let headers = headers.iter().chain(&[("Authorization", ACCOUNT)]);
        http.headers = headers.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let separator = if key.starts_with('?') { "" } else { "/" };
        let response = http.request(method, &format!("/{BUCKET}{separator}{key}"), "application/octet-stream", body);
        assert!(response.status < 300, "{method} {key}: {} {}", response.status, response.text());
        response.body
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The variables with which a program finds a store at an address.
fn variables(address: SocketAddr) -> Vec<(&'static str, OsString)> {
    vec![
        ("AWS_ENDPOINT_URL", format!("http://{address}").into()),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "test".into()),
        ("AWS_REGION", "us-east-1".into()),
    ]
}

/// A request on its way to a store.
pub struct Passing<'r> {
    /// `GET`, `PUT` ...
    pub method: &'r str,
    /// Path and query.
    pub path: &'r str,
    /// How many requests passed before.
    pub number: u64,
}

/// What the line does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is slow.
    Delay(Duration),
    /// The store is busy: status 503, and the request is not carried out.
    Busy,
    /// The connection breaks before the request arrives.
    Reset,
    /// The request is carried out, and the connection breaks before the answer arrives.
    LoseAnswer,
    /// The store does not know conditions, and carries the request out without them.
    DropConditions,
}

/// A line to a store that disturbs requests. It ends with this value.
pub struct Line {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    store: SocketAddr,
    rule: Box<dyn Fn(&Passing<'_>) -> Fault + Send + Sync>,
    passed: AtomicU64,
    faults: AtomicU64,
    /// Bytes of the bodies of answers.
    answered: AtomicU64,
    log: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Line {
    /// A line to a store.
    ///
    /// # Panics
    /// If no port is free.
    pub fn to(store: &Store, rule: impl Fn(&Passing<'_>) -> Fault + Send + Sync + 'static) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (passed, faults, answered, log, ended) = Default::default();
        let shared =
            Arc::new(Shared { store: store.address, rule: Box::new(rule), passed, faults, answered, log, ended });
        let of_thread = shared.clone();
        let listen = move || {
            for stream in listener.incoming().flatten() {
                if of_thread.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = of_thread.clone();
                std::thread::spawn(move || while shared.pass(&stream).is_some() {});
            }
        };
        Line { address, shared, listener: Some(std::thread::spawn(listen)) }
    }

    /// The variables with which a program finds the store by this line.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        variables(self.address)
    }

    /// Requests that were disturbed.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// Bytes of the bodies of all answers.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// The requests so far, such as `PUT /bucket/out/job.json`.
    ///
    /// # Panics
    /// If a thread of the line panicked.
    pub fn requests(&self) -> Vec<String> {
        self.shared.log.lock().expect("no panic").clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.listener.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// Passes one request and its answer. `None` when the connection ends.
    fn pass(&self, client: &TcpStream) -> Option<()> {
        let mut request = Message::read(client)?;
        let line = request.lines.first()?.clone();
        let mut words = line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        self.log.lock().ok()?.push(format!("{method} {path}"));
        let fault = (self.rule)(&Passing { method, path, number });
        if fault != Fault::None {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        match fault {
            Fault::Delay(time) => std::thread::sleep(time),
            Fault::Busy => {
                let mut client = client;
                return client.write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n").ok();
            }
            Fault::Reset => return broken(client),
            Fault::DropConditions => request.lines.retain(|line| !line.to_lowercase().starts_with("if-")),
            Fault::None | Fault::LoseAnswer => {}
        }
        // The store closes the connection behind its answer.
        request.lines.retain(|line| !line.to_lowercase().starts_with("connection:"));
        request.lines.push("Connection: close".into());
        let mut store = TcpStream::connect(self.store).ok()?;
        store.write_all(&request.bytes()).ok()?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer).ok()?;
        if fault == Fault::LoseAnswer {
            return broken(client);
        }
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |head| head + 4);
        self.answered.fetch_add((answer.len() - head) as u64, Ordering::SeqCst);
        let mut client = client;
        client.write_all(&answer).ok()?;
        // The answer says that the connection ends.
        client.shutdown(Shutdown::Both).ok().and(None)
    }
}

fn broken(client: &TcpStream) -> Option<()> {
    let _ = client.shutdown(Shutdown::Both);
    None
}

/// A request of HTTP/1.1 with the length of its body.
struct Message {
    lines: Vec<String>,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &TcpStream) -> Option<Message> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_string()),
            }
        }
        let length =
            lines.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        Some(Message { lines, body })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n\r\n", self.lines.join("\r\n")).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
