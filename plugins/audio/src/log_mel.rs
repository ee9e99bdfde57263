//! The codec `log-mel`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, CutCount, Error, OwnedCell, Parameters, Partial, descriptor::*};
use realfft::num_complex::Complex32;

use crate::mel::Mel;
use crate::phase::sound_from_magnitudes;
use crate::recording::{self, Excerpt, MAX_SECONDS};
use crate::spectrum::{BINS, FRAME, Spectrum};

/// The power that becomes 0, 50 dB below full scale. Recordings are normalized to full scale first, so loudness does
/// not matter. In recorded digits, two of five values are below twice this power, mostly room noise.
const FLOOR: f32 = 1e-5;
/// The power that becomes 1: a sine of full scale in one bin. In recorded digits, one value in a thousand exceeds 0.86
/// and none exceeds 0.96.
const LOUDEST: f32 = 1.0;
/// The least number of samples; silence pads shorter recordings.
const MIN_SAMPLES: usize = 2 * FRAME;

/// A recording <-> the log power of mel bands between 0 and 1. The frames are spread evenly over the recording from the
/// second `from` on, so that one of any length fills the map; what follows after `span` seconds is cut. Decodes to WAV
/// files that last `seconds`.
pub struct LogMel {
    config: Config,
    samples: usize,
    spectrum: Spectrum,
    mel: Mel,
    count: CutCount,
}

#[derive(serde::Deserialize)]
struct Config {
    sample_rate: u32,
    bands: usize,
    frames: usize,
    seconds: f64,
    #[serde(default)]
    from: f64,
    #[serde(default = "longest")]
    span: f64,
    #[serde(default)]
    partial: Partial,
}

fn longest() -> f64 {
    MAX_SECONDS
}

