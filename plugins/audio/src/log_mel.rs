//! The codec `log-mel`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};
use realfft::num_complex::Complex32;

use crate::mel::Mel;
use crate::phase::sound_from_magnitudes;
use crate::recording;
use crate::spectrum::{BINS, FRAME, Spectrum};

/// The power of a band that becomes 0: 50 dB under a sine of full scale. Loudness does not matter, since recordings
/// are brought to full scale first; what is softer than this is mostly the noise of the room.
const FLOOR: f32 = 1e-5;
/// The power of a band that becomes 1; a sine of full scale has 0.18 in `log10`.
const LOUDEST: f32 = 1.0;
/// Short recordings are followed by silence up to this many samples.
const MIN_SAMPLES: usize = 2 * FRAME;

/// A WAV file <-> the log-power of mel bands between 0 and 1, in frames spread evenly over the whole recording, so
/// that each fills the map whatever its length. Decoded sounds last `seconds`.
pub struct LogMel {
    config: Config,
    samples: usize,
    spectrum: Spectrum,
    mel: Mel,
}

#[derive(serde::Deserialize)]
struct Config {
    sample_rate: u32,
    bands: usize,
    frames: usize,
    seconds: f64,
}

impl Codec for LogMel {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "log-mel",
        modality: "audio",
        summary: "recording <-> log-power of mel bands, stretched over the frames",
        cell: CellKind::Bytes,
        feature: "Audio",
        array: f32_port_in(&[fixed("channel", 1), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1),
        parameters: r#"{
            "sample_rate": {"type": "integer", "minimum": 4000, "maximum": 48000, "default": 8000},
            "bands": {"type": "integer", "minimum": 4, "maximum": 128, "default": 40},
            "frames": {"type": "integer", "minimum": 2, "maximum": 1024, "default": 32},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 0.45}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        let Config { sample_rate, bands, frames, seconds } = config;
        if !(4_000..=48_000).contains(&sample_rate) || !(4..=128).contains(&bands) || !(2..=1024).contains(&frames) {
            return Err(Error::Parameters(format!("no map has {bands} bands, {frames} frames at {sample_rate} Hz")));
        }
        let samples = ((seconds.clamp(0.0, 60.0) * f64::from(sample_rate)) as usize).max(MIN_SAMPLES);
        if samples > frames * FRAME {
            return Err(Error::Parameters(format!("{frames} frames of {FRAME} samples do not cover {seconds} s")));
        }
        Ok(LogMel { samples, spectrum: Spectrum::new(), mel: Mel::new(bands, sample_rate), config })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let mut sound = recording::read(cell.bytes()?, self.config.sample_rate)?;
        recording::to_full_scale(&mut sound);
        if sound.len() < MIN_SAMPLES {
            sound.resize(MIN_SAMPLES, 0.0);
        }
        let frames = self.config.frames;
        let mut spectra = vec![Complex32::ZERO; frames * BINS];
        self.spectrum.analyze(&sound, &mut spectra)?;
        for (frame, spectrum) in spectra.chunks_exact(BINS).enumerate() {
            let power: Vec<_> = spectrum.iter().map(Complex32::norm_sqr).collect();
            for (band, power) in self.mel.bands_from_bins(&power).enumerate() {
                array[band * frames + frame] = level_from_power(power);
            }
        }
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if let Some(at) = array.iter().position(|level| !level.is_finite()) {
            return Err(Error::data(format!("the map holds {} at element {at}", array[at])));
        }
        let frames = self.config.frames;
        let mut magnitudes = vec![0.0; frames * BINS];
        for (frame, bins) in magnitudes.chunks_exact_mut(BINS).enumerate() {
            let bands: Vec<_> =
                array.iter().skip(frame).step_by(frames).map(|level| power_from_level(*level)).collect();
            self.mel.bins_from_bands(&bands, bins);
            bins.iter_mut().for_each(|power| *power = power.sqrt());
        }
        let mut sound = vec![0.0; self.samples];
        sound_from_magnitudes(&self.spectrum, &magnitudes, &mut sound)?;
        recording::to_full_scale(&mut sound);
        recording::write(&sound, self.config.sample_rate).map(OwnedCell::Bytes)
    }
}

fn level_from_power(power: f32) -> f32 {
    ((power / FLOOR).ln_1p() / (LOUDEST / FLOOR).ln_1p()).clamp(0.0, 1.0)
}

fn power_from_level(level: f32) -> f32 {
    FLOOR * (level.clamp(0.0, 1.0) * (LOUDEST / FLOOR).ln_1p()).exp_m1()
}
