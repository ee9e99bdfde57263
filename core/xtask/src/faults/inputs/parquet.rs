//! Parquet files with false statements.

use super::change;
use super::thrift::{self, Value};
use crate::random::Random;

/// Numbers of rows that a footer claims.
const CLAIMS: [i64; 6] = [1 << 60, i64::MAX, -1, 1 << 31, 1 << 40, 401];
/// Nesting depths of groups.
const DEPTHS: [usize; 4] = [70, 1_000, 5_000, 100_000];
/// Bytes after the footer: its length and `PAR1`.
const TAIL: usize = 8;

/// A corrupt file derived from a valid one, with a description.
pub fn hostile(good: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let length = footer_length(good).unwrap_or_default();
    let (body, rest) = good.split_at(good.len().saturating_sub(length + TAIL));
    let footer = thrift::read(rest);
    match (random.below(8), footer) {
        (0..=3, Some(mut footer)) => {
            let mut description = Vec::new();
            for _ in 0..=random.below(2) {
                let number = random.below(footer.count());
                description.push(format!("value {number} of the footer"));
                if let Some(value) = footer.nth(number) {
                    change_value(value, random);
                }
            }
            (whole(body, &footer), description.join(", "))
        }
        (4, Some(mut footer)) => {
            let claim = *random.of_all(&CLAIMS);
            claim_rows(&mut footer, claim);
            (whole(body, &footer), format!("{claim} rows are claimed"))
        }
        (5, Some(mut footer)) => {
            let depth = *random.of_all(&DEPTHS);
            nest(&mut footer, depth);
            (whole(body, &footer), format!("groups of depth {depth}"))
        }
        (6, _) => {
            let mut bytes = good.to_vec();
            let claim = *random.of_all(&[0, 7, u32::MAX, 1 << 31, good.len() as u32, good.len() as u32 - 8]);
            let at = bytes.len() - TAIL;
            bytes[at..at + 4].copy_from_slice(&claim.to_le_bytes());
            (bytes, format!("a footer of {claim} bytes"))
        }
        _ => change::bytes(good, random),
    }
}

fn footer_length(bytes: &[u8]) -> Option<usize> {
    let at = bytes.len().checked_sub(TAIL)?;
    Some(u32::from_le_bytes(bytes[at..at + 4].try_into().ok()?) as usize)
}

fn whole(body: &[u8], footer: &Value) -> Vec<u8> {
    let footer = footer.bytes();
    [body, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

fn change_value(value: &mut Value, random: &mut Random) {
    match value {
        Value::Bool(value) => *value = !*value,
        Value::Byte(byte) => *byte = random.next() as u8,
        Value::Int(_, number) => *number = change::integer(*number, random),
        Value::Double(bytes) => *bytes = f64::NAN.to_le_bytes(),
        Value::Binary(bytes) => *bytes = change::text(random),
        Value::List(_, items) => match (random.below(3), items.first().cloned()) {
            (0, _) | (_, None) => items.clear(),
            (1, Some(first)) => items.push(first),
            (_, Some(first)) => items.extend(vec![first; 3_000]),
        },
        Value::Struct(fields) => {
            let at = random.below(fields.len() as u64) as usize;
            if random.below(2) == 0 && at < fields.len() {
                fields.remove(at);
            } else if let Some((field, value)) = fields.get(at).cloned() {
                fields.push((field + 1, value));
            }
        }
    }
}

/// Replaces every count of rows.
fn claim_rows(footer: &mut Value, claim: i64) {
    let set = |value: Option<&mut Value>| {
        if let Some(Value::Int(_, number)) = value {
            *number = claim;
        }
    };
    set(footer.field(3));
    for group in footer.field(4).map(Value::items).unwrap_or_default() {
        set(group.field(3));
        for column in group.field(1).map(Value::items).unwrap_or_default() {
            set(column.field(3).and_then(|data| data.field(5)));
        }
    }
}

/// Nests the first column of the schema in groups.
fn nest(footer: &mut Value, depth: usize) {
    let group = Value::Struct(vec![(3, Value::Int(5, 0)), (4, Value::Binary(b"g".to_vec())), (5, Value::Int(5, 1))]);
    if let Some(Value::List(_, schema)) = footer.field(2) {
        schema.splice(1..1, vec![group; depth]);
    }
}
