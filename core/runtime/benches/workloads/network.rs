//! The networks of the works, and the files through which both sides get the same weights.

use std::collections::BTreeMap;
use std::path::Path;

use anyflow_diffusion::{BuildOptions, Denoiser, Network, Parameterization, Precision, Schedule, StreamSpec, build};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tch::{Device, Tensor};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// What the names of weights begin with in a file.
const WEIGHT: &str = "weight.";

/// A file of tensors.
pub fn read(path: &Path) -> Result<Tensors> {
    let tensors = Tensor::read_safetensors(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(tensors.into_iter().collect())
}

/// Writes a file of tensors.
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let listed: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Tensor::write_safetensors(&listed, path).with_context(|| format!("cannot write {}", path.display()))
}

/// A stream that is one vector, of which the network predicts the noise.
pub fn stream(name: &str, elements: i64, schedule: Schedule) -> StreamSpec {
    StreamSpec { name: name.to_string(), shape: vec![elements], schedule, parameterization: Parameterization::Eps }
}

/// The score network of the peers, as our configuration says it: scale and shift from the raw times of the streams.
pub fn score(width: i64, blocks: usize, embedding: i64) -> Value {
    json!({
        "kind": "residual-mlp", "width": width, "blocks": blocks, "embedding": embedding,
        "modulation": "scale-shift", "time": "raw", "presence": false,
    })
}

/// Builds a network, with the given weights if there are any: then all of them must be there.
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

/// A tensor that must be there.
pub fn tensor<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors.get(name).with_context(|| format!("the file of the other side holds no {name}"))
}

/// The number of weights.
pub fn weights(denoiser: &dyn Denoiser) -> i64 {
    denoiser.parameters().iter().map(|(_, parameter)| parameter.numel() as i64).sum()
}

/// Matrix products of one row going forward: two operations for every entry of a matrix.
pub fn flop(denoiser: &dyn Denoiser) -> i64 {
    let matrices = denoiser.parameters().into_iter().filter(|(_, parameter)| parameter.dim() == 2);
    matrices.map(|(_, matrix)| 2 * matrix.numel() as i64).sum()
}
