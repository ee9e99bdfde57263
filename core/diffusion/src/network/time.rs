//! Time embeddings, and their cache in sampling.

use std::f64::consts::FRAC_PI_4;

use indexmap::{IndexMap, IndexSet};
use tch::Tensor;

use super::layer::{BuildOptions, Linear, silu};
use crate::tensor::tensor_from_rows;
use crate::{Result, TensorExt, TimeRun};

/// Sines and cosines of t 2^k pi/4, k = 0 .. 7.
const FREQUENCIES: usize = 8;
/// Maximum size of the cached projections, in f32 numbers: 64 MiB.
const KEPT_NUMBERS: usize = 16 << 20;

/// The representation of a time at the input of a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimeFeatures {
    /// Sines and cosines at eight octaves.
    Fourier,
    /// The time itself.
    Raw,
}

/// The activation between the two layers of a time embedding.
#[derive(Clone, Copy, Debug)]
pub(super) enum Activation {
    Silu,
    Gelu,
}

/// Two layers over the time features of all streams, and optionally their presence.
#[derive(Debug)]
pub(super) struct TimeEmbedding {
    frequencies: Option<Tensor>,
    presence: bool,
    activation: Activation,
    layers: [Linear; 2],
}

impl TimeEmbedding {
    /// For `streams` streams, `width` features wide. It always computes in f32: times need the precision, and the
    /// layers are small.
    pub fn new(
        streams: usize,
        width: i64,
        features: TimeFeatures,
        presence: bool,
        activation: Activation,
        init: BuildOptions,
    ) -> Result<Self> {
        let octaves: Vec<f32> = (0..FREQUENCIES).map(|k| (FRAC_PI_4 * f64::from(1 << k)) as f32).collect();
        let (frequencies, per_stream) = match features {
            TimeFeatures::Fourier => {
                (Some(tensor_from_rows(&octaves, FREQUENCIES, &[], init.device)?), 2 * FREQUENCIES)
            }
            TimeFeatures::Raw => (None, 1),
        };
        let inputs = (streams * (per_stream + usize::from(presence))) as i64;
        let init = init.in_f32();
        let layers =
            [Linear::new("time.0", inputs, width, 1.0, init)?, Linear::new("time.1", width, width, 1.0, init)?];
        Ok(TimeEmbedding { frequencies, presence, activation, layers })
    }

    /// `t` and `present` `[row, stream]` -> `[row, width]`.
    pub fn forward(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        self.layers[1].forward(&self.hidden(t, present)?)
    }

    /// See [`TimeEmbedding::forward`], without the last layer: `[row, width]`.
    pub fn hidden(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        let mut parts = match &self.frequencies {
            None => vec![t.shallow_clone()],
            Some(frequencies) => {
                let angles = t.try_unsqueeze(-1)?.try_mul(frequencies)?.try_flatten(1, 2)?;
                vec![angles.try_sin()?, angles.try_cos()?]
            }
        };
        if self.presence {
            parts.push(present.shallow_clone());
        }
        let features = Tensor::try_cat(&parts, 1)?;
        let hidden = self.layers[0].forward(&features)?;
        match self.activation {
            Activation::Silu => silu(hidden),
            Activation::Gelu => hidden.try_gelu(),
        }
    }

    /// Weight and bias of the last layer, without gradient.
    pub fn last(&self) -> Result<(Tensor, Tensor)> {
        self.layers[1].plain()
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.layers.iter().for_each(|layer| layer.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.layers.iter_mut().try_for_each(Linear::freeze)
    }
}

/// The time projections of the blocks of a frozen network, computed once per distinct time: a schedule has few.
#[derive(Debug)]
pub(super) struct Projections {
    /// `[parts * width, embedding]`, the parts of all blocks.
    weight: Tensor,
    /// `[parts * width]`.
    bias: Tensor,
    width: i64,
    /// Keyed by the bits of the times and presences of all streams.
    kept: IndexMap<Vec<u32>, Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Each part alone, `[width]`.
    all: Tensor,
    /// Each part by itself, `[width]`.
    parts: Vec<Tensor>,
}

/// The parts for the rows of a batch.
pub(super) enum Projected<'a> {
    /// All rows have the same: `[width]` each.
    Shared(&'a [Tensor]),
    /// `[row, width]` each.
    Rows(Vec<Tensor>),
}

impl Projected<'_> {
    pub fn part(&self, index: usize) -> &Tensor {
        match self {
            Projected::Shared(parts) => &parts[index],
            Projected::Rows(parts) => &parts[index],
        }
    }
}

