//! The networks of the workloads, and the files that give both sides the same weights.

use std::collections::BTreeMap;
use std::path::Path;

use anyflow_config::network as config;
use anyflow_diffusion::{
    BuildOptions, Denoiser, MlpLayers, Modulation, Parameterization, Precision, ResidualMlp, Schedule, StreamKind,
    StreamSpec, TimeFeatures,
};
use anyhow::{Context, Result, ensure};
use tch::{Device, Tensor};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The prefix of weights' names in a file.
const WEIGHT: &str = "weight.";

/// Reads a file of tensors.
pub fn read(path: &Path) -> Result<Tensors> {
    let tensors = Tensor::read_safetensors(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(tensors.into_iter().collect())
}

/// Writes a file of tensors.
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let listed: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Tensor::write_safetensors(&listed, path).with_context(|| format!("cannot write {}", path.display()))
}

/// A stream of one vector, with noise prediction.
pub fn stream(name: &str, elements: i64, schedule: Schedule) -> StreamSpec {
    StreamSpec {
        name: name.to_string(),
        shape: vec![elements],
        schedule,
        parameterization: Parameterization::Eps,
        kind: StreamKind::Diffused,
    }
}

/// The size of a peers' score network.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Units of a block.
    pub width: i64,
    /// Residual blocks.
    pub blocks: usize,
    /// Units of the time embedding.
    pub embedding: i64,
}

impl Score {
    /// Builds the network: scale and shift from the raw times of the streams.
    pub fn build(self, streams: &[StreamSpec], precision: Precision, given: &Tensors) -> Result<Box<dyn Denoiser>> {
        let config = config::ResidualMlp { width: self.width, blocks: self.blocks, ..config::ResidualMlp::default() };
        let layers = MlpLayers {
            modulation: Modulation::ScaleShift,
            time: TimeFeatures::Raw,
            embedding: Some(self.embedding),
            presence: false,
        };
        with_weights(ResidualMlp::build(streams, &config, layers, &options(precision))?, given)
    }
}

/// Options of a network on the CPU.
pub fn options(precision: Precision) -> BuildOptions {
    BuildOptions::new(precision, Device::Cpu, 0)
}

/// The network with the given weights. If `given` holds any weights, it must hold all of them.
pub fn with_weights(denoiser: Box<dyn Denoiser>, given: &Tensors) -> Result<Box<dyn Denoiser>> {
    if given.keys().any(|name| name.starts_with(WEIGHT)) {
        let _no_grad = tch::no_grad_guard();
        for (name, mut parameter) in denoiser.parameters() {
            let value = tensor(given, &format!("{WEIGHT}{name}"))?;
            ensure!(value.size() == parameter.size(), "{name} is {:?}, given {:?}", parameter.size(), value.size());
            parameter.f_copy_(value)?;
        }
    }
    Ok(denoiser)
}

/// Returns a required tensor.
pub fn tensor<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors.get(name).with_context(|| format!("the file of the other side holds no {name}"))
}

/// The number of weights.
pub fn weights(denoiser: &dyn Denoiser) -> i64 {
    denoiser.parameters().iter().map(|(_, parameter)| parameter.numel() as i64).sum()
}

/// Operations of the matrix products in one row's forward pass: two per matrix element.
pub fn flop(denoiser: &dyn Denoiser) -> i64 {
    let matrices = denoiser.parameters().into_iter().filter(|(_, parameter)| parameter.dim() == 2);
    matrices.map(|(_, matrix)| 2 * matrix.numel() as i64).sum()
}
