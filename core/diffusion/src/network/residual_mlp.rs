//! A residual MLP over the concatenation of all streams, with a time and a presence per stream.

use std::f64::consts::FRAC_PI_4;

use tch::{Device, Kind, Tensor};

use crate::noise::{START_STEP, normals, tensor_from_rows};
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorOp};

/// Sines and cosines of t 2^k pi/4, k = 0 .. 7.
const FREQUENCIES: usize = 8;
/// The scale of a block's last layer at the start: every block begins near the identity.
const BLOCK_SCALE: f64 = 0.01;
/// Added to the variance in a layer norm.
const NORM_EPS: f64 = 1e-5;

/// h = input(x); per block h <- h + down(silu(up(silu(norm(h))) + time(e))); output(silu(norm(h))), where e is a
/// two-layer projection of the time features of all streams and of their presence. The output layer starts at zero.
///
/// Made for latents that are vectors; other shapes are flattened.
#[derive(Debug)]
pub struct ResidualMlp {
    streams: Vec<StreamSpec>,
    frequencies: Tensor,
    input: Linear,
    time: [Linear; 2],
    blocks: Vec<Block>,
    output_norm: Norm,
    output: Linear,
}

#[derive(Debug)]
struct Block {
    norm: Norm,
    up: Linear,
    time: Linear,
    down: Linear,
}

impl ResidualMlp {
    /// A fresh network of `blocks` blocks of `width`; see [`crate::build`].
    pub fn new(streams: &[StreamSpec], width: i64, blocks: usize, device: Device, seed: u64) -> Result<Self> {
        let elements = streams.iter().map(StreamSpec::elements).sum();
        let features = streams.len() as i64 * (2 * FREQUENCIES as i64 + 1);
        let linear = |name: &str, from, to, scale| Linear::new(name, from, to, scale, device, seed);
        let block = |index: usize| -> Result<Block> {
            Ok(Block {
                norm: Norm::new(width, device)?,
                up: linear(&format!("blocks.{index}.up"), width, width, 1.0)?,
                time: linear(&format!("blocks.{index}.time"), width, width, 1.0)?,
                down: linear(&format!("blocks.{index}.down"), width, width, BLOCK_SCALE)?,
            })
        };
        let frequencies: Vec<f32> = (0..FREQUENCIES).map(|k| (FRAC_PI_4 * f64::from(1 << k)) as f32).collect();
        Ok(ResidualMlp {
            streams: streams.to_vec(),
            frequencies: tensor_from_rows(&frequencies, FREQUENCIES, &[], device)?,
            input: linear("input", elements, width, 1.0)?,
            time: [linear("time.0", features, width, 1.0)?, linear("time.1", width, width, 1.0)?],
            blocks: (0..blocks).map(block).collect::<Result<_>>()?,
            output_norm: Norm::new(width, device)?,
            output: linear("output", width, elements, 0.0)?,
        })
    }

    /// All streams side by side, absent ones zero: `[row, elements]`.
    fn flat(&self, batch: &DenoiserInput) -> Result<Tensor> {
        let mut parts = Vec::with_capacity(batch.x.len());
        for (place, x) in batch.x.iter().enumerate() {
            let flat = x.f_reshape([batch.rows(), -1]).op("reshape", &[x])?;
            let present = batch.present.f_narrow(1, place as i64, 1).op("narrow", &[&batch.present])?;
            parts.push(flat.f_mul(&present).op("mul", &[&flat, &present])?);
        }
        Tensor::f_cat(&parts, 1).op("cat", &parts.iter().collect::<Vec<_>>())
    }

    /// The embedding of times and presence: `[row, width]`, after its activation, as the blocks use it.
    fn embedding(&self, batch: &DenoiserInput) -> Result<Tensor> {
        let t = batch.t.f_unsqueeze(-1).op("unsqueeze", &[&batch.t])?;
        let angles = t.f_mul(&self.frequencies).op("mul", &[&t, &self.frequencies])?;
        let angles = angles.f_flatten(1, 2).op("flatten", &[&angles])?;
        let (sin, cos) = (angles.f_sin().op("sin", &[&angles])?, angles.f_cos().op("cos", &[&angles])?);
        let features = Tensor::f_cat(&[&sin, &cos, &batch.present], 1).op("cat", &[&sin, &cos, &batch.present])?;
        let hidden = silu(&self.time[0].forward(&features)?)?;
        self.time[1].forward(&hidden)
    }
}

