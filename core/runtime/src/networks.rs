//! A model's networks on the engine's one compute thread.

use std::sync::{Arc, Mutex};

use anyflow_diffusion::{Denoiser, Engine, EngineConfig, EngineHandle, EngineStats, InferenceMode};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::plugin::{Module, watch};
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
    /// Starts the compute thread; the modules of the streams move there.
    ///
    /// # Errors
    /// What engine and plugins say.
    pub fn start(
        streams: IndexMap<String, StreamNet>,
        denoisers: IndexMap<String, Box<dyn Denoiser>>,
        device: Device,
    ) -> Result<Self> {
        let engine = Engine::start(denoisers, EngineConfig::new(device)).map_err(RunError::diffusion("engine"))?;
        let handle = engine.handle();
        let prompts = streams.values().filter(|net| net.is_prompt()).map(|net| net.name.clone()).collect();
        let mut networks = Networks { streams: IndexMap::new(), prompts, _engine: engine, handle, device };
        for (name, mut net) in streams {
            let module = net.module.take().map(Module::leave).transpose()?;
            let net = Arc::new(Mutex::new(net));
            if let Some(module) = module {
                networks.on_net(&name, &net, move |net| {
                    net.module = Some(module.arrive()?);
                    Ok(())
                })?;
            }
            networks.streams.insert(name, net);
        }
        Ok(networks)
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
        self.on_net(asker, &self.streams[stream], move |net| {
            let _inference = InferenceMode::enter().map_err(|error| RunError::Internal(error.to_string()))?;
            work(net)
        })
    }

    fn on_net<T: Send + 'static>(
        &self,
        asker: &str,
        net: &Arc<Mutex<StreamNet>>,
        work: impl FnOnce(&mut StreamNet) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (net, node) = (net.clone(), asker.to_string());
        let call = self.handle.call(move || match net.lock() {
            Ok(mut net) => watch::in_node(&node, || work(&mut net)),
            Err(_) => Err(RunError::Internal("a network was left in the middle of a call".into())),
        });
        call.map_err(RunError::diffusion(asker))?
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        // Modules end on the thread that they were made on; where that has ended, there is nothing to say any more.
        drop(self.handle.call(move || drop(streams)));
    }
}
