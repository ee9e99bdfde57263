//! Coloured digits somewhere in an image, each with a caption: "a red three left".
//!
//! The seed and n determine row n. Its digit is drawn, or comes from a dataset of grey images with labels. Some pairs
//! of digit and colour can be excluded, or be the only ones: this tests a model on new combinations of known parts.

mod image;
mod shapes;

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use crate::cell::OwnedCell;
use crate::draw::Draws;
use crate::encode::rgb_png;
use crate::error::Result;
use crate::feature::{Feature, Features};
use crate::generate::glyphs;
use crate::rows::Value;
pub(super) use shapes::Shapes;

pub(super) const SUMMARY: &str = "Colored digits somewhere in an image, with captions";
pub(super) const COMBINATIONS: &str = "combinations";
pub(super) const SHAPES: &str = "shapes";
/// Increases when the rows of a seed change.
pub(super) const VERSION: u32 = 2;
const CONTEXT: &str = "anyflow-datasets captions 1";
const COLOURS: [&str; 6] = ["red", "green", "blue", "yellow", "purple", "cyan"];
const POSITIONS: [&str; 3] = ["left", "centre", "right"];

/// The pairs of digit and colour of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combinations {
    /// All sixty.
    #[default]
    All,
    /// The training pairs: five of the six colours for each digit.
    Seen,
    /// The other pairs, one for each digit.
    HeldOut,
}

impl Combinations {
    /// Every choice.
    pub const ALL: [Combinations; 3] = [Combinations::All, Combinations::Seen, Combinations::HeldOut];

    /// Its name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            Combinations::All => "all",
            Combinations::Seen => "seen",
            Combinations::HeldOut => "held-out",
        }
    }

    /// The choice of this name.
    pub fn named(name: &str) -> Option<Combinations> {
        Self::ALL.into_iter().find(|combinations| combinations.name() == name)
    }

    /// Pairs of digit and colour.
    fn pairs(self) -> Vec<(usize, usize)> {
        let all = (0..10).flat_map(|digit| (0..COLOURS.len()).map(move |colour| (digit, colour)));
        all.filter(|(digit, colour)| match self {
            Combinations::All => true,
            Combinations::Seen => *colour != held_out(*digit),
            Combinations::HeldOut => *colour == held_out(*digit),
        })
        .collect()
    }
}

/// The held-out colour of a digit. Each colour is held out for one or two digits.
fn held_out(digit: usize) -> usize {
    (digit * 7 + 3) % COLOURS.len()
}

pub(super) fn features() -> Features {
    let class = |names: Vec<String>| Feature::ClassLabel { names };
    let words = |words: &[&str]| class(words.iter().map(|word| word.to_string()).collect());
    let pairs = COLOURS.iter().flat_map(|colour| glyphs::WORDS.map(|digit| format!("{colour} {digit}"))).collect();
    let features = [
        ("id", Feature::Value("int64".into())),
        ("image", Feature::Image),
        ("text", Feature::Value("string".into())),
        ("label", words(&glyphs::WORDS)),
        ("colour", words(&COLOURS)),
        ("position", words(&POSITIONS)),
        ("combination", class(pairs)),
    ];
    features.into_iter().map(|(name, feature)| (name.to_string(), feature)).collect()
}

pub(super) fn parameters() -> IndexMap<String, Json> {
    let shapes = json!({
        "type": "string", "format": "source",
        "description": "Source of files with gray 28 x 28 images of digits (`image`) and their classes (`label`), used as \
                        shapes; by default the digits are drawn",
    });
    let combinations = json!({
        "type": "string", "enum": Combinations::ALL.map(Combinations::name),
        "description": "Pairs of digit and color to generate; by default `all`",
    });
    [(SHAPES.to_string(), shapes), (COMBINATIONS.to_string(), combinations)].into()
}

pub(super) fn row(seed: u64, row: u64, combinations: Combinations, shapes: Option<&Shapes>) -> Result<Vec<Value>> {
    let draws = |purpose| Draws::new(CONTEXT, seed, purpose, row);
    let mut meant = draws("meaning");
    let (digit, colour) = *meant.choose(&combinations.pairs());
    let position = *meant.choose(&[0, 1, 2]);
    let drawn;
    let shape = match shapes {
        Some(shapes) => shapes.one(digit, &mut draws("shape")),
        None => {
            drawn = glyphs::image::draw(digit, &mut draws("shape"));
            &drawn
        }
    };
    let pixels = image::paint(shape, colour, position, &mut draws("picture"));
    let side = image::SIDE as u32;
    let caption = format!("a {} {} {}", COLOURS[colour], glyphs::WORDS[digit], POSITIONS[position]);
    let number = |value: usize| Value::Cell(OwnedCell::I64(value as i64));
    Ok(vec![
        Value::Cell(OwnedCell::I64(row as i64)),
        Value::File { bytes: rgb_png(side, side, &pixels)?, name: format!("{row}.png") },
        Value::text(caption),
        number(digit),
        number(colour),
        number(position),
        number(colour * 10 + digit),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_seen_or_held_out() {
        let seen = Combinations::Seen.pairs();
        let held_out = Combinations::HeldOut.pairs();
        assert_eq!((seen.len(), held_out.len(), Combinations::All.pairs().len()), (50, 10, 60));
        assert!(held_out.iter().all(|pair| !seen.contains(pair)));
        assert!((0..10).all(|digit| held_out.iter().any(|pair| pair.0 == digit)), "every digit");
        assert!((0..6).all(|colour| held_out.iter().any(|pair| pair.1 == colour)), "every colour");
    }

    #[test]
    fn rows_are_pinned() {
        let hash = |seed: u64| {
            let mut hasher = blake3::Hasher::new();
            for row in 0..10 {
                let draws = |purpose| Draws::new(CONTEXT, seed, purpose, row);
                let shape = glyphs::image::draw(row as usize, &mut draws("shape"));
                hasher.update(&image::paint(&shape, row as usize % 6, row as usize % 3, &mut draws("picture")));
            }
            hasher.finalize().to_hex()[..16].to_string()
        };
        assert_eq!(hash(1), "76f3a66c70885059", "changed rows need a new VERSION");
        assert_ne!(hash(1), hash(2));
    }
}
