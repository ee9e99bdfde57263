//! Decoded channels -> the mono samples of an excerpt.

use anyflow_sdk::Error;
use symphonia::core::audio::GenericAudioBufferRef;

use super::Excerpt;

/// The longest excerpt, so that a file cannot ask for all memory.
pub(crate) const MAX_SECONDS: f64 = 60.0;
/// Channels cancel each other if the power of their mean is below this share of their own: 60 dB.
const CANCELLED: f64 = 1e-6;

/// Receives the frames of a recording, one sample per channel each, and keeps the mean of those in the excerpt.
pub(super) struct Mix {
    excerpt: Excerpt,
    /// The only channel that counts, or the mean of all.
    channel: Option<usize>,
    rate: u32,
    /// Frames that are still to come before the recording begins.
    delay: u64,
    /// Frames before the excerpt.
    skipped: u64,
    /// The most frames of the excerpt.
    most: usize,
    /// Frames received so far.
    frames: u64,
    /// Frames of the whole recording, if later ones are only padding.
    end: u64,
    mono: Vec<f32>,
    /// The sum of squares of each channel.
    power: Vec<f64>,
    buffer: Vec<f64>,
}

/// The excerpt of a recording.
pub(super) struct Sound {
    pub(super) samples: Vec<f32>,
    pub(super) rate: u32,
    /// True if the recording goes on behind the excerpt.
    pub(super) is_cut: bool,
    /// The loudest channel, if the channels cancel each other.
    pub(super) cancelled: Option<usize>,
}

impl Mix {
    pub(super) fn new(excerpt: Excerpt) -> Self {
        Mix {
            excerpt,
            channel: None,
            rate: 0,
            delay: 0,
            skipped: 0,
            most: 0,
            frames: 0,
            end: u64::MAX,
            mono: Vec::new(),
            power: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Keeps one channel only.
    pub(super) fn of_channel(excerpt: Excerpt, channel: usize) -> Self {
        Mix { channel: Some(channel), ..Mix::new(excerpt) }
    }

    /// Starts a recording.
    pub(super) fn begin(&mut self, rate: u32, channels: usize) -> Result<(), Error> {
        if !(1..=64).contains(&channels) || !(1_000..=192_000).contains(&rate) {
            return Err(Error::data(format!(
                "the recording has {channels} channels at {rate} Hz; 1 to 64 channels at 1000 to 192000 Hz are supported"
            )));
        }
        self.rate = rate;
        self.skipped = (self.excerpt.from * f64::from(rate)).round() as u64;
        self.most = (self.excerpt.seconds.min(MAX_SECONDS) * f64::from(rate)).ceil() as usize;
        self.power = vec![0.0; channels];
        Ok(())
    }

    /// Leaves out the first `frames`, which an encoder put before the recording.
    pub(super) fn start_after(&mut self, frames: u64) {
        self.delay = frames;
    }

    /// Leaves out all frames of the recording after the first `frames`, which only pad the last block.
    pub(super) fn end_at(&mut self, frames: u64) {
        self.end = frames;
    }

    /// True until a recording has begun.
    pub(super) fn is_new(&self) -> bool {
        self.rate == 0
    }

    /// True if no later frame is in the excerpt.
    pub(super) fn is_full(&self) -> bool {
        self.mono.len() >= self.most
    }

    /// Frames received so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that may be passed over with [`Mix::skip`] before the next one is needed.
    pub(super) fn unneeded(&self) -> u64 {
        if self.is_full() { u64::MAX } else { self.delay.saturating_add(self.skipped.saturating_sub(self.frames)) }
    }

    /// Passes over frames without their samples.
    pub(super) fn skip(&mut self, frames: u64) {
        let before = self.delay.min(frames);
        self.delay -= before;
        self.frames = self.frames.saturating_add(frames - before).min(self.end);
    }

    /// Receives decoded frames.
    pub(super) fn push(&mut self, decoded: &GenericAudioBufferRef<'_>) -> Result<(), Error> {
        let channels = decoded.spec().channels().count();
        if channels != self.power.len() || decoded.spec().rate() != self.rate {
            let before = self.power.len();
            return Err(Error::data(format!(
                "the recording changes from {before} channels at {} Hz to {channels} at {} Hz after frame {}",
                self.rate,
                decoded.spec().rate(),
                self.frames
            )));
        }
        self.take(decoded.frames(), |buffer| decoded.copy_to_vec_interleaved(buffer));
        Ok(())
    }

    /// Receives decoded frames of the channels and the rate that the recording began with.
    pub(super) fn push_interleaved(&mut self, samples: &[f32]) {
        self.take(samples.len() / self.power.len().max(1), |buffer| {
            buffer.clear();
            buffer.extend(samples.iter().map(|sample| f64::from(*sample)));
        });
    }

    /// Keeps those of the next frames that are in the excerpt. `copy` gives them, interleaved.
    fn take(&mut self, frames: usize, copy: impl FnOnce(&mut Vec<f64>)) {
        let channels = self.power.len();
        let before = self.delay.min(frames as u64);
        self.delay -= before;
        let frames = (frames as u64 - before).min(self.end - self.frames);
        let first = self.skipped.saturating_sub(self.frames).min(frames);
        let taken = (frames - first).min((self.most - self.mono.len()) as u64);
        if taken > 0 {
            copy(&mut self.buffer);
            for frame in self.buffer.chunks_exact(channels).skip((before + first) as usize).take(taken as usize) {
                let sample = match self.channel {
                    Some(channel) => frame[channel],
                    None => frame.iter().fold(0.0, |mean, sample| mean + sample / channels as f64),
                };
                self.power.iter_mut().zip(frame).for_each(|(power, sample)| *power += sample * sample);
                self.mono.push(sample as f32);
            }
        }
        self.frames += frames;
    }

    /// A file that ends early: the row fails, unless the codec takes what is there. `stated` counts the frames that the
    /// file should have.
    pub(super) fn ends_early(&self, stated: Option<u64>) -> Result<(), Error> {
        let seconds = |frames: u64| frames as f64 / f64::from(self.rate);
        let there = self.frames;
        self.excerpt.partial.check(match stated {
            Some(all) => format!(
                "the recording ends early: {there} of {all} samples are there ({:.2} of {:.2} s)",
                seconds(there),
                seconds(all)
            ),
            None => format!("the recording ends early: {there} samples are there ({:.2} s)", seconds(there)),
        })
    }

    pub(super) fn finish(self) -> Result<Sound, Error> {
        if self.frames == 0 {
            return Err(Error::data("the recording is empty, 0 samples"));
        }
        if self.mono.is_empty() {
            let lasts = self.frames as f64 / f64::from(self.rate);
            return Err(Error::data(format!(
                "the recording lasts {lasts:.2} s; the codec reads from {} s on",
                self.excerpt.from
            )));
        }
        let mean: f64 = self.mono.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        let loudest = self.power.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
        let cancelled = loudest.filter(|(_, power)| self.channel.is_none() && mean < CANCELLED * **power);
        let is_cut = self.frames > self.skipped.saturating_add(self.most as u64);
        Ok(Sound { rate: self.rate, is_cut, cancelled: cancelled.map(|(channel, _)| channel), samples: self.mono })
    }
}
