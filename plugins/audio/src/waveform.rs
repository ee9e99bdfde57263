//! The codec `waveform`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};

use crate::recording;

/// A WAV file <-> its first samples between -1 and 1, of one channel and a given rate; silence follows short ones.
pub struct Waveform {
    sample_rate: u32,
}

#[derive(serde::Deserialize)]
struct Config {
    sample_rate: u32,
}

impl Codec for Waveform {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "waveform",
        modality: "audio",
        summary: "recording <-> samples",
        cell: CellKind::Bytes,
        feature: "Audio",
        array: f32_port_in(&[fixed("channel", 1), axis_of("sample", "samples")], -1, 1),
        parameters: r#"{
            "sample_rate": {"type": "integer", "minimum": 4000, "maximum": 48000, "default": 8000},
            "samples": {"type": "integer", "minimum": 1, "maximum": 2880000, "default": 8000}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { sample_rate } = parameters.read()?;
        if !(4_000..=48_000).contains(&sample_rate) {
            return Err(Error::Parameters(format!("sample_rate is {sample_rate}; it is between 4000 and 48000")));
        }
        Ok(Waveform { sample_rate })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let sound = recording::read(cell.bytes()?, self.sample_rate)?;
        array.iter_mut().zip(sound).for_each(|(out, sample)| *out = sample.clamp(-1.0, 1.0));
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if let Some(at) = array.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::data(format!("the sound holds {} at sample {at}", array[at])));
        }
        recording::write(array, self.sample_rate).map(OwnedCell::Bytes)
    }
}
