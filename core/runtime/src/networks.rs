//! A model's networks on the engine's compute thread.

use std::sync::{Arc, Mutex};

use anyflow_diffusion::{Denoiser, Engine, EngineConfig, EngineHandle, EngineStats, InferenceMode};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::plugin::{Module, watch};
use crate::stream::StreamNet;
use crate::{Judge, Result, RunError};

/// The networks of streams and prompts, and the denoisers. Only the compute thread uses them.
pub struct Networks {
    streams: IndexMap<String, Arc<Mutex<StreamNet>>>,
    prompts: Vec<String>,
    /// The factor of each scorer of the model that compares prompts; none at first.
    pub factors: IndexMap<String, f64>,
    /// Scorers of nodes.
    judges: IndexMap<String, Arc<Mutex<Judge>>>,
    /// Dropping it ends the thread.
    _engine: Engine,
    handle: EngineHandle,
    /// The device of all tensors.
    pub device: Device,
}

impl Networks {
    /// Starts the compute thread and moves the modules of the streams there.
    ///
    /// # Errors
    /// Errors of engine and plugins.
    pub fn start(
        streams: IndexMap<String, StreamNet>,
        denoisers: IndexMap<String, Box<dyn Denoiser>>,
        device: Device,
    ) -> Result<Self> {
        let engine = Engine::start(denoisers, EngineConfig::new(device)).map_err(RunError::diffusion("engine"))?;
        let handle = engine.handle();
        let prompts = streams.values().filter(|net| net.is_prompt()).map(|net| net.name.clone()).collect();
        let (at, factors, judges) = Default::default();
        let mut networks = Networks { streams: at, prompts, factors, judges, _engine: engine, handle, device };
        for (name, mut net) in streams {
            let module = net.module.take().map(Module::leave).transpose()?;
            let net = Arc::new(Mutex::new(net));
            if let Some(module) = module {
                networks.on(&name, &net, move |net| {
                    net.module = Some(module.arrive()?);
                    Ok(())
                })?;
            }
            networks.streams.insert(name, net);
        }
        Ok(networks)
    }

    /// The engine, which takes diffusion requests.
    pub fn engine(&self) -> &EngineHandle {
        &self.handle
    }

    /// True for a prompt or a vector of one, which only conditions.
    pub fn is_prompt(&self, name: &str) -> bool {
        !self.streams.contains_key(name) || self.prompts.iter().any(|prompt| prompt == name)
    }

    /// The engine's statistics.
    pub fn stats(&self) -> EngineStats {
        self.handle.stats()
    }

    /// Runs `work` with the network of a stream or prompt on the compute thread, without gradients. Errors name `asker`, a
    /// node or task.
    ///
    /// # Errors
    /// The error of `work`; `work` panicked.
    pub fn on_stream(
        &self,
        asker: &str,
        stream: &str,
        work: impl FnOnce(&StreamNet) -> Result<Tensor> + Send + 'static,
    ) -> Result<Tensor> {
        self.on(asker, &self.streams[stream], move |net| {
            let _inference = InferenceMode::enter().map_err(|error| RunError::Internal(error.to_string()))?;
            work(net)
        })
    }

    /// Adds the scorer of a node, and moves its module to the compute thread.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn add_judge(&mut self, node: String, mut judge: Judge) -> Result<()> {
        let module = judge.module.take().map(Module::leave).transpose()?;
        let judge = Arc::new(Mutex::new(judge));
        if let Some(module) = module {
            self.on(&node, &judge, move |judge| {
                judge.module = Some(module.arrive()?);
                Ok(())
            })?;
        }
        self.judges.insert(node, judge);
        Ok(())
    }

    /// Runs `work` with the scorer of a node on the compute thread, without gradients.
    ///
    /// # Errors
    /// The error of `work`; `work` panicked.
    pub fn on_judge(&self, node: &str, work: impl FnOnce(&Judge) -> Result<Tensor> + Send + 'static) -> Result<Tensor> {
        self.on(node, &self.judges[node], move |judge| {
            let _inference = InferenceMode::enter().map_err(|error| RunError::Internal(error.to_string()))?;
            work(judge)
        })
    }

    fn on<N: Send + 'static, T: Send + 'static>(
        &self,
        asker: &str,
        net: &Arc<Mutex<N>>,
        work: impl FnOnce(&mut N) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let net = net.clone();
        let node = asker.to_string();
        let call = self.handle.call(move || match net.lock() {
            Ok(mut net) => watch::in_node(&node, || work(&mut net)),
            Err(_) => Err(RunError::Internal("an earlier call of this network panicked".into())),
        });
        call.map_err(RunError::diffusion(asker))?
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        let judges = std::mem::take(&mut self.judges);
        // Modules must be destroyed on the thread that created them. If that thread has ended, nothing can be done.
        let _ = self.handle.call(move || drop((streams, judges)));
    }
}
