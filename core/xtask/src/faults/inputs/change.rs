//! Mutations of bytes, numbers, texts and JSON.

use serde_json::{Value, json};

use crate::random::Random;

/// Cuts, flips, repeats or overwrites bytes; returns a description.
pub fn bytes(good: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let mut bytes = good.to_vec();
    let at = random.below(bytes.len() as u64) as usize;
    let description = match random.below(5) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len() as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            format!("bits flipped, the last at {at}")
        }
        2 => {
            bytes.extend_from_slice(&good[at..]);
            format!("repeated from {at}")
        }
        3 => {
            let end = bytes.len().min(at + 8);
            bytes[at..end].fill(0xff);
            format!("ff at {at}")
        }
        _ => {
            let end = bytes.len().min(at + 64);
            bytes[at..end].fill(0);
            format!("zeros at {at}")
        }
    };
    (bytes, description)
}

/// An extreme number.
pub fn integer(good: i64, random: &mut Random) -> i64 {
    let near = [good.wrapping_add(1), good.wrapping_sub(1), good.wrapping_mul(1000), good.wrapping_neg()];
    let far = [0, -1, 1, i64::from(i32::MAX), 1 << 31, 1 << 40, 1 << 60, i64::MAX, i64::MIN];
    if random.below(2) == 0 { *random.of_all(&near) } else { *random.of_all(&far) }
}

/// An unexpected text.
pub fn text(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![b'a'; 70_000],
        2 => vec![0xff, 0xfe, 0x80],
        3 => b"../../../../etc/passwd".to_vec(),
        4 => b"\x1b]0;owned\x07\x1b[2J\rforged".to_vec(),
        _ => "\u{202e}\0{\"a\": [".as_bytes().to_vec(),
    }
}

/// JSON text with one value replaced, or damaged as text, with a description.
pub fn json(good: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let Some(mut value) = serde_json::from_slice::<Value>(good).ok().filter(|_| random.below(4) > 0) else {
        return match random.below(4) {
            0 => ("[".repeat(200_000).into_bytes(), "200,000 brackets".into()),
            1 => (format!("{{\"a\":{}", "{\"a\":".repeat(100_000)).into_bytes(), "100,000 objects".into()),
            _ => bytes(good, random),
        };
    };
    let number = random.below(count(&value));
    let new = match random.below(9) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(1e308),
        4 => json!([]),
        5 => json!({}),
        6 => json!(1u64 << 60),
        7 => json!(true),
        _ => json!(String::from_utf8_lossy(&text(random))),
    };
    let description = format!("value {number} is now {}", new.to_string().chars().take(30).collect::<String>());
    if let Some(place) = nth(&mut value, number) {
        *place = new;
    }
    (value.to_string().into_bytes(), description)
}

fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn nth(value: &mut Value, mut number: u64) -> Option<&mut Value> {
    if number == 0 {
        return Some(value);
    }
    number -= 1;
    let inside: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for value in inside {
        let count = count(value);
        if number < count {
            return nth(value, number);
        }
        number -= count;
    }
    None
}
