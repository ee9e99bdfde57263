//! Patches: a stream as tokens, and back.

use tch::Tensor;

use super::super::layer::{BuildOptions, Linear, fresh, plain};
use crate::{Result, StreamSpec, TensorExt};

/// How a stream is split: a vector is one token, each row of `[token, feature]` is one token, and of maps, with or
/// without frames, each square of `patch` by `patch` positions is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatchLayout {
    /// The tokens of a row.
    pub tokens: i64,
    /// The numbers of a token.
    pub features: i64,
    /// Frames, channels, patches down and across, and the side of a patch.
    map: Option<[i64; 5]>,
}

impl PatchLayout {
    /// `None` if the patches do not fill the map, or the stream has other axes.
    pub fn new(shape: &[i64], patch: i64) -> Option<Self> {
        let map = |frames, channels, height: i64, width: i64| {
            let fits = height % patch == 0 && width % patch == 0;
            let down = height / patch;
            let across = width / patch;
            let tokens = frames * down * across;
            let features = channels * patch * patch;
            fits.then_some(PatchLayout { tokens, features, map: Some([frames, channels, down, across, patch]) })
        };
        match *shape {
            [features] => Some(PatchLayout { tokens: 1, features, map: None }),
            [tokens, features] => Some(PatchLayout { tokens, features, map: None }),
            [channels, height, width] => map(1, channels, height, width),
            [frames, channels, height, width] => map(frames, channels, height, width),
            _ => None,
        }
    }

    /// `[row, shape]` -> `[row, token, feature]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.size()[0];
        let size = [rows, self.tokens, self.features];
        let Some([frames, channels, down, across, side]) = self.map else {
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
        let Some([frames, channels, down, across, side]) = self.map else {
            return tokens.try_reshape(size);
        };
        tokens
            .try_reshape([rows * frames, down, across, channels, side, side])?
            .try_permute([0, 3, 1, 4, 2, 5])?
            .try_reshape(size)
    }
}

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
            position: fresh(&format!("{name}.position"), &[layout.tokens, width], 1.0, init)?,
            output: Linear::new(&format!("{name}.output"), width, layout.features, 0.0, init)?,
            name,
            fixed: None,
        })
    }

    /// `[row, shape]` -> `[row, token, width]`.
    pub fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let tokens = self.input.forward(&self.layout.split(x)?)?;
        let position = self.fixed.as_ref().unwrap_or(&self.position);
        position.try_add(&tokens)
    }

    /// `[row, token, width]` -> `[row, shape]`.
    pub fn unembed(&self, tokens: &Tensor, stream: &StreamSpec) -> Result<Tensor> {
        self.layout.join(&self.output.forward(tokens)?, stream)
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
