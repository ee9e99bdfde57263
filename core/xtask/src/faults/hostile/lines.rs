//! First lines and headers.

use anyhow::Result;

use super::Outcome;
use crate::random::Random;
use crate::service::Client;

const METHODS: [&str; 10] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"];
const PATHS: [&str; 22] = [
    "/",
    "*",
    "",
    "//",
    "/v1",
    "/v1/runs",
    "/v1/jobs",
    "/v1/pipelines/..%2f..%2fCargo.toml/graph.svg",
    "/v1/pipelines/%00/pipeline.yaml",
    "/v1/runs/../../etc/passwd",
    "/v1/runs/%2e%2e/events",
    "/v1/runs/none/outputs/image/0",
    "/v1/runs/none/outputs/image/-1",
    "/v1/jobs/none/files/..%2f..%2fjobs.sqlite",
    "/v1/jobs/..%2f..%2f/files/x",
    "/v1/runs/%ff%fe",
    "/page.js/../../",
    "/metrics?a=%",
    "/healthz#x",
    "http://example.org/",
    "/v1/runs?a[]=1&a[]=2",
    "/v1/datasets",
];
const HEADERS: [&str; 18] = [
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5\r\nContent-Length: 6",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: gzip, chunked",
    "Content-Type: application/json",
    "Content-Type: multipart/form-data; boundary=x",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Connection: upgrade, close",
    "Range: bytes=0-",
    "Origin: http://example.org",
    "Authorization: Bearer x",
    "Host: example.org",
    "Accept-Encoding: *;q=0",
    "X: \u{e9}\u{0}\u{7f}",
];

/// A request of random parts; some are no HTTP at all.
///
/// # Errors
/// The server hangs.
pub fn request(client: Client, random: &mut Random) -> Result<Outcome> {
    let mut path = random.of_all(&PATHS).to_string();
    if random.below(10) == 0 {
        path += &"a/".repeat(random.below(60_000) as usize);
    }
    let version = *random.of_all(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "", "ICY"]);
    let mut text = format!("{} {path} {version}\r\nConnection: close\r\n", random.of_all(&METHODS));
    if random.below(5) > 0 {
        text += &format!("Host: {}\r\n", client.address);
    }
    for _ in 0..random.below(4) {
        let header: &&str = random.of_all(&HEADERS[..]);
        text += header;
        text += "\r\n";
    }
    if random.below(12) == 0 {
        text += &"X-Many: y\r\n".repeat(random.below(2000) as usize);
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    match random.below(4) {
        0 => bytes.extend_from_slice(b"{}\r\n0\r\n\r\n"),
        1 => super::values::change(&mut bytes, random),
        _ => {}
    }
    let about = format!("head {:?}", String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>());
    // One that never ends is cut off by the server after some seconds, so this side ends it.
    let stream = client.connect()?;
    let answer = super::sockets::answer_to(stream, &bytes)?;
    Ok(Outcome { about, answer, may_close: true })
}
