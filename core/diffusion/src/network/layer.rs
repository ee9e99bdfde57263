//! The layers of the networks.

use anyflow_config::Precision;
use tch::{Device, Kind, Tensor};

use crate::noise::{START_STEP, normals};
use crate::tensor::tensor_from_rows;
use crate::{Result, TensorExt};

/// Added to the variance in a norm.
const NORM_EPS: f64 = 1e-5;

/// The distance between the seeds of the parts of a network.
const PART_SEEDS: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number format of multiplications.
pub(super) trait NumberFormat {
    fn kind(self) -> Kind;
}

impl NumberFormat for Precision {
    fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::F16 => Kind::Half,
        }
    }
}

/// How a network is built.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// The precision of multiplications.
    pub precision: Precision,
    /// The device of the parameters.
    pub device: Device,
    /// The seed of the fresh parameters.
    pub seed: u64,
    /// The features of a prompt token. Streams that are prompts set it; without it the network takes no prompt.
    pub prompt: Option<i64>,
    /// The features of a token of other streams; without it the network takes no such context.
    pub context: Option<i64>,
    /// The numbers that join the embedding of the time; without them nothing does. Streams that are vectors set it.
    pub vectors: Option<i64>,
    /// The channels beside those of the streams. Streams that are planes set it.
    pub planes: i64,
    /// The values of weights that no file gives.
    pub start: StartValues,
}

/// The values that the weights of a network start with. Those of norms are always the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartValues {
    /// Drawn from the seed: to train.
    #[default]
    Drawn,
    /// Zero: a file gives all of them, and drawing billions takes minutes.
    Zero,
    /// All elements of a weight share the memory of one, for networks of which only names and shapes are wanted. Such a
    /// network cannot load weights.
    Shared,
}

impl BuildOptions {
    /// Options of a network that takes prompts only if streams are prompts.
    pub fn new(precision: Precision, device: Device, seed: u64) -> Self {
        let start = StartValues::default();
        BuildOptions { precision, device, seed, prompt: None, context: None, vectors: None, planes: 0, start }
    }

    /// The same for parameters that are added, not multiplied: they are f32 in any case.
    pub(super) fn in_f32(self) -> Self {
        BuildOptions { precision: Precision::F32, ..self }
    }

    /// The options of a part, by its index: the same with a seed of its own.
    pub(super) fn of_part(self, index: usize) -> Self {
        BuildOptions { seed: self.seed.wrapping_add((index as u64).wrapping_mul(PART_SEEDS)), ..self }
    }
}

/// y = W x + b.
#[derive(Debug)]
pub(super) struct Linear {
    name: String,
    weight: Tensor,
    bias: Tensor,
    precision: Precision,
    /// Once frozen: the transposed weight and the bias in compute precision.
    fixed: Option<(Tensor, Tensor)>,
}

impl Linear {
    /// Weights are normal with variance scale^2 / (3 from), that of PyTorch's default uniform init; biases are zero.
    /// The name keys the noise, so that the init of a layer does not depend on other layers.
    pub fn new(name: &str, from: i64, to: i64, scale: f64, init: BuildOptions) -> Result<Self> {
        let weight = fresh(name, &[to, from], scale, init)?;
        let bias = zeros(to, init)?;
        Ok(Linear { name: name.to_string(), weight, bias, precision: init.precision, fixed: None })
    }

    /// `[row, ..., from]` -> `[row, ..., to]`, in the layer's precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = cast(x, self.precision.kind())?;
        if let Some((weight, bias)) = &self.fixed {
            if x.dim() > 2 {
                let weight = weight.try_t()?;
                return x.try_linear(&weight, Some(bias));
            }
            return bias.try_addmm(&x, weight);
        }
        // Casts are recorded, so that gradients reach the f32 parameters.
        let weight = cast(&self.weight, x.kind())?;
        let bias = cast(&self.bias, x.kind())?;
        x.try_linear(&weight, Some(&bias))
    }

    /// The outputs of all layers in one multiplication: `[row, from]` -> `[row, sum of to]`.
    pub fn side_by_side(layers: &[&Linear], x: &Tensor) -> Result<Tensor> {
        let Some(kind) = layers.first().map(|layer| layer.precision.kind()) else { return Ok(x.shallow_clone()) };
        let cat = |parts: Vec<&Tensor>| Tensor::try_cat(&parts, 0);
        let weight = cast(&cat(layers.iter().map(|layer| &layer.weight).collect())?, kind)?;
        let bias = cast(&cat(layers.iter().map(|layer| &layer.bias).collect())?, kind)?;
        let x = cast(x, kind)?;
        x.try_linear(&weight, Some(&bias))
    }

    /// See [`Linear::forward`], with another bias: `[to]` or `[row, to]`.
    pub fn forward_with(&self, bias: &Tensor, x: &Tensor) -> Result<Tensor> {
        let kind = self.precision.kind();
        let weight = match &self.fixed {
            Some((weight, _)) => weight.shallow_clone(),
            None => cast(&self.weight, kind)?.try_t()?,
        };
        let x = cast(x, kind)?;
        let bias = cast(bias, kind)?;
        bias.try_addmm(&x, &weight)
    }

    /// h + [`Linear::forward`]; h is `[row, to]`, f32.
    pub fn add_to(&self, mut h: Tensor, x: &Tensor) -> Result<Tensor> {
        match &self.fixed {
            Some((weight, bias)) if self.precision == Precision::F32 && !h.requires_grad() && !x.requires_grad() => {
                let _ = h.try_addmm_(x, weight)?;
                add(h, bias)
            }
            _ => add(h, &self.forward(x)?),
        }
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
        named.push((format!("{}.bias", self.name), self.bias.shallow_clone()));
    }

    pub fn freeze(&mut self) -> Result<()> {
        let fix = |parameter: &Tensor| cast(&plain(parameter)?, self.precision.kind());
        let weight = fix(&self.weight)?;
        self.fixed = Some((weight.try_t()?, fix(&self.bias)?));
        Ok(())
    }

    /// The bias `[to]`, in the layer's precision.
    pub fn bias(&self) -> Result<Tensor> {
        match &self.fixed {
            Some((_, bias)) => Ok(bias.shallow_clone()),
            None => cast(&self.bias, self.precision.kind()),
        }
    }

    /// Weight `[to, from]` and bias `[to]`, f32, without gradient.
    pub fn plain(&self) -> Result<(Tensor, Tensor)> {
        Ok((cast(&plain(&self.weight)?, Kind::Float)?, plain(&self.bias)?))
    }
}

