//! Invalid inputs.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::codec::Input;
use super::host::Refusal;
use super::outcome::Verdict;
use crate::{OwnedCell, OwnedList};

/// Length of a text that is far too long. Miri gets a shorter one: it would take minutes.
const LONG: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };

/// Cells of every kind but this one.
pub(super) fn other_kinds(kind: &str) -> Vec<Input> {
    let list = |depth: u32| OwnedCell::List(nested(depth, vec![0.5, 1.0]));
    let numbers = [OwnedCell::I64(1), OwnedCell::F64(0.5), list(1), list(2), list(3)];
    let all = [OwnedCell::Bytes(b"bytes".to_vec()), OwnedCell::Utf8("text".into())].into_iter().chain(numbers);
    let files = OwnedCell::Files(vec![b"file".to_vec()]);
    all.chain([files]).filter(|cell| cell.kind() != kind).map(Input::Cell).collect()
}

/// Extreme and damaged values of a kind, as in files from untrusted sources.
pub(super) fn values(kind: &str, samples: &[Input]) -> Vec<Input> {
    let cells: Vec<OwnedCell> = match kind {
        "bytes" => bytes(samples).into_iter().map(OwnedCell::Bytes).collect(),
        "utf8" => texts().into_iter().map(OwnedCell::Utf8).collect(),
        "i64" => [i64::MIN, i64::MAX, -1, 1 << 40].map(OwnedCell::I64).into(),
        "f64" => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0]
            .map(OwnedCell::F64)
            .into(),
        "files" => files(samples).into_iter().map(OwnedCell::Files).collect(),
        _ => kind.strip_prefix("list ").and_then(|depth| depth.parse().ok()).map_or_else(Vec::new, lists),
    };
    let not_utf8 = (kind == "utf8").then_some(Input::NotUtf8);
    cells.into_iter().map(Input::Cell).chain(not_utf8).collect()
}

/// Lists of `depth` levels: empty, long, and with NaN or infinite numbers.
fn lists(depth: u32) -> Vec<OwnedCell> {
    let numbers =
        [vec![], vec![0.0], vec![f64::NAN; 3], vec![f64::INFINITY; 2], vec![f64::MAX, f64::MIN], vec![1.0; LONG]];
    let empty = (depth > 1).then(|| OwnedList::lists(depth, &[]).ok()).flatten();
    numbers.into_iter().map(|values| nested(depth, values)).chain(empty).map(OwnedCell::List).collect()
}

/// `values` inside nested lists of one item each, `depth` levels deep.
fn nested(depth: u32, values: Vec<f64>) -> OwnedList {
    (2..=depth).fold(OwnedList::numbers(values), |list, level| {
        OwnedList::lists(level, std::slice::from_ref(&list)).unwrap_or(list)
    })
}

/// Empty files, noise, and truncated or damaged samples.
fn bytes(samples: &[Input]) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(2);
    let mut all =
        vec![Vec::new(), vec![0], vec![0xff; 4096], chance.bytes(1), chance.bytes(100), chance.bytes(LONG / 16)];
    for whole in samples.iter().take(2).filter_map(first_file) {
        for part in [1, 4, 8, whole.len() / 4, whole.len() / 2, whole.len().saturating_sub(1)] {
            all.push(whole[..part.min(whole.len())].to_vec());
        }
        for _ in 0..16 {
            let mut damaged = whole.clone();
            let at = chance.bits() as usize % damaged.len().max(1);
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 1 << (chance.bits() % 8);
            }
            all.push(damaged);
        }
        // Headers hold sizes: the codec must not trust the largest possible ones.
        let mut boastful = whole.clone();
        boastful.iter_mut().skip(8).take(32).for_each(|byte| *byte = 0xff);
        all.push(boastful);
    }
    all
}

fn first_file(sample: &Input) -> Option<&Vec<u8>> {
    match sample {
        Input::Cell(OwnedCell::Bytes(file)) => Some(file),
        Input::Cell(OwnedCell::Files(files)) => files.first(),
        _ => None,
    }
}

/// No file, many empty files, and pairs in which one file is empty, noise or damaged.
fn files(samples: &[Input]) -> Vec<Vec<Vec<u8>>> {
    let whole = samples.iter().find_map(first_file).cloned().unwrap_or_default();
    let beside_a_whole_one = bytes(samples).into_iter().map(|file| vec![whole.clone(), file]);
    beside_a_whole_one.chain([vec![], vec![Vec::new(); 1 << 10]]).collect()
}

fn texts() -> Vec<String> {
    let odd =
        ["", " ", "\0", "\n\t\r", "\u{feff}", "\u{202e}abc", "İ", "e\u{301}", "-1", "NaN", "../../etc", "{}", "😀"];
    odd.map(String::from).into_iter().chain(["x".repeat(LONG), "\u{1f600}".repeat(LONG / 16)]).collect()
}

/// Parameters that are not JSON, or of wrong types, are refused with a reason; none may panic.
pub(super) fn parameters(good: &Map<String, Value>, make: impl Fn(&str) -> Result<(), Refusal>) -> Verdict {
    for text in ["", "{", "\0", "[]"] {
        match make(text) {
            Ok(()) if text == "[]" && good.is_empty() => {}
            Ok(()) => return Err(format!("it accepts `{text}` as parameters").into()),
            Err(refusal) if refusal.is_breach() => return Err(format!("parameters `{text}`: {refusal}").into()),
            Err(_) => {}
        }
    }
    let mut refused = 0;
    for name in good.keys() {
        for value in
            [Value::Null, json!("wrong"), json!(-1), json!(0), json!(-1.5), json!([]), json!([1, "", [], null])]
        {
            let mut parameters = good.clone();
            parameters.insert(name.clone(), value.clone());
            match make(&Value::Object(parameters).to_string()) {
                Err(refusal) if refusal.is_breach() => return Err(format!("`{name}` {value}: {refusal}").into()),
                Err(_) => refused += 1,
                Ok(()) => {}
            }
        }
    }
    Ok(format!("{refused} wrong values refused"))
}
