//! The codec `words`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use unicode_normalization::UnicodeNormalization;

use crate::one_hot::{self, Tokens};

/// Letters of a word in a message.
const SHOWN: usize = 32;

/// Words of a vocabulary, in composed form (NFC), in lowercase and separated by white space <-> one one-hot row each.
/// Invisible characters, such as a zero-width space, do not make another word.
pub struct Words {
    vocabulary: Tokens,
    length: usize,
}

#[derive(serde::Deserialize)]
struct Config {
    vocabulary: Vec<String>,
    length: usize,
}

impl Words {
    fn number(&self, word: &str) -> Result<usize, Error> {
        let visible = || word.chars().filter(|c| !is_invisible(*c)).collect::<String>();
        let number = self.vocabulary.number(word).or_else(|| self.vocabulary.number(&visible()));
        number.ok_or_else(|| {
            let listed = self.vocabulary.listed();
            Error::data(format!("`{}` is not in the vocabulary: {listed}; `text/bytes` takes any text", shown(word)))
        })
    }
}

/// True for joiners, marks of direction and of the start of a text, which copied texts carry.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The start of a word.
fn shown(word: &str) -> String {
    match word.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &word[..end]),
        None => word.to_string(),
    }
}

impl Codec for Words {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "words",
        modality: "text",
        summary: "words of a vocabulary <-> one-hot rows",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: f32_port(&[axis_of("token", "length"), axis_of("word", "vocabulary")]),
        parameters: r#"{
            "vocabulary": {
                "type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true,
                "examples": [["", "zero", "one", "two"]],
                "description": "lowercase words without white space; the first is empty and pads short texts"
            },
            "length": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 8}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { vocabulary, length } = parameters.read()?;
        if let Some(word) = vocabulary.iter().skip(1).find(|word| {
            let mut words = word.split_whitespace();
            words.next() != Some(word.as_str()) || word.to_lowercase() != **word
        }) {
            return Err(Error::Parameters(format!("`{word}` in vocabulary is not a single lowercase word")));
        }
        let vocabulary = vocabulary.iter().map(|word| word.nfc().collect()).collect();
        let vocabulary = Tokens::new("vocabulary", vocabulary)?;
        Ok(Words { length: one_hot::length(length, &vocabulary)?, vocabulary })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let text = cell.text()?.nfc().collect::<String>().to_lowercase();
        let mut numbers = Vec::with_capacity(self.length);
        for word in text.split_whitespace().filter(|word| !word.chars().all(is_invisible)) {
            if numbers.len() == self.length {
                let (most, word) = (self.length, shown(word));
                return Err(Error::data(format!("the text is longer than {most} words, starting at `{word}`")));
            }
            numbers.push(self.number(word)?);
        }
        self.vocabulary.write(&numbers, array);
        Ok(())
    }

    /// Accepts scores of any scale, such as the logits of a module.
    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        Ok(OwnedCell::Utf8(self.vocabulary.read(array)?.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn codec(vocabulary: &[&str], length: usize) -> Result<Words, Error> {
        Words::new(&Parameters::new(json!({"vocabulary": vocabulary, "length": length})))
    }

    fn there_and_back(codec: &Words, text: &str) -> Result<OwnedCell, Error> {
        let mut array = vec![0.0; codec.length * codec.vocabulary.all.len()];
        codec.encode(Cell::Utf8(text), &mut array)?;
        codec.decode(&array)
    }

    #[test]
    fn words_come_back_in_lowercase_with_single_spaces() {
        let codec = codec(&["", "a", "red", "über", "seven"], 3).unwrap();
        for (text, back) in [("a red seven", "a red seven"), ("  Red\tÜBER\n", "red über"), ("", ""), (" ", "")] {
            assert_eq!(there_and_back(&codec, text).unwrap(), OwnedCell::Utf8(back.into()));
        }
    }

    #[test]
    fn forms_of_unicode_and_invisible_characters_make_no_other_word() {
        let codec = codec(&["", "cafe\u{301}", "one"], 2).unwrap();
        for text in ["café one", "Cafe\u{301}\u{a0}one", "\u{feff}café \u{200b} one\u{200b}", "caf\u{ad}é on\u{2060}e"]
        {
            assert_eq!(there_and_back(&codec, text).unwrap(), OwnedCell::Utf8("café one".into()), "{text:?}");
        }
        // The vocabulary may hold them.
        let codec = self::codec(&["", "می\u{200c}خواهم", "میخواهم"], 1).unwrap();
        let text = OwnedCell::Utf8("می\u{200c}خواهم".into());
        assert_eq!(there_and_back(&codec, "می\u{200c}خواهم").unwrap(), text);
    }

    #[test]
    fn a_refusal_names_the_word_and_the_vocabulary() {
        let codec = codec(&["", "a", "red", "seven"], 3).unwrap();
        let text = |text: &str| there_and_back(&codec, text).unwrap_err().to_string();
        let listed = "is not in the vocabulary: `a` `red` `seven`; `text/bytes` takes any text";
        assert_eq!(text("a rd seven"), format!("`rd` {listed}"));
        assert_eq!(text(&"é".repeat(100_000)), format!("`{}...` {listed}", "é".repeat(32)));
        assert_eq!(text("a red a seven"), "the text is longer than 3 words, starting at `seven`");
    }

    #[test]
    fn every_token_is_one_hot_and_scores_of_any_scale_decode() {
        let codec = codec(&["", "a", "b"], 2).unwrap();
        let mut array = [0.0; 6];
        codec.encode(Cell::Utf8("b"), &mut array).unwrap();
        assert_eq!(array, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let scores = [-9.0, -3.0, -5.0, f32::NEG_INFINITY, -80.0, f32::INFINITY];
        assert_eq!(codec.decode(&scores).unwrap(), OwnedCell::Utf8("a b".into()));
        assert!(matches!(codec.decode(&[f32::NAN; 6]), Err(Error::Data(_))));
    }

    #[test]
    fn impossible_vocabularies_are_refused() {
        for bad in [&[][..], &[""], &["a", "b"], &["", "a", "a"], &["", ""], &["", "a b"], &["", " a"], &["", "A"]] {
            assert!(matches!(codec(bad, 3), Err(Error::Parameters(_))), "{bad:?}");
        }
        for bad in [0, usize::MAX, 1 << 40] {
            assert!(matches!(codec(&["", "a"], bad), Err(Error::Parameters(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused(text in any::<String>()) {
            let codec = codec(&["", "a", "ß", "ss"], 4).unwrap();
            if let Err(error) = there_and_back(&codec, &text) {
                prop_assert!(matches!(error, Error::Data(_)));
            }
        }

        #[test]
        fn texts_of_the_vocabulary_come_back(words in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..=4)) {
            let codec = codec(&["", "c", "b", "a"], 4).unwrap();
            let text = words.join(" ");
            prop_assert_eq!(there_and_back(&codec, &text).unwrap(), OwnedCell::Utf8(text));
        }
    }
}
