//! JSON that is broken, and JSON of the wrong form.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Outcome, Target};
use crate::random::Random;
use crate::service::Client;

const JSON: &str = "application/json";
const PATHS: [&str; 3] = ["/v1/runs", "/v1/runs", "/v1/jobs"];
/// Texts that programs confuse with something else.
const TEXTS: [&str; 12] = [
    "",
    "null",
    "../../etc/passwd",
    "/etc/passwd",
    "data.parquet",
    "joint.sampler.steps",
    "\u{0}",
    "\u{202e}abc",
    "1e999",
    "{{7*7}}",
    "'; drop table runs; --",
    "<script>alert(1)</script>",
];

/// A valid text with some bytes changed, cut, repeated, or nested deeply.
///
/// # Errors
/// The server does not answer.
pub fn text(client: Client, target: &Target, random: &mut Random) -> Result<Outcome> {
    let mut request = target.request();
    request["rows"] = json!([{ target.input: {"base64": "iVBORw0KGgo="} }]);
    let mut body = request.to_string().into_bytes();
    match random.below(5) {
        0 => body.truncate(random.below(body.len() as u64) as usize),
        1 => {
            let depth = 1 + random.below(200_000) as usize;
            body = [&b"["[..], b"{\"rows\":"][random.below(2) as usize].repeat(depth);
        }
        2 => {
            let part = body.clone();
            (0..random.below(2000)).for_each(|_| body.extend_from_slice(&part));
        }
        _ => change(&mut body, random),
    }
    send(client, PATHS[random.below(PATHS.len() as u64) as usize], &body)
}

/// A request in which some values are of another kind.
///
/// # Errors
/// The server does not answer.
pub fn values(client: Client, target: &Target, random: &mut Random) -> Result<Outcome> {
    let mut request = target.request();
    let keys = ["pipeline", "rows", "seed", "set", "preview_steps", "without", "data", "where", "keep", "unknown"];
    for _ in 0..1 + random.below(3) {
        request[*random.of_all(&keys)] = value(random, 4);
    }
    if random.below(2) == 0 {
        request["rows"] = (0..random.below(6)).map(|_| json!({ target.input: value(random, 4) })).collect();
    }
    if random.below(4) == 0 {
        let key = format!(
            "{}.{}",
            target.node,
            ["sampler", "guidance", "seed", "sampler.kind", "sampler.steps"][random.below(5) as usize]
        );
        request["set"] = json!({ key: value(random, 3) });
    }
    send(client, PATHS[random.below(PATHS.len() as u64) as usize], request.to_string().as_bytes())
}

fn send(client: Client, path: &str, body: &[u8]) -> Result<Outcome> {
    let shown: String = String::from_utf8_lossy(body).chars().take(200).collect();
    let about = format!("POST {path} of {} bytes: {shown}", body.len());
    Ok(Outcome { about, answer: Some(client.request("POST", path, JSON, body)?), may_close: false })
}

/// Changes some bytes.
pub fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        if bytes.is_empty() {
            return;
        }
        let place = random.below(bytes.len() as u64) as usize;
        match random.below(4) {
            0 => drop(bytes.remove(place)),
            1 => bytes.insert(place, random.next() as u8),
            2 => bytes[place] ^= 1 << random.below(8),
            _ => bytes[place] = *random.of_all(b"{}[]\",:0\\\0\xff\x7f"),
        }
    }
}

/// Some JSON.
fn value(random: &mut Random, depth: u64) -> Value {
    match random.below(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.next()),
        3 => json!(*random.of_all(&[-1.0, 0.5, 1e300, -1e-300, 4_294_967_296.0])),
        4 => json!(*random.of_all(&[-1, 0, 1, 3, 1001, i64::MIN, i64::MAX])),
        5 => json!(*random.of_all(&TEXTS)),
        6 => json!("x".repeat(random.below(20_000) as usize)),
        7 => (0..random.below(5)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let entries = (0..random.below(4)).map(|_| (random.of_all(&TEXTS).to_string(), value(random, depth - 1)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}
