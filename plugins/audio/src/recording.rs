//! Recordings of any common format -> mono samples; mono samples -> WAV files.

mod aiff;
mod au;
mod caf;
mod chunks;
mod head;
mod mix;
mod mp4;
mod opus;
mod packets;
mod pcm;
mod stream;
#[cfg(test)]
mod tests;
mod wave;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyflow_sdk::content::{Medium, unreadable};
use anyflow_sdk::{Error, Partial};
use hound::{SampleFormat, WavSpec, WavWriter};

use crate::resample::{MAX_SAMPLE, resampled};
pub(crate) use mix::MAX_SECONDS;
use mix::{Mix, Sound};

/// The most seconds that may be skipped: a day.
const MAX_FROM: f64 = 86_400.0;
/// The formats that [`read`] knows.
const SUPPORTED: &str = "WAV, W64, AIFF, AU, CAF, FLAC, MP3, AAC (M4A, MP4), and Vorbis, Opus and FLAC in Ogg";

/// The part of a recording that a codec reads, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excerpt {
    /// Samples per second of the result.
    pub(crate) rate: u32,
    /// Seconds that are skipped at the beginning.
    pub(crate) from: f64,
    /// The most seconds that are read; the codec cuts the rest.
    pub(crate) seconds: f64,
    pub(crate) partial: Partial,
}

#[cfg(test)]
impl Excerpt {
    /// As much as a codec may read.
    pub(crate) fn whole(rate: u32) -> Self {
        Excerpt { rate, from: 0.0, seconds: MAX_SECONDS, partial: Partial::Fail }
    }
}

/// Refuses seconds to skip that no recording has.
pub(crate) fn check_from(from: f64) -> Result<(), Error> {
    if (0.0..=MAX_FROM).contains(&from) {
        return Ok(());
    }
    Err(Error::Parameters(format!("from is {from}; it must be from 0 to {MAX_FROM} seconds")))
}

/// What a codec reads of a recording.
pub(crate) struct Excerpted {
    pub(crate) samples: Vec<f32>,
    /// True if the recording goes on behind them.
    pub(crate) is_cut: bool,
}

/// Reads a recording: the format is told from the content, channels are averaged, full scale is 1.
pub(crate) fn read(bytes: &[u8], excerpt: &Excerpt) -> Result<Excerpted, Error> {
    let mut mix = Mix::new(*excerpt);
    decode(bytes, &mut mix)?;
    let mut sound = mix.finish()?;
    // Channels in opposite phase average to silence; the loudest one is what they sound like.
    if let Some(channel) = sound.cancelled {
        let mut mix = Mix::of_channel(*excerpt, channel);
        decode(bytes, &mut mix)?;
        sound = mix.finish()?;
    }
    let Sound { samples, rate, is_cut, .. } = sound;
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite() || sample.abs() > MAX_SAMPLE) {
        return Err(Error::data(format!("the recording holds {} at sample {at}", samples[at])));
    }
    let samples = if rate == excerpt.rate { samples } else { resampled(&samples, rate, excerpt.rate)? };
    Ok(Excerpted { samples, is_cut })
}

fn decode(bytes: &[u8], mix: &mut Mix) -> Result<(), Error> {
    // Decoders of damaged files may panic, in builds that check for overflows. That must fail the row only.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_checked(bytes, mix)));
    decoded.unwrap_or_else(|_| Err(Error::data("the recording is damaged: its decoder gave up")))
}

fn decode_checked(bytes: &[u8], mix: &mut Mix) -> Result<(), Error> {
    let pcm = match bytes.first_chunk() {
        Some(b"RIFF" | b"RF64" | b"BW64" | b"riff") => wave::parse(bytes)?,
        Some(b"FORM") => aiff::parse(bytes)?,
        Some(b".snd") => au::parse(bytes)?,
        Some(b"caff") => caf::parse(bytes)?,
        _ => None,
    };
    match pcm {
        Some(pcm) => pcm.decode(mix),
        None if stream::is(bytes) => stream::decode(bytes, mix),
        None => Err(unreadable(bytes, Medium::Recording, SUPPORTED)),
    }
}

/// Writes samples between -1 and 1 as a 16-bit WAV file.
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

/// Scales the largest magnitude to 1; silence stays silence.
pub(crate) fn to_full_scale(samples: &mut [f32]) {
    let peak = samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    if peak > 0.0 {
        samples.iter_mut().for_each(|sample| *sample /= peak);
    }
}
