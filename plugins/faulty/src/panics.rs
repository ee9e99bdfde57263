//! The codec `panics`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};

/// A text <-> its length in bytes. Encoding panics for the text `panic` and refuses the text `bad`; decoding panics for
/// a negative length and refuses NaN and huge lengths.
pub struct Panics;

impl Codec for Panics {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "panics",
        modality: "text",
        summary: "text <-> its length; panics for the text panic, refuses the text bad",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: f32_port(&[fixed("value", 1)]),
        parameters: "{}",
    };

    fn new(_: &Parameters) -> Result<Self, Error> {
        Ok(Panics)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        match cell.text()? {
            "panic" => panic!("asked to panic by the cell"),
            "bad" => Err(Error::data("the cell is bad")),
            text => {
                array[0] = text.len() as f32;
                Ok(())
            }
        }
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        let length = array[0].round();
        assert!(length >= 0.0 || length.is_nan(), "asked to panic by the array");
        if length.is_nan() || length > 65_536.0 {
            return Err(Error::data(format!("{length} is not the length of a text")));
        }
        Ok(OwnedCell::Utf8("x".repeat(length as usize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_only_on_request() {
        let mut array = [0.0];
        Panics.encode(Cell::Utf8("seven"), &mut array).unwrap();
        assert_eq!(array, [5.0]);
        assert_eq!(Panics.decode(&array).unwrap(), OwnedCell::Utf8("xxxxx".into()));
        assert!(matches!(Panics.encode(Cell::Utf8("bad"), &mut array), Err(Error::Data(_))));
        assert!(matches!(Panics.decode(&[f32::NAN]), Err(Error::Data(_))));
        assert!(std::panic::catch_unwind(|| Panics.encode(Cell::Utf8("panic"), &mut [0.0])).is_err());
        assert!(std::panic::catch_unwind(|| Panics.decode(&[-1.0])).is_err());
    }
}
