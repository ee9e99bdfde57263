//! Corrupt files of our own formats: YAML files, weights, records of an output folder, events.

use serde_json::{Value, json};

use super::change;
use crate::faults::job::FILES;
use crate::random::Random;

/// A corrupt YAML file with a description.
pub fn yaml(random: &mut Random) -> (Vec<u8>, String) {
    let laughs = |levels: usize| {
        let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "));
        std::iter::once("a0: &a0 ha\n".to_string()).chain((1..levels).map(level)).collect::<String>()
    };
    let texts = [
        ("billion laughs", laughs(12)),
        ("100,000 brackets", format!("anyflow: 1\nname: {}", "[".repeat(100_000))),
        ("3,000 levels", (0..3_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect()),
        ("a scalar of 50 MB", format!("anyflow: 1\nname: {}\n", "x".repeat(50 << 20))),
        ("3,000 unknown keys", (0..3_000).map(|n| format!("key{n}: 1\n")).collect::<String>()),
        ("an escape sequence", "anyflow: 1\n\"\\e[31m\": 1\n".into()),
        ("numbers that do not fit", "anyflow: 99999999999999999999999\nname: -0x1p9999\n".into()),
        ("a key twice", "anyflow: 1\nanyflow: 2\n".into()),
    ];
    if random.below(2) == 0 {
        let (description, text) = random.of_all(&texts);
        return (text.clone().into_bytes(), (*description).into());
    }
    let (name, good) = random.of_all(&FILES);
    let (bytes, how) = change::bytes(good.as_bytes(), random);
    (bytes, format!("{name}: {how}"))
}

/// Corrupt weights with a description.
pub fn weights(good: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let split =
        good.split_first_chunk().and_then(|(length, rest)| rest.split_at_checked(u64::from_le_bytes(*length) as usize));
    let Some((header, tensors)) = split.filter(|_| random.below(4) > 0) else {
        let claim = *random.of_all(&[0, 1, u64::MAX, 1 << 63, 1 << 40, good.len() as u64, 100_000_000]);
        return ([&claim.to_le_bytes(), &good[8..]].concat(), format!("a header of {claim} bytes"));
    };
    let (header, description) = match random.below(4) {
        0 => hostile_shape(header, random),
        _ => change::json(header, random),
    };
    ([&(header.len() as u64).to_le_bytes(), &header[..], tensors].concat(), description)
}

/// A header in which a tensor has another shape, dtype or offset.
fn hostile_shape(header: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let mut value: Value = serde_json::from_slice(header).unwrap_or_default();
    let fields = value.as_object_mut().into_iter().flatten().filter(|(name, _)| *name != "__metadata__");
    let changes = [
        ("shape", json!([1u64 << 40, 1u64 << 40])),
        ("shape", json!([-1])),
        ("data_offsets", json!([0, 1u64 << 60])),
        ("data_offsets", json!([8, 0])),
        ("dtype", json!("F16")),
        ("dtype", json!("NONE")),
    ];
    let (field, new) = random.of_all(&changes);
    let tensors: Vec<&mut Value> = fields.map(|(_, tensor)| tensor).collect();
    let at = random.below(tensors.len() as u64) as usize;
    for tensor in tensors.into_iter().skip(at).take(1) {
        tensor[*field] = new.clone();
    }
    (value.to_string().into_bytes(), format!("{field} of tensor {at} is {new}"))
}

/// The output of a fake engine with its exit code. None of them is that of an engine that finished.
pub fn events(random: &mut Random) -> (Vec<u8>, u8, String) {
    let done = json!({"event": "done", "result": {"rows": 1_000_000, "failed": 0}});
    let begin = json!({"event": "begin", "part": "rows", "total": u64::MAX, "unit": "rows", "done": u64::MAX});
    let failed = json!({"event": "failed", "fault": "run", "text": "\u{1b}]0;owned\u{7}\r\u{202e}"});
    let (changed, how) = change::json(begin.to_string().as_bytes(), random);
    let streams: [(&str, Vec<Vec<u8>>); 8] = [
        ("done and no manifest", vec![text(&done)]),
        ("failed, then done", vec![text(&failed), text(&done)]),
        ("numbers that do not fit", vec![text(&begin), text(&done)]),
        ("a word after done", vec![text(&done), b"hello".to_vec()]),
        ("32 MB in one", vec![vec![b'x'; 32 << 20]]),
        ("nothing", Vec::new()),
        ("not UTF-8", vec![vec![0xff; 100]]),
        (&how, vec![changed, text(&done)]),
    ];
    let (description, words) = random.of_all(&streams);
    let framed = random.below(3) > 0;
    let mut bytes: Vec<u8> =
        (0..).zip(words).flat_map(|(number, word)| if framed { frame(number, word) } else { line(word) }).collect();
    let mut description = format!("{description}, {}", if framed { "framed" } else { "in lines" });
    match random.below(5) {
        0 => bytes.splice(0..0, u32::MAX.to_le_bytes()).for_each(drop),
        1 => {
            let (changed, how) = change::bytes(&bytes, random);
            (bytes, description) = (changed, format!("{description}; {how}"));
        }
        _ => {}
    }
    let code = *random.of_all(&[0, 0, 1, 9, 101]);
    (bytes, code, format!("{description}, then exit {code}"))
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn line(word: &[u8]) -> Vec<u8> {
    [word, b"\n"].concat()
}

/// A frame of the engine's event stream: length, number, JSON.
fn frame(number: u64, word: &[u8]) -> Vec<u8> {
    [&(word.len() as u32).to_le_bytes()[..], &number.to_le_bytes(), word].concat()
}