/// Normalizes groups of consecutive features, then scales and shifts each feature; one group is a layer norm. In maps,
/// `[row, channel, height, width]`, features are channels, and a group is normalized over all positions.
#[derive(Debug)]
pub(super) struct Norm {
    name: String,
    groups: i64,
    eps: f64,
    weight: Tensor,
    bias: Tensor,
    /// Once frozen: weight and bias without gradient.
    fixed: Option<(Tensor, Tensor)>,
}

impl Norm {
    pub fn new(name: &str, width: i64, groups: i64, device: Device) -> Result<Self> {
        let weight = Tensor::try_ones([width], (Kind::Float, device))?;
        let bias = Tensor::try_zeros([width], (Kind::Float, device))?;
        let weight = leaf(&weight)?;
        let bias = leaf(&bias)?;
        Ok(Norm { name: name.to_string(), groups, eps: NORM_EPS, weight, bias, fixed: None })
    }

    /// Sets the epsilon that is added to the variance.
    pub fn with_eps(self, eps: f64) -> Self {
        Norm { eps, ..self }
    }

    /// `[row, ..., channel]`, or for maps `[row, channel, height, width]` -> the same shape, f32.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.fixed.as_ref().map_or((&self.weight, &self.bias), |(weight, bias)| (weight, bias));
        let x = cast(x, Kind::Float)?;
        match (self.groups, x.dim()) {
            (1, 2 | 3) => x.try_layer_norm(self.weight.size(), Some(weight), Some(bias), self.eps),
            (groups, _) => x.try_group_norm(groups, Some(weight), Some(bias), self.eps),
        }
    }

    /// A layer norm with another scale and shift, `[width]` or `[row, width]` each.
    pub fn forward_with(&self, x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let x = cast(x, Kind::Float)?;
        let width = self.weight.size();
        if scale.dim() == 1 {
            return x.try_layer_norm(width, Some(scale), Some(shift), self.eps);
        }
        let normal = x.try_layer_norm(width, None, None, self.eps)?;
        shift.try_addcmul(&normal, scale)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
        named.push((format!("{}.bias", self.name), self.bias.shallow_clone()));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.fixed = Some(self.plain()?);
        Ok(())
    }

    /// Weight and bias, `[width]`, f32, without gradient.
    pub fn plain(&self) -> Result<(Tensor, Tensor)> {
        Ok((plain(&self.weight)?, plain(&self.bias)?))
    }
}

/// x sigmoid(x), in place if no gradient needs x.
pub(super) fn silu(mut x: Tensor) -> Result<Tensor> {
    if x.requires_grad() { x.try_silu() } else { x.try_silu_() }
}

/// sum + term, in the dtype of `sum`; in place if no gradient is recorded.
pub(super) fn add(mut sum: Tensor, term: &Tensor) -> Result<Tensor> {
    if sum.requires_grad() || term.requires_grad() { sum.try_add(term) } else { sum.try_add_(term) }
}

/// Converts to a dtype; `x` itself if it has it already.
pub(super) fn cast(x: &Tensor, kind: Kind) -> Result<Tensor> {
    if x.kind() == kind { Ok(x.shallow_clone()) } else { x.try_to_kind(kind) }
}

/// A fresh weight, `[to, from, ...]`, normal with variance scale^2 / (3 fan_in).
pub(super) fn fresh(name: &str, size: &[i64], scale: f64, init: BuildOptions) -> Result<Tensor> {
    match init.start {
        StartValues::Drawn => {}
        // What a file gives is kept in the type that it is multiplied in: 16-bit weights never take 32 bits.
        StartValues::Zero => return zero(size, init.precision.kind(), init),
        StartValues::Shared => return zero(size, Kind::Float, init),
    }
    let inputs: i64 = size[1..].iter().product();
    let mut values = vec![0.0; (size[0] * inputs) as usize];
    if scale != 0.0 {
        normals(init.seed, 0, &format!("{name}.weight"), START_STEP, &mut values);
        let std = (scale / (3.0 * inputs as f64).sqrt()) as f32;
        values.iter_mut().for_each(|value| *value *= std);
    }
    leaf(&tensor_from_rows(&values, size[0] as usize, &size[1..], init.device)?)
}

/// A fresh bias.
pub(super) fn zeros(width: i64, init: BuildOptions) -> Result<Tensor> {
    zero(&[width], Kind::Float, init)
}

fn zero(size: &[i64], kind: Kind, init: BuildOptions) -> Result<Tensor> {
    let options = (kind, init.device);
    match init.start {
        StartValues::Shared => Tensor::try_zeros([1], options)?.try_expand(size),
        StartValues::Drawn | StartValues::Zero => leaf(&Tensor::try_zeros(size, options)?),
    }
}

fn leaf(values: &Tensor) -> Result<Tensor> {
    values.try_require_grad()
}

/// A parameter without gradient.
pub(super) fn plain(parameter: &Tensor) -> Result<Tensor> {
    parameter.try_detach()
}
