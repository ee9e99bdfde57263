//! The score network of MLD: Bounoua et al. 2024, "Multi-modal latent diffusion", their UnetMLP with factors (1, 1).

use std::cell::RefCell;

use anyflow_config::network::UnetMlp as Options;
use tch::{Kind, Tensor};

use super::layer::{BuildOptions, Linear, Norm, add, cast, silu};
use super::streams;
use super::time::{Activation, Projected, Projections, TimeEmbedding, TimeFeatures};
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt, Times};

/// A U-Net of residual blocks whose levels are equally wide, over the concatenation of all streams:
///
/// r = x = input(x); twice x = block(x), kept, x = linear(x); twice x = block(x); twice x = linear(block([x, kept]));
/// then output(silu(norm(block([x, r])))).
///
/// With e = linear(gelu(linear(t))), t the raw times of all streams, a block maps x to
/// second(silu(norm(first(silu(norm(x))) + time(silu(e))))) + skip(x), with skip the identity if the widths are equal.
/// The output layer starts at zero. The network has no presence input: an absent stream looks like one of zeros at time
/// 1.
#[derive(Debug)]
pub struct UnetMlp {
    streams: Vec<StreamSpec>,
    width: i64,
    input: Linear,
    time: TimeEmbedding,
    /// In the order of use: down, middle, up, last.
    blocks: Vec<Block>,
    /// Between levels: down, up.
    linears: Vec<Linear>,
    output_norm: Norm,
    output: Linear,
    /// Once frozen.
    projections: Option<RefCell<Projections>>,
}

/// The blocks and their input widths, in multiples of the width.
const BLOCKS: [(&str, i64); 7] =
    [("down.0", 1), ("down.1", 1), ("middle.0", 1), ("middle.1", 1), ("up.0", 2), ("up.1", 2), ("last", 2)];

#[derive(Debug)]
struct Block {
    first_norm: Norm,
    first: Linear,
    time: Linear,
    second_norm: Norm,
    second: Linear,
    /// If the input is wider than the output.
    skip: Option<Linear>,
}

/// The times as the blocks take them.
enum Signal<'a> {
    /// `[row, embedding]`, after its activation.
    Embedded(Tensor),
    /// One part per block: its time layer, with the bias of its first layer.
    Projected(Projected<'a>),
}

impl UnetMlp {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, init: BuildOptions) -> Result<Self> {
        let &Options { width, embedding, groups } = config;
        let elements = streams::elements(streams);
        let time = TimeFeatures::Raw;
        let presence = false;
        let linear = |name: &str| Linear::new(&format!("{name}.linear"), width, width, 1.0, init);
        Ok(UnetMlp {
            streams: streams.to_vec(),
            width,
            input: Linear::new("input", elements, width, 1.0, init)?,
            time: TimeEmbedding::new(streams.len(), embedding, time, presence, Activation::Gelu, init)?,
            blocks: BLOCKS
                .iter()
                .map(|(name, inputs)| Block::new(name, *inputs, config, init))
                .collect::<Result<_>>()?,
            linears: ["down.0", "down.1", "up.0", "up.1"].into_iter().map(linear).collect::<Result<_>>()?,
            output_norm: Norm::new("output.norm", width, groups, init.device)?,
            output: Linear::new("output", width, elements, 0.0, init)?,
            projections: None,
        })
    }

    fn embed(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        silu(self.time.forward(t, present)?)
    }

    fn trunk(&self, batch: &DenoiserInput, signal: &Signal) -> Result<Tensor> {
        let block = |index: usize, x: &Tensor| self.blocks[index].forward(x, index, signal);
        let linear = |index: usize, x: &Tensor| cast(&self.linears[index].forward(x)?, Kind::Float);
        let r = cast(&self.input.forward(&streams::join(&self.streams, batch)?)?, Kind::Float)?;
        let first = block(0, &r)?;
        let second = block(1, &linear(0, &first)?)?;
        let middle = block(3, &block(2, &linear(1, &second)?)?)?;
        let up = linear(2, &block(4, &concat(&middle, &second)?)?)?;
        let up = linear(3, &block(5, &concat(&up, &first)?)?)?;
        let last = block(6, &concat(&up, &r)?)?;
        cast(&self.output.forward(&silu(self.output_norm.forward(&last)?)?)?, Kind::Float)
    }
}

