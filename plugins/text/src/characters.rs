//! The codec `characters`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};

use crate::one_hot::{self, Tokens};

/// Characters of an alphabet <-> one one-hot row each. A capital that the alphabet lacks is read as its lowercase
/// letter.
pub struct Characters {
    alphabet: Tokens,
    length: usize,
}

#[derive(serde::Deserialize)]
struct Config {
    alphabet: Vec<String>,
    length: usize,
}

impl Characters {
    fn number(&self, character: char) -> Option<usize> {
        let mut bytes = [0; 4];
        let known = self.alphabet.number(character.encode_utf8(&mut bytes));
        known.or_else(|| self.alphabet.number(&character.to_lowercase().to_string()))
    }
}

impl Codec for Characters {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "characters",
        modality: "text",
        summary: "characters of an alphabet <-> one-hot rows",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: f32_port(&[axis_of("token", "length"), axis_of("character", "alphabet")]),
        parameters: r#"{
            "alphabet": {
                "type": "array", "items": {"type": "string", "maxLength": 1}, "minItems": 2, "uniqueItems": true,
                "default": ["", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
                            "r", "s", "t", "u", "v", "w", "x", "y", "z", " "],
                "description": "single characters; the first is empty and pads short texts"
            },
            "length": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 16}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { alphabet, length } = parameters.read()?;
        if let Some(entry) = alphabet.iter().skip(1).find(|entry| entry.chars().count() != 1) {
            return Err(Error::Parameters(format!("`{entry}` in alphabet is not a single character")));
        }
        let alphabet = Tokens::new("alphabet", alphabet)?;
        Ok(Characters { length: one_hot::length(length, &alphabet)?, alphabet })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let mut numbers = Vec::with_capacity(self.length);
        for character in cell.text()?.chars() {
            if numbers.len() == self.length {
                return Err(Error::data(format!("the text is longer than {} characters", self.length)));
            }
            numbers.push(self.number(character).ok_or_else(|| {
                Error::data(format!("`{character}` is not in the alphabet: {}", self.alphabet.listed()))
            })?);
        }
        self.alphabet.write(&numbers, array);
        Ok(())
    }

    /// Accepts scores of any scale, such as the logits of a module.
    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        Ok(OwnedCell::Utf8(self.alphabet.read(array)?.concat()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn codec(alphabet: &[&str], length: usize) -> Result<Characters, Error> {
        Characters::new(&Parameters::new(json!({"alphabet": alphabet, "length": length})))
    }

    fn there_and_back(codec: &Characters, text: &str) -> Result<OwnedCell, Error> {
        let mut array = vec![0.0; codec.length * codec.alphabet.all.len()];
        codec.encode(Cell::Utf8(text), &mut array)?;
        codec.decode(&array)
    }

    #[test]
    fn the_default_alphabet_accepts_words_of_any_case() {
        let schema: Value = serde_json::from_str(Characters::DESCRIPTOR.parameters).unwrap();
        let parameters = json!({"alphabet": schema["alphabet"]["default"], "length": schema["length"]["default"]});
        let codec = Characters::new(&Parameters::new(parameters)).unwrap();
        assert_eq!(codec.alphabet.all.len(), 28);
        assert_eq!(there_and_back(&codec, "Zero or Nine").unwrap(), OwnedCell::Utf8("zero or nine".into()));
        assert_eq!(there_and_back(&codec, "").unwrap(), OwnedCell::Utf8(String::new()));
        assert!(matches!(there_and_back(&codec, "abcdefghijklmnopq"), Err(Error::Data(_))));
    }

    #[test]
    fn a_capital_of_the_alphabet_stays_one() {
        let codec = codec(&["", "a", "A", "ü"], 3).unwrap();
        assert_eq!(there_and_back(&codec, "aAÜ").unwrap(), OwnedCell::Utf8("aAü".into()));
        let refused = there_and_back(&codec, "ab").unwrap_err().to_string();
        assert_eq!(refused, "`b` is not in the alphabet: `a` `A` `ü`");
    }

    #[test]
    fn impossible_alphabets_are_refused() {
        for bad in [&[][..], &[""], &["a", "b"], &["", "a", "a"], &["", ""], &["", "ab"]] {
            assert!(matches!(codec(bad, 3), Err(Error::Parameters(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused(text in any::<String>()) {
            let codec = codec(&["", "a", "i", "\u{307}", "ß"], 6).unwrap();
            if let Err(error) = there_and_back(&codec, &text) {
                prop_assert!(matches!(error, Error::Data(_)));
            }
        }
    }
}
