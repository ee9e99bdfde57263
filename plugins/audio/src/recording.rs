//! WAV files <-> samples of one channel.

use std::io::Cursor;

use anyflow_sdk::Error;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::resample::resampled;

/// The longest recording that is read, so that a file cannot ask for all memory.
const MAX_SECONDS: f64 = 60.0;

/// Reads a WAV file of 8 to 32 bits, whole numbers or floats: its channels averaged, at `rate`, full scale at 1.
pub(crate) fn read(bytes: &[u8], rate: u32) -> Result<Vec<f32>, Error> {
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(refused)?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    if !(1..=64).contains(&channels) || !(1_000..=192_000).contains(&sample_rate) || bits_per_sample > 32 {
        return Err(Error::data(format!(
            "not a recording: {channels} channels, {sample_rate} Hz, {bits_per_sample} bits a sample"
        )));
    }
    let seconds = f64::from(reader.duration()) / f64::from(sample_rate);
    if seconds > MAX_SECONDS {
        return Err(Error::data(format!("the recording lasts {seconds:.1} s; {MAX_SECONDS} s is the most")));
    }
    let samples = match sample_format {
        SampleFormat::Float => mixed(reader.samples::<f32>().map(|s| s.map(f64::from)), channels)?,
        SampleFormat::Int => {
            let full_scale = f64::from(1u32 << (bits_per_sample - 1));
            mixed(reader.samples::<i32>().map(|s| s.map(|s| f64::from(s) / full_scale)), channels)?
        }
    };
    if samples.is_empty() {
        return Err(Error::data("the recording is empty"));
    }
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(Error::data(format!("the recording holds {} at sample {at}", samples[at])));
    }
    Ok(if sample_rate == rate { samples } else { resampled(&samples, sample_rate, rate) })
}

/// The mean over channels of interleaved samples.
fn mixed(samples: impl Iterator<Item = hound::Result<f64>>, channels: u16) -> Result<Vec<f32>, Error> {
    let (mut mean, mut channel) = (0.0, 0);
    let mut mono = Vec::new();
    for sample in samples {
        mean += sample.map_err(refused)? / f64::from(channels);
        channel += 1;
        if channel == channels {
            mono.push(mean as f32);
            (mean, channel) = (0.0, 0);
        }
    }
    Ok(mono)
}

fn refused(error: hound::Error) -> Error {
    Error::data(format!("not a WAV file: {error}"))
}

/// Writes samples between -1 and 1 as a WAV file of 16 bits.
pub(crate) fn write(samples: &[f32], rate: u32) -> Result<Vec<u8>, Error> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = Cursor::new(Vec::new());
    let failed = |error| Error::Failed(format!("writing WAV: {error}"));
    let mut writer = WavWriter::new(&mut file, spec).map_err(failed)?;
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0).round() as i16).map_err(failed)?;
    }
    writer.finalize().map_err(failed)?;
    Ok(file.into_inner())
}

/// Scales to a largest magnitude of 1; silence stays silence.
pub(crate) fn to_full_scale(samples: &mut [f32]) {
    let peak = samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    if peak > 0.0 {
        samples.iter_mut().for_each(|sample| *sample /= peak);
    }
}
