//! Generation for a task, on the engine, and what judges say of it.

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_diffusion::{Observed, Request};
use anyflow_plan::plan::Task;
use indexmap::IndexMap;
use serde_json::Value;
use tch::{Device, Tensor};

use crate::networks::Networks;
use crate::plugin::Codec;
use crate::stream::StreamNet;
use crate::{Judge, Result, RunError, Session, session};

/// A model that answers tasks.
pub struct Sampling {
    codecs: IndexMap<String, Codec>,
    networks: Networks,
    denoiser: String,
    sampler: anyflow_diffusion::Sampling,
}

impl Sampling {
    /// Starts the compute thread with the session's networks.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(session: Session, denoiser: &str, sampler: &Value, device: Device) -> Result<Self> {
        let Session { codecs, streams, denoisers, .. } = session;
        let networks = Networks::start(streams, denoisers, device)?;
        Ok(Sampling { codecs, networks, denoiser: denoiser.into(), sampler: session::typed(sampler)? })
    }

    /// Network calls so far.
    pub fn network_calls(&self) -> u64 {
        self.networks.stats().steps
    }

    /// Arrays `[row, axes]` of the streams that a task generates, from the arrays that it observes.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn generate(
        &self,
        name: &str,
        task: &Task,
        given: IndexMap<String, Tensor>,
        rows: u64,
        seed: u64,
    ) -> Result<IndexMap<String, Tensor>> {
        let engine = self.networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(&self.denoiser).map_err(RunError::diffusion(name))? {
            let state = match given.get(&stream.name) {
                Some(array) => {
                    let array = array.f_to_device(self.networks.device)?;
                    let encode = move |net: &StreamNet| net.standardise(&net.encode(&array, false)?);
                    session::given(task.given, self.networks.on_stream(name, &stream.name, encode)?)
                }
                None if task.absent.contains(&stream.name) => Observed::Absent,
                None => Observed::Noisy,
            };
            states.insert(stream.name.clone(), state);
        }
        let request = Request {
            denoiser: self.denoiser.clone(),
            rows: (0..rows).collect(),
            guidance: session::branches(task.guidance.as_ref(), &states)?,
            states,
            sampler: self.sampler.clone(),
            seed,
            outputs: task.generate.clone(),
        };
        let sampled = engine.submit(request).and_then(|t| t.wait()).map_err(RunError::diffusion(name))?;
        let decode = |(stream, latent): (String, Tensor)| {
            let array = self.networks.on_stream(name, &stream, move |net| net.decode(&net.restore(&latent)?, false))?;
            Ok((stream, array))
        };
        sampled.streams.into_iter().map(decode).collect()
    }

    /// What a judge says of each row of a stream's array, read back from cells.
    ///
    /// # Errors
    /// What plugins say.
    pub fn judged(&self, stream: &str, judge: &Judge, array: &Tensor, threads: usize) -> Result<Vec<Option<i64>>> {
        judged(&self.codecs[stream], judge, array, self.networks.device, threads)
    }
}

/// Array -> cells -> array -> class; nothing where a cell cannot be written or read back.
///
/// # Errors
/// What plugins say.
pub fn judged(
    codec: &Codec,
    judge: &Judge,
    array: &Tensor,
    device: Device,
    threads: usize,
) -> Result<Vec<Option<i64>>> {
    let cells: Vec<Option<OwnedCell>> = codec.decode(array, threads)?.into_iter().map(Result::ok).collect();
    let views: Vec<Option<Cell<'_>>> = cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell)).collect();
    let (array, failed) = codec.encode(&views, threads)?;
    let mut verdict = Vec::with_capacity(cells.len());
    for chunk in array.f_split(1024, 0)? {
        verdict.extend(judge.classes_of(&chunk.f_to_device(device)?)?.into_iter().map(Some));
    }
    for row in failed {
        verdict[row.row] = None;
    }
    Ok(verdict)
}
