//! The modality `label`: class numbers as one-hot vectors, which are diffused without a network. Needs no libtorch.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*, export_plugin};

/// Class number <-> one-hot vector, centred and scaled: each coordinate has mean zero and unit variance if classes are
/// equally frequent.
pub struct OneHot {
    classes: usize,
}

#[derive(serde::Deserialize)]
struct Config {
    classes: usize,
    /// The host looks words up in it, so that the codec gets numbers.
    #[serde(default)]
    names: Vec<String>,
}

impl OneHot {
    /// Mean and standard deviation of a coordinate of a one-hot vector of `classes` equally frequent classes.
    fn moments(&self) -> (f32, f32) {
        let p = 1.0 / self.classes as f32;
        (p, (p * (1.0 - p)).sqrt())
    }
}

impl Codec for OneHot {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "one-hot",
        modality: "label",
        summary: "class number <-> centred one-hot vector",
        cell: CellKind::I64,
        feature: "Value(int64)",
        array: f32_port(&[axis_of("class", "classes")]),
        parameters: r#"{
            "classes": {"type": "integer", "minimum": 2, "maximum": 65536, "default": 10},
            "names": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "default": []}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { classes, names } = parameters.read()?;
        if classes < 2 {
            return Err(Error::Parameters(format!("classes is {classes}; it must be at least 2")));
        }
        if !names.is_empty() && names.len() != classes {
            let count = names.len();
            return Err(Error::Parameters(format!(
                "names has {count} names for {classes} classes; name each class once"
            )));
        }
        Ok(OneHot { classes })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let label = cell.integer()?;
        let class = usize::try_from(label).ok().filter(|class| *class < self.classes).ok_or_else(|| {
            Error::data(format!("label {label} is not one of the {} classes 0 to {}", self.classes, self.classes - 1))
        })?;
        let (mean, std) = self.moments();
        array.fill(-mean / std);
        array[class] = (1.0 - mean) / std;
        Ok(())
    }

    /// The class of the largest coordinate; the first one in a tie.
    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        let mut best = 0;
        for (class, value) in array.iter().enumerate() {
            if value.is_nan() {
                return Err(Error::data("the vector holds a value that is not a number"));
            }
            if *value > array[best] {
                best = class;
            }
        }
        Ok(OwnedCell::I64(best as i64))
    }
}

export_plugin! {
    name: "label",
    license: "MIT OR Apache-2.0",
    summary: "class numbers as one-hot vectors",
    codecs: [OneHot],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(classes: usize) -> OneHot {
        OneHot::new(&Parameters::new(serde_json::json!({ "classes": classes }))).unwrap()
    }

    #[test]
    fn there_are_as_many_names_as_classes() {
        let made = |names: &[&str]| OneHot::new(&Parameters::new(serde_json::json!({"classes": 2, "names": names})));
        assert!(made(&[]).is_ok() && made(&["cat", "dog"]).is_ok());
        assert!(matches!(made(&["cat"]), Err(Error::Parameters(_))));
    }

    #[test]
    fn every_class_comes_back() {
        let codec = codec(10);
        for class in 0..10 {
            let mut array = [0.0; 10];
            codec.encode(Cell::I64(class), &mut array).unwrap();
            assert_eq!(codec.decode(&array).unwrap(), OwnedCell::I64(class));
        }
    }

    #[test]
    fn coordinates_have_unit_variance_over_the_classes() {
        let codec = codec(10);
        let mut sums = (0.0, 0.0);
        for class in 0..10 {
            let mut array = [0.0; 10];
            codec.encode(Cell::I64(class), &mut array).unwrap();
            sums = (sums.0 + array[3], sums.1 + array[3] * array[3]);
        }
        assert!((sums.0 / 10.0).abs() < 1e-6 && (sums.1 / 10.0 - 1.0).abs() < 1e-5);
    }

    #[test]
    fn labels_outside_the_classes_and_nans_are_refused() {
        let codec = codec(10);
        for label in [-1, 10, i64::MAX] {
            assert!(matches!(codec.encode(Cell::I64(label), &mut [0.0; 10]), Err(Error::Data(_))));
        }
        assert!(matches!(codec.encode(Cell::Utf8("3"), &mut [0.0; 10]), Err(Error::Data(_))));
        assert!(matches!(codec.decode(&[f32::NAN; 10]), Err(Error::Data(_))));
    }
}
