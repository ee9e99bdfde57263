//! Digits in four modalities: image, sound, word, label.
//!
//! Row n has digit n mod 10. The seed and n determine the rest.

mod forms;
pub(super) mod image;
mod speech;

use crate::cell::OwnedCell;
use crate::draw::Draws;
use crate::encode::{gray_png, wav};
use crate::error::Result;
use crate::feature::{Feature, Features};
use crate::rows::Value;

pub(super) const SUMMARY: &str =
    "Digits as images drawn by strokes, as sounds of a simple synthesizer, as words and as labels";
/// Increases when the rows of a seed change.
pub(super) const VERSION: u32 = 1;
const CONTEXT: &str = "anyflow-datasets glyphs 1";
pub(super) const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

pub(super) fn features() -> Features {
    let names = (0..10).map(|digit| digit.to_string()).collect();
    let features = [
        ("id", Feature::Value("int64".into())),
        ("image", Feature::Image),
        ("audio", Feature::Audio { sampling_rate: Some(speech::RATE) }),
        ("text", Feature::Value("string".into())),
        ("label", Feature::ClassLabel { names }),
    ];
    features.into_iter().map(|(name, feature)| (name.to_string(), feature)).collect()
}

pub(super) fn row(seed: u64, row: u64) -> Result<Vec<Value>> {
    let digit = (row % 10) as usize;
    let draws = |purpose| Draws::new(CONTEXT, seed, purpose, row);
    let pixels = image::draw(digit, &mut draws("picture"));
    let samples = speech::speak(digit, &mut draws("speech"));
    let side = image::SIDE as u32;
    Ok(vec![
        Value::Cell(OwnedCell::I64(row as i64)),
        Value::File { bytes: gray_png(side, side, &pixels)?, name: format!("{row}.png") },
        Value::File { bytes: wav(speech::RATE, &samples)?, name: format!("{row}.wav") },
        Value::text(WORDS[digit]),
        Value::Cell(OwnedCell::I64(digit as i64)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes pixels and samples of rows 0 to 9, without the files, because their compression depends on libraries.
    fn hash(seed: u64) -> String {
        let mut hasher = blake3::Hasher::new();
        for row in 0..10 {
            hasher.update(&image::draw(row as usize, &mut Draws::new(CONTEXT, seed, "picture", row)));
            for sample in speech::speak(row as usize, &mut Draws::new(CONTEXT, seed, "speech", row)) {
                hasher.update(&sample.to_le_bytes());
            }
        }
        hasher.finalize().to_hex()[..16].to_string()
    }

    #[test]
    fn rows_are_pinned() {
        assert_eq!(hash(1), "b3cb8800297cad9d", "changed rows need a new VERSION");
        assert_ne!(hash(1), hash(2));
    }
}
