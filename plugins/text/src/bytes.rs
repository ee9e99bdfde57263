//! The codec `bytes`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, CutCount, Error, OwnedCell, Parameters, descriptor::*};
use unicode_normalization::UnicodeNormalization;

/// `[byte, bit]`: the eight bits of a byte from the highest, -1 or 1, then 1; after the text all bits are 0 and the last
/// value is -1. Networks predict bits as real numbers, and their signs are the bits: Chen et al. 2023, "Analog bits".
pub(crate) const BITS: Port = f32_port(&[axis_of("byte", "length"), fixed("bit", VALUES as i64)]);

/// Values per byte: its bits, and whether it belongs to the text.
const VALUES: usize = 9;

/// Any text in composed form (NFC) <-> the bits of its bytes in UTF-8.
pub struct Bytes {
    length: usize,
    on_long: OnLong,
    count: CutCount,
}

/// What the codec does with a text of more bytes than `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnLong {
    /// The row fails.
    Fail,
    /// The codec takes the whole characters that fit.
    Cut,
}

#[derive(serde::Deserialize)]
struct Config {
    length: usize,
    on_long: OnLong,
}

impl Bytes {
    /// The text that is encoded: all of it, or the whole characters that fit.
    fn fitting<'t>(&self, text: &'t str) -> Result<&'t str, Error> {
        let is_long = text.len() > self.length;
        if is_long && self.on_long == OnLong::Fail {
            return Err(Error::data(format!(
                "the text has {} bytes, more than `length: {}`; raise `length`, or set `on_long: cut`",
                text.len(),
                self.length
            )));
        }
        self.count.add(is_long);
        if !is_long {
            return Ok(text);
        }
        let end = (0..=self.length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        Ok(&text[..end])
    }
}

impl Codec for Bytes {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "bytes",
        modality: "text",
        summary: "any text <-> the bits of its bytes (UTF-8, NFC)",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: BITS,
        parameters: r#"{
            "length": {
                "type": "integer", "minimum": 1, "maximum": 4096, "default": 64,
                "description": "most bytes of a text; a letter outside ASCII has two to four"
            },
            "on_long": {
                "type": "string", "enum": ["fail", "cut"], "default": "fail",
                "description": "a longer text fails its row, or is cut after a whole character; the log counts cut texts"
            }
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, on_long } = parameters.read()?;
        if !(1..=4096).contains(&length) {
            return Err(Error::Parameters(format!("length is {length}; it must be from 1 to 4096")));
        }
        Ok(Bytes { length, on_long, count: CutCount::new("text/bytes", "texts", format!("{length} bytes")) })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let text: String = cell.text()?.nfc().collect();
        let bytes = self.fitting(&text)?.bytes();
        let rows = array.chunks_exact_mut(VALUES);
        for (row, byte) in rows.zip(bytes.map(Some).chain(std::iter::repeat(None))) {
            let Some(byte) = byte else {
                row[8] = -1.0;
                continue;
            };
            for (bit, value) in row[..8].iter_mut().enumerate() {
                *value = if byte >> (7 - bit) & 1 == 1 { 1.0 } else { -1.0 };
            }
            row[8] = 1.0;
        }
        Ok(())
    }

    /// Accepts numbers of any scale, such as the output of a module. Bytes that are no UTF-8 become U+FFFD.
    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if array.iter().any(|value| value.is_nan()) {
            return Err(Error::data("a bit is not a number"));
        }
        let text = array.chunks_exact(VALUES).take_while(|row| row[8] > 0.0);
        let byte = |row: &[f32]| row[..8].iter().fold(0u8, |byte, value| byte << 1 | u8::from(*value > 0.0));
        let bytes: Vec<u8> = text.map(byte).collect();
        Ok(OwnedCell::Utf8(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn codec(length: usize, on_long: &str) -> Bytes {
        Bytes::new(&Parameters::new(json!({"length": length, "on_long": on_long}))).unwrap()
    }

    fn encoded(codec: &Bytes, text: &str) -> Result<Vec<f32>, Error> {
        let mut array = vec![0.0; codec.length * VALUES];
        codec.encode(Cell::Utf8(text), &mut array)?;
        Ok(array)
    }

    fn there_and_back(codec: &Bytes, text: &str) -> Result<OwnedCell, Error> {
        codec.decode(&encoded(codec, text)?)
    }

    #[test]
    fn any_script_comes_back_in_composed_form() {
        let codec = codec(32, "fail");
        for text in ["", " ", "a red digit", "Größe\t\n", "数字の三", "\0", "🧭 e\u{301}", "\u{fffd}"] {
            let back = OwnedCell::Utf8(text.replace("e\u{301}", "é"));
            assert_eq!(there_and_back(&codec, text).unwrap(), back, "{text:?}");
        }
    }

    #[test]
    fn the_array_holds_bits_from_the_highest() {
        let [on, off] = [1.0, -1.0];
        // "A" is 0b0100_0001.
        let wanted = [[off, on, off, off, off, off, off, on, on], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, off]];
        assert_eq!(encoded(&codec(2, "fail"), "A").unwrap(), wanted.concat());
    }

    #[test]
    fn a_long_text_fails_or_is_cut_after_a_whole_character() {
        let text = "drei €";
        let refused = there_and_back(&codec(7, "fail"), text).unwrap_err().to_string();
        assert_eq!(refused, "the text has 8 bytes, more than `length: 7`; raise `length`, or set `on_long: cut`");
        let cut = codec(7, "cut");
        for (text, back) in [(text, "drei "), ("dreizehn", "dreizeh"), ("drei", "drei"), ("€€€", "€€")] {
            assert_eq!(there_and_back(&cut, text).unwrap(), OwnedCell::Utf8(back.into()));
        }
        assert_eq!(cut.count.counted(), (3, 4));
        // The composed form fits, the decomposed form would not.
        assert_eq!(there_and_back(&codec(2, "fail"), "e\u{301}").unwrap(), OwnedCell::Utf8("é".into()));
    }

    #[test]
    fn numbers_of_any_scale_decode() {
        let codec = codec(3, "fail");
        let mut array = encoded(&codec, "ab").unwrap();
        array.iter_mut().for_each(|value| *value *= 0.01);
        assert_eq!(codec.decode(&array).unwrap(), OwnedCell::Utf8("ab".into()));
        // A lone continuation byte is no UTF-8.
        array[..9].copy_from_slice(&[1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2]);
        assert_eq!(codec.decode(&array).unwrap(), OwnedCell::Utf8("\u{fffd}b".into()));
        array[4] = f32::NAN;
        assert!(matches!(codec.decode(&array), Err(Error::Data(_))));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        for bad in [json!({"length": 0, "on_long": "cut"}), json!({"length": 4097, "on_long": "cut"})] {
            assert!(matches!(Bytes::new(&Parameters::new(bad)), Err(Error::Parameters(_))));
        }
        let word = json!({"length": 8, "on_long": "wrap"});
        assert!(matches!(Bytes::new(&Parameters::new(word)), Err(Error::Parameters(_))));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_or_is_cut(text in any::<String>()) {
            let composed: String = text.nfc().collect();
            let whole = codec(4096, "cut");
            prop_assert_eq!(there_and_back(&whole, &text).unwrap(), OwnedCell::Utf8(composed.clone()));
            let OwnedCell::Utf8(cut) = there_and_back(&codec(5, "cut"), &text).unwrap() else { panic!("no text") };
            prop_assert!(composed.starts_with(&cut) && (cut == composed || composed.len() > 5));
        }
    }
}
