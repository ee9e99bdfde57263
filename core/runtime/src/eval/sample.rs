//! Generation for a task, on the engine.

use anyflow_diffusion::{Observed, Request};
use anyflow_plan::plan::Task;
use indexmap::IndexMap;
use serde_json::Value;
use tch::{Device, Tensor};

use crate::networks::Networks;
use crate::{Result, RunError, Session, session};

/// A model that answers tasks.
pub struct Sampling {
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
        let Session { streams, denoisers, .. } = session;
        let networks = Networks::start(streams, denoisers, device)?;
        Ok(Sampling { networks, denoiser: denoiser.into(), sampler: session::typed(sampler)? })
    }

    /// Rows that went through the network so far, each as often as it did.
    pub fn network_calls(&self) -> u64 {
        self.networks.stats().row_steps
    }

    /// Arrays `[row, axes]` of the streams that a task generates, from the arrays that it observes or is conditioned on,
    /// and those that it begins from; for so many rows, with this seed.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn generate(
        &self,
        name: &str,
        task: &Task,
        given: IndexMap<String, Tensor>,
        begun: IndexMap<String, Tensor>,
        (rows, seed): (u64, u64),
    ) -> Result<IndexMap<String, Tensor>> {
        let engine = self.networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(&self.denoiser).map_err(RunError::diffusion(name))? {
            let seen = |array: &Tensor| {
                let array = array.f_to_device(self.networks.device)?;
                self.networks.on_stream(name, &stream.name, move |net| net.seen(&array))
            };
            let state = match given.get(&stream.name) {
                Some(array) => {
                    let seen = seen(array)?;
                    match task.condition.get(&stream.name) {
                        Some(weight) => Observed::Prompt { value: seen, weight: *weight },
                        None => session::given(task.given, seen),
                    }
                }
                None if task.absent.contains(&stream.name) => Observed::Absent,
                None if self.networks.is_prompt(&stream.name) => Observed::Absent,
                None => match begun.get(&stream.name) {
                    Some(array) => Observed::Begun(seen(array)?),
                    None => Observed::Noisy,
                },
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
}
