//! Patches: a stream as tokens, and back.

use anyflow_config::network::PatchLayout;
use tch::Tensor;

use super::super::layer::{BuildOptions, Linear, fresh, plain};
use crate::{Result, StreamSpec, TensorExt};

/// The layers between a stream and its tokens.
#[derive(Debug)]
pub(super) struct PatchEmbedding {
    pub layout: PatchLayout,
    name: String,
    input: Linear,
    /// The position embedding: `[token, width]`.
    position: Tensor,
    output: Linear,
    /// Once frozen: the position without gradient.
    fixed: Option<Tensor>,
}

impl PatchEmbedding {
    pub fn new(stream: &StreamSpec, layout: PatchLayout, width: i64, init: BuildOptions) -> Result<Self> {
        let name = format!("streams.{}", stream.name);
        Ok(PatchEmbedding {
            layout,
            input: Linear::new(&format!("{name}.input"), layout.features, width, 1.0, init)?,
            position: fresh(&format!("{name}.position"), &[layout.tokens, width], 1.0, init.in_f32())?,
            output: Linear::new(&format!("{name}.output"), width, layout.features, 0.0, init)?,
            name,
            fixed: None,
        })
    }

    /// `[row, shape]` -> `[row, token, width]`.
    pub fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let tokens = self.input.forward(&self.split(x)?)?;
        let position = self.fixed.as_ref().unwrap_or(&self.position);
        position.try_add(&tokens)
    }

    /// `[row, token, width]` -> `[row, shape]`.
    pub fn unembed(&self, tokens: &Tensor, stream: &StreamSpec) -> Result<Tensor> {
        self.join(&self.output.forward(tokens)?, stream)
    }

    /// `[row, shape]` -> `[row, token, feature]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.size()[0];
        let size = [rows, self.layout.tokens, self.layout.features];
        let Some([frames, channels, down, across, side]) = self.layout.map else {
            return x.try_reshape(size);
        };
        x.try_reshape([rows * frames, channels, down, side, across, side])?
            .try_permute([0, 2, 4, 1, 3, 5])?
            .try_reshape(size)
    }

    /// `[row, token, feature]` -> `[row, shape]`.
    fn join(&self, tokens: &Tensor, stream: &StreamSpec) -> Result<Tensor> {
        let rows = tokens.size()[0];
        let size = stream.batch_shape(rows as usize);
        let Some([frames, channels, down, across, side]) = self.layout.map else {
            return tokens.try_reshape(size);
        };
        tokens
            .try_reshape([rows * frames, down, across, channels, side, side])?
            .try_permute([0, 3, 1, 4, 2, 5])?
            .try_reshape(size)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.input.list(named);
        named.push((format!("{}.position", self.name), self.position.shallow_clone()));
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.fixed = Some(plain(&self.position)?);
        self.input.freeze()?;
        self.output.freeze()
    }
}
