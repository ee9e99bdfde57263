//! The codec `waveform`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, CutCount, Error, OwnedCell, Parameters, Partial, descriptor::*};

use crate::recording::{self, Excerpt};

/// Seconds that are read behind the last sample, so that a cut changes no resampled value before it.
const MARGIN: f64 = 2.0;

/// A recording <-> its first samples from the second `from` on, between -1 and 1, mono and at a given rate. Silence pads
/// short recordings; the rest of long ones is cut, and the log counts those. Decodes to WAV.
pub struct Waveform {
    sample_rate: u32,
    from: f64,
    partial: Partial,
    count: CutCount,
}

#[derive(serde::Deserialize)]
struct Config {
    sample_rate: u32,
    samples: usize,
    #[serde(default)]
    from: f64,
    #[serde(default)]
    partial: Partial,
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
            "samples": {"type": "integer", "minimum": 1, "maximum": 2880000, "default": 8000, "description": "the rest of a longer recording is cut; the log counts these"},
            "from": {"type": "number", "minimum": 0, "maximum": 86400, "default": 0, "description": "seconds of the recording that are skipped"},
            "partial": {"enum": ["fail", "accept"], "default": "fail", "description": "what happens to a recording that ends early"}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { sample_rate, samples, from, partial } = parameters.read()?;
        if !(4_000..=48_000).contains(&sample_rate) {
            return Err(Error::Parameters(format!("sample_rate is {sample_rate}; it must be from 4000 to 48000")));
        }
        recording::check_from(from)?;
        let left = format!("{samples} samples, {:.2} s", samples as f64 / f64::from(sample_rate));
        let count = CutCount::new("audio/waveform", "recordings", left);
        Ok(Waveform { sample_rate, from, partial, count })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let Waveform { sample_rate: rate, from, partial, .. } = *self;
        let seconds = array.len() as f64 / f64::from(rate) + MARGIN;
        let sound = recording::read(cell.bytes()?, &Excerpt { rate, from, seconds, partial })?;
        // Resampling may add a sample.
        self.count.add(sound.is_cut || sound.samples.len() > array.len() + 1);
        array.iter_mut().zip(sound.samples).for_each(|(out, sample)| *out = sample.clamp(-1.0, 1.0));
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if let Some(at) = array.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::data(format!("the sound holds {} at sample {at}", array[at])));
        }
        recording::write(array, self.sample_rate).map(OwnedCell::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sounds::{float_wav, syllable};

    #[test]
    fn sounds_are_cut_or_padded_and_come_back() {
        let codec = Waveform::new(&Parameters::new(json!({"sample_rate": 8_000, "samples": 800}))).unwrap();
        let sound = syllable(8_000, 0.2);
        for n in [300, 800, 1_600] {
            let mut array = [0.0; 800];
            codec.encode(Cell::Bytes(&float_wav(8_000, &sound[..n])), &mut array).unwrap();
            let kept = n.min(800);
            assert_eq!((&array[..kept], &array[kept..]), (&sound[..kept], &[0.0; 800][kept..]));
            let OwnedCell::Bytes(file) = codec.decode(&array).unwrap() else { panic!("not a file") };
            let mut back = [0.0; 800];
            codec.encode(Cell::Bytes(&file), &mut back).unwrap();
            assert!(array.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn samples_over_full_scale_are_clamped_and_non_finite_ones_refused() {
        let codec = Waveform::new(&Parameters::new(json!({"sample_rate": 8_000, "samples": 2}))).unwrap();
        let mut array = [0.0; 2];
        codec.encode(Cell::Bytes(&float_wav(8_000, &[3.0, -3.0])), &mut array).unwrap();
        assert_eq!(array, [1.0, -1.0]);
        assert!(matches!(codec.decode(&[0.0, f32::NAN]), Err(Error::Data(_))));
        assert!(Waveform::new(&Parameters::new(json!({"sample_rate": 1}))).is_err());
    }
}