impl Projections {
    /// `parts`: weight `[width, embedding]` and bias `[width]` of each part, without gradient.
    pub fn new(parts: &[(Tensor, Tensor)], width: i64) -> Result<Self> {
        let cat = |parts: Vec<&Tensor>| Tensor::try_cat(&parts, 0);
        let weight = cat(parts.iter().map(|(weight, _)| weight).collect())?;
        let bias = cat(parts.iter().map(|(_, bias)| bias).collect())?;
        Ok(Projections { weight, bias, width, kept: IndexMap::new() })
    }

    /// The parts for these rows; `embed` maps `t` and `present`, `[row, stream]`, to `[row, embedding]`.
    pub fn project(
        &mut self,
        runs: &[TimeRun],
        embed: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Projected<'_>> {
        let keys: Vec<Vec<u32>> = runs.iter().map(key).collect();
        let mut missing: IndexSet<usize> = (0..runs.len()).filter(|run| !self.kept.contains_key(&keys[*run])).collect();
        if (self.kept.len() + missing.len()) * self.bias.numel() > KEPT_NUMBERS && !missing.is_empty() {
            self.kept.clear();
            missing = (0..runs.len()).collect();
        }
        if !missing.is_empty() {
            let fresh: IndexMap<&Vec<u32>, &TimeRun> = missing.iter().map(|run| (&keys[*run], &runs[*run])).collect();
            self.keep(&fresh, embed)?;
        }
        if let [key] = keys.as_slice() {
            return Ok(Projected::Shared(&self.kept[key].parts));
        }
        let all: Vec<&Tensor> = keys.iter().map(|key| &self.kept[key].all).collect();
        let table = Tensor::try_stack(&all, 1)?;
        let table = if runs.iter().all(|run| run.rows == 1) {
            table
        } else {
            let index: Vec<i64> =
                runs.iter().enumerate().flat_map(|(run, of)| std::iter::repeat_n(run as i64, of.rows)).collect();
            let index = Tensor::try_from_slice(&index)?.try_to_device(table.device())?;
            table.try_index_select(1, &index)?
        };
        Ok(Projected::Rows(table.try_unbind(0)?))
    }

    /// Computes the missing projections in one go.
    fn keep(
        &mut self,
        fresh: &IndexMap<&Vec<u32>, &TimeRun>,
        embed: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let column = |of: fn(&TimeRun) -> &Vec<f32>| {
            let values: Vec<f32> = fresh.values().flat_map(|run| of(run).iter().copied()).collect();
            let streams = values.len() / fresh.len();
            tensor_from_rows(&values, fresh.len(), &[streams as i64], self.weight.device())
        };
        let embedding = embed(&column(|run| &run.t)?, &column(|run| &run.present)?)?;
        let rows = embedding.try_linear(&self.weight, Some(&self.bias))?.try_detach()?.try_view([
            fresh.len() as i64,
            -1,
            self.width,
        ])?;
        for (row, key) in fresh.keys().enumerate() {
            let all = rows.try_select(0, row as i64)?;
            let parts = all.try_unbind(0)?;
            self.kept.insert((*key).clone(), Kept { all, parts });
        }
        Ok(())
    }
}

fn key(run: &TimeRun) -> Vec<u32> {
    run.t.iter().chain(&run.present).map(|value| value.to_bits()).collect()
}