impl Denoiser for ResidualMlp {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        for (stream, x) in self.streams.iter().zip(&batch.x) {
            stream.check_batch(x, batch.rows() as usize)?;
        }
        let embedding = self.embedding(batch)?;
        let mut h = self.input.forward(&self.flat(batch)?)?;
        for block in &self.blocks {
            let up = block.up.forward(&silu(&block.norm.forward(&h)?)?)?;
            let time = block.time.forward(&embedding)?;
            let sum = up.f_add(&time).op("add", &[&up, &time])?;
            let down = block.down.forward(&silu(&sum)?)?;
            h = h.f_add(&down).op("add", &[&h, &down])?;
        }
        let flat = self.output.forward(&silu(&self.output_norm.forward(&h)?)?)?;
        let mut first = 0;
        let mut outputs = Vec::with_capacity(self.streams.len());
        for stream in &self.streams {
            let part = flat.f_narrow(1, first, stream.elements()).op("narrow", &[&flat])?;
            outputs.push(part.f_reshape(stream.batch_shape(batch.rows() as usize)).op("reshape", &[&part])?);
            first += stream.elements();
        }
        Ok(outputs)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.input.list("input", &mut named);
        self.time[0].list("time.0", &mut named);
        self.time[1].list("time.1", &mut named);
        for (index, block) in self.blocks.iter().enumerate() {
            block.norm.list(&format!("blocks.{index}.norm"), &mut named);
            block.up.list(&format!("blocks.{index}.up"), &mut named);
            block.time.list(&format!("blocks.{index}.time"), &mut named);
            block.down.list(&format!("blocks.{index}.down"), &mut named);
        }
        self.output_norm.list("output.norm", &mut named);
        self.output.list("output", &mut named);
        named
    }
}

fn silu(x: &Tensor) -> Result<Tensor> {
    x.f_silu().op("silu", &[x])
}

fn leaf(values: &Tensor) -> Result<Tensor> {
    values.f_set_requires_grad(true).op("set_requires_grad", &[values])
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights normal with variance scale^2 / (3 from), that of the usual uniform start; biases zero. The name keys the
    /// noise, so that a layer starts the same whatever other layers there are.
    fn new(name: &str, from: i64, to: i64, scale: f64, device: Device, seed: u64) -> Result<Self> {
        let mut values = vec![0.0; (from * to) as usize];
        if scale != 0.0 {
            normals(seed, 0, &format!("{name}.weight"), START_STEP, &mut values);
            let deviation = (scale / (3.0 * from as f64).sqrt()) as f32;
            values.iter_mut().for_each(|value| *value *= deviation);
        }
        let bias = Tensor::f_zeros([to], (Kind::Float, device)).op("zeros", &[])?;
        let weight = tensor_from_rows(&values, to as usize, &[from], device)?;
        Ok(Linear { weight: leaf(&weight)?, bias: leaf(&bias)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.f_linear(&self.weight, Some(&self.bias)).op("linear", &[x, &self.weight, &self.bias])
    }

    fn list(&self, name: &str, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{name}.weight"), self.weight.shallow_clone()));
        named.push((format!("{name}.bias"), self.bias.shallow_clone()));
    }
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(width: i64, device: Device) -> Result<Self> {
        let weight = Tensor::f_ones([width], (Kind::Float, device)).op("ones", &[])?;
        let bias = Tensor::f_zeros([width], (Kind::Float, device)).op("zeros", &[])?;
        Ok(Norm { weight: leaf(&weight)?, bias: leaf(&bias)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), NORM_EPS, false);
        normed.op("layer_norm", &[x, &self.weight])
    }

    fn list(&self, name: &str, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{name}.weight"), self.weight.shallow_clone()));
        named.push((format!("{name}.bias"), self.bias.shallow_clone()));
    }
}