impl Block {
    fn new(name: &str, inputs: i64, config: &Options, init: BuildOptions) -> Result<Self> {
        let &Options { width, embedding, groups } = config;
        let linear = |layer: &str, from| Linear::new(&format!("{name}.{layer}"), from, width, 1.0, init);
        let norm = |layer: &str, width| Norm::new(&format!("{name}.{layer}"), width, groups, init.device);
        Ok(Block {
            first_norm: norm("norm.0", inputs * width)?,
            first: linear("first", inputs * width)?,
            time: linear("time", embedding)?,
            second_norm: norm("norm.1", width)?,
            second: linear("second", width)?,
            skip: if inputs == 1 { None } else { Some(linear("skip", inputs * width)?) },
        })
    }

    /// `[row, inputs * width]` -> `[row, width]`, f32.
    fn forward(&self, x: &Tensor, index: usize, signal: &Signal) -> Result<Tensor> {
        let normal = silu(self.first_norm.forward(x)?)?;
        let inside = match signal {
            Signal::Projected(projected) => self.first.forward_with(projected.part(index), &normal)?,
            Signal::Embedded(embedding) => add(self.first.forward(&normal)?, &self.time.forward(embedding)?)?,
        };
        let inside = silu(self.second_norm.forward(&inside)?)?;
        match &self.skip {
            // Not in place: the way up may still need the input.
            None => {
                let out = self.second.forward(&inside)?;
                x.try_add(&out)
            }
            Some(skip) => self.second.add_to(cast(&skip.forward(x)?, Kind::Float)?, &inside),
        }
    }

    /// The weight and bias that compute the part of [`Signal::Projected`] from the embedding.
    fn part(&self) -> Result<(Tensor, Tensor)> {
        let ((weight, bias), (_, first)) = (self.time.plain()?, self.first.plain()?);
        Ok((weight, bias.try_add(&first)?))
    }

    fn freeze(&mut self) -> Result<()> {
        self.first_norm.freeze()?;
        self.second_norm.freeze()?;
        [&mut self.first, &mut self.time, &mut self.second].into_iter().try_for_each(Linear::freeze)?;
        self.skip.iter_mut().try_for_each(Linear::freeze)
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.first_norm.list(named);
        self.first.list(named);
        self.time.list(named);
        self.second_norm.list(named);
        self.second.list(named);
        self.skip.iter().for_each(|skip| skip.list(named));
    }
}

/// `[row, left]` and `[row, right]` -> `[row, left + right]`.
fn concat(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    Tensor::try_cat(&[left, right], 1)
}

impl Denoiser for UnetMlp {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        batch.prompt_for(None)?;
        batch.context_for(None)?;
        let output = match (&self.projections, &batch.times) {
            (Some(projections), Times::Runs(runs)) => {
                let mut projections = projections.borrow_mut();
                let projected = projections.project(runs, |t, present| self.embed(t, present))?;
                self.trunk(batch, &Signal::Projected(projected))?
            }
            _ => self.trunk(batch, &Signal::Embedded(self.embed(&batch.t()?, &batch.present()?)?))?,
        };
        streams::split(&self.streams, &output)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.input.list(&mut named);
        self.time.list(&mut named);
        self.blocks.iter().for_each(|block| block.list(&mut named));
        self.linears.iter().for_each(|linear| linear.list(&mut named));
        self.output_norm.list(&mut named);
        self.output.list(&mut named);
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.input.freeze()?;
        self.time.freeze()?;
        self.blocks.iter_mut().try_for_each(Block::freeze)?;
        self.linears.iter_mut().try_for_each(Linear::freeze)?;
        self.output_norm.freeze()?;
        self.output.freeze()?;
        let parts = self.blocks.iter().map(Block::part).collect::<Result<Vec<_>>>()?;
        self.projections = Some(RefCell::new(Projections::new(&parts, self.width)?));
        Ok(())
    }
}
