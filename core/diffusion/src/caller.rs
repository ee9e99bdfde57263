//! Calls of a denoiser: checked, split if memory is short, and timed.

use std::time::{Duration, Instant};

use tch::{Kind, Tensor};

use crate::job::LaneContext;
use crate::noise::normals_tensor;
use crate::{Denoiser, DenoiserInput, EngineError, Result, TensorExt};

/// A denoiser and the maximum number of rows per call.
pub(crate) struct Caller {
    pub name: String,
    denoiser: Box<dyn Denoiser>,
    /// Maximum rows per network call; halved permanently when the device runs out of memory.
    pub cap: usize,
}

/// The throughput of network calls by batch size.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The rows per call beyond which throughput hardly improves.
    pub cap: usize,
    /// (rows per call, rows per second), in ascending order of rows.
    pub rates: Vec<(usize, f64)>,
}

/// A larger size counts only if it gives at least this many times the best throughput so far.
const LEAST_GAIN: f64 = 1.05;
/// Growth stops after this many sizes in a row without a gain: a single one may be a disturbed measurement.
const PATIENCE: usize = 2;
/// Calls per size. The fastest counts, since disturbances only slow a call down.
const CALLS: usize = 4;
/// No new size is tried after this time.
const PROFILE_TIME: Duration = Duration::from_secs(1);

impl Caller {
    pub fn new(name: String, denoiser: Box<dyn Denoiser>, cap: usize) -> Self {
        Caller { name, denoiser, cap: cap.max(1) }
    }

    /// Calls the network; halves the rows per call each time the device runs out of memory.
    pub fn predict(&mut self, input: &DenoiserInput, context: &LaneContext) -> Result<Vec<Tensor>> {
        loop {
            match self.in_parts(input, context) {
                Err(error) if error.is_out_of_memory() && self.cap > 1 => {
                    self.cap = self.cap.min(input.rows() as usize).div_ceil(2);
                    tracing::warn!(denoiser = self.name, rows = self.cap, "{error}; the batch is halved");
                }
                result => return result,
            }
        }
    }

    fn in_parts(&self, input: &DenoiserInput, context: &LaneContext) -> Result<Vec<Tensor>> {
        let rows = input.rows();
        let part = self.cap as i64;
        if rows <= part {
            return self.checked(input, context);
        }
        let mut outputs: Vec<Vec<Tensor>> = context.streams.iter().map(|_| Vec::new()).collect();
        for first in (0..rows).step_by(self.cap) {
            let input = input.narrow(first, part.min(rows - first))?;
            for (parts, output) in outputs.iter_mut().zip(self.checked(&input, context)?) {
                parts.push(output);
            }
        }
        outputs.iter().map(|parts| Tensor::try_cat(parts, 0)).collect()
    }

    /// One network call. The outputs have the shapes of the streams and are converted to f32.
    fn checked(&self, input: &DenoiserInput, context: &LaneContext) -> Result<Vec<Tensor>> {
        let mut outputs = self.denoiser.predict(input)?;
        if outputs.len() != context.streams.len() {
            let expected = vec![context.streams.len() as i64];
            let found = vec![outputs.len() as i64];
            return Err(EngineError::Shape { what: format!("the output of {:?}", self.name), expected, found });
        }
        for (stream, output) in context.streams.iter().zip(&mut outputs) {
            stream.check_batch(output, input.rows() as usize)?;
            if output.kind() != Kind::Float {
                *output = output.try_to_kind(Kind::Float)?;
            }
        }
        Ok(outputs)
    }

    /// Times calls of 1, 2, 4 ... rows, up to `most`.
    ///
    /// # Errors
    /// The network fails on one row. Running out of memory with more rows only ends the growth.
    pub fn profile(&self, most: usize, context: &LaneContext) -> Result<Profile> {
        // The very first call initializes the device's libraries, which may take longer than everything after it.
        self.seconds(1, context)?;
        let began = Instant::now();
        let mut profile = Profile { cap: 1, rates: Vec::new() };
        let mut rows = 1;
        let mut best = 0.0;
        let mut idle = 0;
        while rows <= most.max(1) && idle < PATIENCE && began.elapsed() < PROFILE_TIME {
            let seconds = match self.seconds(rows, context) {
                Err(error) if error.is_out_of_memory() && rows > 1 => break,
                seconds => seconds?,
            };
            let rate = rows as f64 / seconds;
            profile.rates.push((rows, rate));
            if rate >= best * LEAST_GAIN {
                (profile.cap, best, idle) = (rows, rate, 0);
            } else {
                idle += 1;
            }
            rows *= 2;
        }
        Ok(profile)
    }

    /// The seconds of the fastest of [`CALLS`] calls on synthetic rows, after one warm-up call.
    fn seconds(&self, rows: usize, context: &LaneContext) -> Result<f64> {
        let keys: Vec<u64> = (0..rows as u64).collect();
        let x = context
            .streams
            .iter()
            .map(|stream| normals_tensor(0, &keys, &stream.name, 0, &stream.shape, context.device));
        let filled = |value: f64| {
            let size = [rows as i64, context.streams.len() as i64];
            Tensor::try_full(size, value, (Kind::Float, context.device))
        };
        let input = DenoiserInput::new(x.collect::<Result<_>>()?, filled(0.5)?, filled(1.0)?);
        let mut best = f64::INFINITY;
        for call in 0..=CALLS {
            let began = Instant::now();
            for output in self.checked(&input, context)? {
                // Reading a number back waits for the computation, on any device.
                output.try_sum_all(Kind::Float)?.try_item()?;
            }
            if call > 0 {
                best = best.min(began.elapsed().as_secs_f64());
            }
        }
        Ok(best.max(1e-9))
    }
}
