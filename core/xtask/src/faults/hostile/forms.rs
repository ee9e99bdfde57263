//! Forms with files: of the corpus, changed, or with a broken structure.

use anyhow::Result;

use super::values::change;
use super::{Outcome, Upload};
use crate::random::Random;
use crate::service::Client;

const MEDIA: &str = "multipart/form-data; boundary=edge";

/// Sends a file of the corpus as it is.
///
/// # Errors
/// The server does not answer.
pub fn upload(client: Client, upload: &Upload) -> Result<Outcome> {
    send(client, upload, form(upload, &upload.bytes), MEDIA)
}

/// Sends a file with some bytes changed or cut.
///
/// # Errors
/// The server does not answer.
pub fn changed(client: Client, upload: &Upload, random: &mut Random) -> Result<Outcome> {
    let mut bytes = upload.bytes.clone();
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
    }
    for _ in 0..random.below(20) {
        change(&mut bytes, random);
    }
    send(client, upload, form(upload, &bytes), MEDIA)
}

/// Sends a form with a broken structure.
///
/// # Errors
/// The server does not answer.
pub fn broken(client: Client, upload: &Upload, random: &mut Random) -> Result<Outcome> {
    let mut body = form(upload, &upload.bytes[..upload.bytes.len().min(200)]);
    let mut media = MEDIA.to_string();
    match random.below(7) {
        0 => body.truncate(random.below(body.len() as u64) as usize),
        1 => change(&mut body, random),
        2 => {
            media = [
                "multipart/form-data",
                "multipart/form-data; boundary=",
                "multipart/mixed; boundary=edge",
                "multipart/form-data; boundary=other",
            ][random.below(4) as usize]
                .into()
        }
        3 => media = format!("multipart/form-data; boundary={}", "e".repeat(random.below(3000) as usize)),
        4 => {
            let part = b"--edge\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nx\r\n"
                .repeat(random.below(3000) as usize);
            body = [part, body].concat();
        }
        5 => {
            let name = "n".repeat(random.below(60_000) as usize);
            let part = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"../../{name}\"\r\n\r\nx\r\n"
            );
            body = [part.into_bytes(), body].concat();
        }
        _ => {
            let head = format!("--edge\r\nX: {}\r\n", "h".repeat(random.below(100_000) as usize));
            body = [head.into_bytes(), body].concat();
        }
    }
    send(client, upload, body, &media)
}

/// A form with a request and one file.
pub fn form(upload: &Upload, bytes: &[u8]) -> Vec<u8> {
    let request = upload.target.request();
    let head = format!("--edge\r\nContent-Disposition: form-data; name=\"run\"\r\n\r\n{request}\r\n");
    let part =
        format!("--edge\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"a\"\r\n\r\n", upload.target.input);
    [head.as_bytes(), part.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat()
}

fn send(client: Client, upload: &Upload, body: Vec<u8>, media: &str) -> Result<Outcome> {
    let about = format!("a form of {} bytes with {}", body.len(), upload.name);
    Ok(Outcome { about, answer: Some(client.request("POST", "/v1/runs", media, &body)?), may_close: false })
}
