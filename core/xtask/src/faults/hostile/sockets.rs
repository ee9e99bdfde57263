//! Connections that are slow, half closed, or left alone.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::Result;

use super::forms::form;
use super::{Outcome, Upload};
use crate::random::Random;
use crate::service::{Answer, Client, answer};

/// Misuses a connection in some way.
///
/// # Errors
/// The server hangs.
pub fn misuse(client: Client, upload: &Upload, random: &mut Random) -> Result<Outcome> {
    let body = form(upload, &upload.bytes[..upload.bytes.len().min(4000)]);
    let head = client.head("POST", "/v1/runs");
    let head =
        format!("{head}Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: {}\r\n\r\n", body.len());
    let whole = [head.as_bytes(), &body].concat();
    let cut = random.below(whole.len() as u64) as usize;
    let mut stream = client.connect()?;
    let (way, answer) = match random.below(6) {
        0 => ("closed at once", None),
        1 => {
            // The server may close first.
            let _ = stream.write_all(&whole[..cut]);
            ("closed within a request", None)
        }
        2 => ("half closed within a request", answer_to(stream, &whole[..cut])?),
        3 => ("half closed after a request", answer_to(stream, &whole)?),
        4 => {
            slowly(&mut stream, &whole, random);
            ("slow, half closed after a request", answer_to(stream, b"")?)
        }
        _ => {
            slowly(&mut stream, &whole[..cut], random);
            ("slow, closed within a request", None)
        }
    };
    Ok(Outcome { about: format!("a connection {way}, {cut} of {} bytes", whole.len()), answer, may_close: true })
}

/// Sends bytes, closes this half, and reads the answer.
///
/// # Errors
/// The server hangs.
pub fn answer_to(mut stream: TcpStream, bytes: &[u8]) -> Result<Option<Answer>> {
    // The server may close first.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    answer(stream)
}

/// Sends bytes in up to twenty parts, with pauses.
fn slowly(stream: &mut TcpStream, bytes: &[u8], random: &mut Random) {
    let part = (bytes.len() / 20).max(1);
    for part in bytes.chunks(part) {
        if stream.write_all(part).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(random.below(15)));
    }
}
