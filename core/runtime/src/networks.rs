//! A model's networks on the engine's one compute thread.

use std::sync::{Arc, Mutex};

use anyflow_diffusion::{Denoiser, Engine, EngineConfig, EngineHandle, EngineStats, InferenceMode};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::plugin::watch;
use crate::stream::StreamNet;
use crate::{Result, RunError};

/// Stream and prompt networks and denoisers, all of them used by the compute thread only.
pub struct Networks {
    streams: IndexMap<String, Arc<Mutex<StreamNet>>>,
    prompts: Vec<String>,
    /// Dropping it ends the thread.
    _engine: Engine,
    handle: EngineHandle,
    /// Where tensors live.
    pub device: Device,
}

impl Networks {
    /// Starts the compute thread.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(
        streams: IndexMap<String, StreamNet>,
        denoisers: IndexMap<String, Box<dyn Denoiser>>,
        device: Device,
    ) -> Result<Self> {
        let engine = Engine::start(denoisers, EngineConfig::new(device)).map_err(RunError::diffusion("engine"))?;
        let handle = engine.handle();
        let prompts = streams.values().filter(|net| net.is_prompt()).map(|net| net.name.clone()).collect();
        let streams = streams.into_iter().map(|(name, net)| (name, Arc::new(Mutex::new(net)))).collect();
        Ok(Networks { streams, prompts, _engine: engine, handle, device })
    }

    /// Where rows are submitted to be diffused.
    pub fn engine(&self) -> &EngineHandle {
        &self.handle
    }

    /// Whether a network only makes what conditions.
    pub fn is_prompt(&self, name: &str) -> bool {
        self.prompts.iter().any(|prompt| prompt == name)
    }

    /// What the engine has done.
    pub fn stats(&self) -> EngineStats {
        self.handle.stats()
    }

    /// Runs `work` with a stream's or prompt's network on the compute thread, recording no gradients. `asker` is the node or task
    /// that errors name.
    ///
    /// # Errors
    /// Those of `work`, or that it panicked.
    pub fn on_stream(
        &self,
        asker: &str,
        stream: &str,
        work: impl FnOnce(&StreamNet) -> Result<Tensor> + Send + 'static,
    ) -> Result<Tensor> {
        let net = self.streams[stream].clone();
        let node = asker.to_string();
        let call = self.handle.call(move || {
            let _inference = InferenceMode::enter().map_err(|error| RunError::Internal(error.to_string()))?;
            match net.lock() {
                Ok(net) => watch::in_node(&node, || work(&net)),
                Err(_) => Err(RunError::Internal("a network was left in the middle of a call".into())),
            }
        });
        call.map_err(RunError::diffusion(asker))?
    }
}