impl Codec for LogMel {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "log-mel",
        modality: "audio",
        summary: "recording <-> log power of mel bands, stretched over the frames",
        cell: CellKind::Bytes,
        feature: "Audio",
        array: f32_port_in(&[fixed("channel", 1), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1),
        parameters: r#"{
            "sample_rate": {"type": "integer", "minimum": 4000, "maximum": 48000, "default": 8000},
            "bands": {"type": "integer", "minimum": 4, "maximum": 128, "default": 40},
            "frames": {"type": "integer", "minimum": 2, "maximum": 1024, "default": 32},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 0.45, "description": "length of decoded sounds"},
            "from": {"type": "number", "minimum": 0, "maximum": 86400, "default": 0, "description": "seconds of the recording that are skipped"},
            "span": {"type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 60, "description": "most seconds that are read; what follows is cut, and the log counts such recordings"},
            "partial": {"enum": ["fail", "accept"], "default": "fail", "description": "what happens to a recording that ends early"}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        let Config { sample_rate, bands, frames, seconds, from, span, .. } = config;
        if !(4_000..=48_000).contains(&sample_rate) || !(4..=128).contains(&bands) || !(2..=1024).contains(&frames) {
            return Err(Error::Parameters(format!(
                "bands is {bands}, frames {frames}, sample_rate {sample_rate}; \
                 the allowed ranges are 4 to 128, 2 to 1024 and 4000 to 48000"
            )));
        }
        if seconds <= 0.0 || seconds > 60.0 {
            return Err(Error::Parameters(format!("seconds is {seconds}; it must be above 0 and at most 60")));
        }
        recording::check_from(from)?;
        if span <= 0.0 || span > MAX_SECONDS {
            return Err(Error::Parameters(format!("span is {span}; it must be above 0 and at most {MAX_SECONDS}")));
        }
        let samples = ((seconds * f64::from(sample_rate)) as usize).max(MIN_SAMPLES);
        if samples > frames * FRAME {
            return Err(Error::Parameters(format!(
                "{frames} frames of {FRAME} samples do not cover {seconds} s; raise frames or lower seconds"
            )));
        }
        let count = CutCount::new("audio/log-mel", "recordings", format!("{span} s"));
        Ok(LogMel { samples, spectrum: Spectrum::new(), mel: Mel::new(bands, sample_rate), count, config })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let Config { sample_rate: rate, from, span: seconds, partial, .. } = self.config;
        let sound = recording::read(cell.bytes()?, &Excerpt { rate, from, seconds, partial })?;
        self.count.add(sound.is_cut);
        let mut sound = sound.samples;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::sounds::{float_wav, syllable};

    fn codec(bands: usize, frames: usize, seconds: f64) -> Result<LogMel, Error> {
        let parameters = json!({"sample_rate": 8_000, "bands": bands, "frames": frames, "seconds": seconds});
        LogMel::new(&Parameters::new(parameters))
    }

    fn encoded(codec: &LogMel, rate: u32, sound: &[f32]) -> Vec<f32> {
        let mut array = vec![0.0; codec.config.bands * codec.config.frames];
        codec.encode(Cell::Bytes(&float_wav(rate, sound)), &mut array).unwrap();
        array
    }

    fn decoded(codec: &LogMel, array: &[f32]) -> Vec<f32> {
        match codec.decode(array).unwrap() {
            OwnedCell::Bytes(file) => recording::read(&file, &Excerpt::whole(8_000)).unwrap().samples,
            other => panic!("{other:?}"),
        }
    }

    fn mean_difference(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
    }

    /// The codec's tolerance: decoding and encoding a map changes it by at most 0.06 of the range (3 dB) on average.
    /// Maps of recorded digits change by 0.016, the worst of 300 by 0.07.
    #[test]
    fn a_decoded_map_encodes_to_nearly_itself() {
        let codec = codec(40, 32, 0.45).unwrap();
        for seconds in [0.1, 0.45, 1.5] {
            let map = encoded(&codec, 8_000, &syllable(8_000, seconds));
            assert!(map.iter().all(|level| (0.0..=1.0).contains(level)));
            let sound = decoded(&codec, &map);
            assert_eq!(sound.len(), 3_600);
            let difference = mean_difference(&map, &encoded(&codec, 8_000, &sound));
            assert!(difference < 0.06, "{seconds} s: {difference}");
        }
    }

    #[test]
    fn neither_loudness_nor_rate_matters() {
        let codec = codec(40, 32, 0.45).unwrap();
        let map = encoded(&codec, 8_000, &syllable(8_000, 0.5));
        let soft: Vec<_> = syllable(8_000, 0.5).iter().map(|sample| sample * 0.01).collect();
        assert!(mean_difference(&map, &encoded(&codec, 8_000, &soft)) < 1e-4);
        let tone = |rate: u32| -> Vec<f32> {
            (0..rate).map(|i| (i as f32 * 1_000.0 / rate as f32 * std::f32::consts::TAU).sin()).collect()
        };
        let at_8 = encoded(&codec, 8_000, &tone(8_000));
        let at_44 = encoded(&codec, 44_100, &tone(44_100));
        assert!(mean_difference(&at_8, &at_44) < 0.02, "{}", mean_difference(&at_8, &at_44));
    }

    #[test]
    fn silence_is_zero_and_stays_silence() {
        let codec = codec(40, 32, 0.45).unwrap();
        let map = encoded(&codec, 8_000, &[0.0; 100]);
        assert_eq!(map, [0.0; 1_280]);
        assert_eq!(decoded(&codec, &map), [0.0; 3_600]);
    }

    #[test]
    fn the_same_map_gives_the_same_file() {
        let codec = codec(40, 32, 0.45).unwrap();
        let map = encoded(&codec, 8_000, &syllable(8_000, 0.3));
        assert_eq!(codec.decode(&map).unwrap(), codec.decode(&map).unwrap());
    }

    #[test]
    fn impossible_parameters_are_refused() {
        for (bands, frames, seconds) in
            [(0, 32, 0.45), (40, 1, 0.45), (1_000, 32, 0.45), (40, 32, 0.0), (40, 32, 2.0), (40, 1_024, 61.0)]
        {
            let made = codec(bands, frames, seconds);
            assert!(matches!(made, Err(Error::Parameters(_))), "{bands} bands, {frames} frames, {seconds} s");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_map_becomes_a_sound_or_is_refused(map in prop::collection::vec(any::<f32>(), 8 * 4)) {
            let decoded = codec(8, 4, 0.1).unwrap().decode(&map);
            prop_assert_eq!(decoded.is_ok(), map.iter().all(|level| level.is_finite()));
        }

        #[test]
        fn any_sound_becomes_a_map(sound in prop::collection::vec(-1e6..1e6f32, 1..700), rate in 1_000u32..50_000) {
            let map = encoded(&codec(8, 4, 0.1).unwrap(), rate, &sound);
            prop_assert!(map.iter().all(|level| (0.0..=1.0).contains(level)));
        }
    }
}
