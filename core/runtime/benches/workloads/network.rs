//! The networks of the workloads, and the files that give both sides the same weights.

use std::collections::BTreeMap;
use std::path::Path;

use anyflow_diffusion::{BuildOptions, Denoiser, Network, Parameterization, Precision, Schedule, StreamSpec, build};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
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
    StreamSpec { name: name.to_string(), shape: vec![elements], schedule, parameterization: Parameterization::Eps }
}

/// The peers' score network in our configuration: scale and shift from the raw times of the streams.
pub fn score(width: i64, blocks: usize, embedding: i64) -> Value {
    json!({
        "kind": "residual-mlp", "width": width, "blocks": blocks, "embedding": embedding,
        "modulation": "scale-shift", "time": "raw", "presence": false,
    })
}

/// Builds a network. If `given` holds any weights, it must hold all of them.
pub fn built(
    network: Value,
    streams: &[StreamSpec],
    precision: Precision,
    given: &Tensors,
) -> Result<Box<dyn Denoiser>> {
    let network: Network = serde_json::from_value(network)?;
    let denoiser = build(&network, streams, BuildOptions { precision, device: Device::Cpu, seed: 0 })?;
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
