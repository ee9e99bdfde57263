//! Lifetimes of values, and the peak memory of a row.

use indexmap::IndexMap;

use crate::plan::{DenoiserConfig, Diffusion, Model, Op, Step, Stream, Type, Value};

/// Copies of the latents that a sampler keeps: the state, the predicted x0, the previous one, and the noise.
const SAMPLER_COPIES: u64 = 4;

/// Sets the last use of every value.
pub(crate) fn set_last_uses(values: &mut IndexMap<String, Value>, steps: &[Step]) {
    for (index, step) in steps.iter().enumerate() {
        for id in step.op.reads() {
            if let Some(value) = values.get_mut(id) {
                value.last_use = Some(index);
            }
        }
    }
}

/// Peak bytes of the values of one row. Cells count as the arrays that they decode to.
pub(crate) fn peak_bytes(
    values: &IndexMap<String, Value>,
    steps: &[Step],
    outputs: &IndexMap<String, String>,
    model: &Model,
) -> u64 {
    let mut held: Vec<u64> = steps.iter().map(|step| workspace(&step.op, model)).collect();
    for (id, value) in values {
        let is_written = outputs.values().any(|output| output == id);
        let end = if is_written { steps.len() } else { value.last_use.map_or(0, |last| last + 1) };
        let bytes = bytes(&value.kind, model);
        held.iter_mut().take(end).skip(value.made_by.unwrap_or(0)).for_each(|held| *held += bytes);
    }
    let peak = held.into_iter().max();
    peak.unwrap_or_else(|| values.values().map(|value| bytes(&value.kind, model)).sum())
}

fn bytes(kind: &Type, model: &Model) -> u64 {
    let size = |kind: &Type| kind.elements().map(|(shape, width)| elements(shape) * width);
    let unfolded = |stream: &Stream| if stream.modality == kind.modality { size(&stream.array) } else { None };
    size(kind).or_else(|| model.streams.values().find_map(unfolded)).unwrap_or(0)
}

/// Bytes that a step needs besides its values.
fn workspace(op: &Op, model: &Model) -> u64 {
    let Some(Diffusion { denoiser, .. }) = op.diffusion() else { return 0 };
    let latents = |denoiser: &DenoiserConfig| -> u64 {
        let streams = denoiser.over.iter().filter_map(|stream| model.streams.get(stream));
        streams.map(|stream| elements(&stream.latent) * 4).sum()
    };
    model.denoisers.get(denoiser).map_or(0, latents) * SAMPLER_COPIES
}

fn elements(shape: &[i64]) -> u64 {
    shape.iter().map(|size| u64::try_from(*size).unwrap_or(0)).product()
}
