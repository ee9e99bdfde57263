//! The codec `clock`.

use std::f32::consts::TAU;

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};

/// Minutes in a day.
const DAY: f32 = 24.0 * 60.0;

/// A time of day such as `07:30` <-> a point on the unit circle, so that 23:59 and 00:01 are neighbours.
pub struct Clock {
    step: u32,
}

#[derive(serde::Deserialize)]
struct Config {
    step: u32,
}

impl Codec for Clock {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "clock",
        modality: "{name}",
        summary: "time of day <-> point on the unit circle",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: f32_port_in(&[fixed("coordinate", 2)], -1, 1),
        parameters: r#"{
            "step": {
                "type": "integer", "minimum": 1, "maximum": 720, "default": 1,
                "description": "decoded times are rounded to multiples of these minutes"
            }
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { step } = parameters.read()?;
        if !(1..=720).contains(&step) {
            return Err(Error::Parameters(format!("step is {step}; it must be from 1 to 720")));
        }
        Ok(Clock { step })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let angle = minutes(cell.text()?)? as f32 / DAY * TAU;
        array.copy_from_slice(&[angle.cos(), angle.sin()]);
        Ok(())
    }

    /// The time in the direction of the point, however far from the circle it is.
    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        let minutes = array[1].atan2(array[0]) / TAU * DAY;
        if minutes.is_nan() {
            return Err(Error::data("the point is not a number"));
        }
        let steps = (minutes.rem_euclid(DAY) / self.step as f32).round() as u32;
        let minutes = steps * self.step % (24 * 60);
        Ok(OwnedCell::Utf8(format!("{:02}:{:02}", minutes / 60, minutes % 60)))
    }
}

/// Minutes since midnight. The text comes from an untrusted file, so its length is checked before it is quoted.
fn minutes(text: &str) -> Result<u32, Error> {
    if text.len() != 5 {
        return Err(Error::data(format!("a time of day has 5 characters, as in 07:30, not {}", text.len())));
    }
    let parts = text.split_once(':').filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'));
    let numbers = parts.and_then(|(hours, minutes)| Some((hours.parse().ok()?, minutes.parse().ok()?)));
    match numbers {
        Some((hours @ 0..24u32, minutes @ 0..60u32)) => Ok(hours * 60 + minutes),
        _ => Err(Error::data(format!("`{text}` is not a time of day such as 07:30"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_others_are_refused() {
        let clock = Clock { step: 1 };
        let mut point = [0.0; 2];
        for text in ["00:00", "07:30", "23:59"] {
            clock.encode(Cell::Utf8(text), &mut point).unwrap();
            assert_eq!(clock.decode(&point).unwrap(), OwnedCell::Utf8(text.into()));
        }
        for text in ["", "7:30", "24:00", "12:60", "+1:00", "noon!"] {
            assert!(matches!(clock.encode(Cell::Utf8(text), &mut point), Err(Error::Data(_))), "{text}");
        }
    }
}
