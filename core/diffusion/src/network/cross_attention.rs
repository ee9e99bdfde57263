//! Cross-attention of a network: to a prompt, or to the context made from the other streams.

use tch::Tensor;

use super::attention::{Heads, Keys, Projection, repeated, to_all};
use super::layer::{BuildOptions, Norm};
use crate::{Result, TensorExt, Tokens};

/// Tokens as the cross-attention layers of a network take them: the `memory` of PyTorch's transformer decoder.
#[derive(Debug)]
pub(super) struct Memory {
    /// Per cross-attention layer, in the order of use; empty if there is nothing to attend to.
    keys: Vec<Keys>,
    /// `[row, 1, 1, token]`, bool.
    pub mask: Option<Tensor>,
}

impl Memory {
    /// Nothing to attend to.
    pub fn nothing() -> Self {
        Memory { keys: Vec::new(), mask: None }
    }

    /// The tokens of rows that occur `times` times each in the network.
    pub fn new(keys: Vec<Keys>, tokens: &Tokens, times: i64) -> Result<Self> {
        let keys = keys.iter().map(|keys| keys.repeated(times)).collect::<Result<_>>()?;
        Ok(Memory { keys, mask: mask(tokens, times)? })
    }

    /// The keys of the layer with this index.
    pub fn keys(&self, index: usize) -> Option<&Keys> {
        self.keys.get(index)
    }
}

/// The attention mask: `[row, token]` -> `[row * times, 1, 1, token]`, bool.
fn mask(tokens: &Tokens, times: i64) -> Result<Option<Tensor>> {
    let Some(mask) = &tokens.mask else { return Ok(None) };
    let shaped = mask.try_unsqueeze(1)?.try_unsqueeze(1)?;
    repeated(&shaped, times).map(Some)
}

/// The keys that a frozen network computed from its last tokens.
#[derive(Debug, Default)]
pub(super) struct KeyCache(Option<(Tokens, Vec<Keys>)>);

impl KeyCache {
    /// See [`Memory::new`]; reuses the last keys if the tokens are the same.
    pub fn memory(
        &mut self,
        tokens: &Tokens,
        times: i64,
        keys: impl FnOnce(&Tensor) -> Result<Vec<Keys>>,
    ) -> Result<Memory> {
        if tokens.values.requires_grad() {
            return Memory::new(keys(&tokens.values)?, tokens, times);
        }
        if !self.0.as_ref().is_some_and(|(of, _)| of.is(tokens)) {
            let keys = keys(&tokens.values)?;
            let keys = keys.iter().map(|keys| keys.repeated(times)).collect::<Result<_>>()?;
            self.0 = Some((tokens.shared(), keys));
        }
        let keys = self.0.iter().flat_map(|(_, keys)| keys).map(Keys::shared).collect();
        Ok(Memory { keys, mask: mask(tokens, times)? })
    }
}

/// W attention(norm(h), tokens) with W zero at the start: a network with such layers starts as one without them. It has
/// no bias, so that a row without tokens is not changed.
#[derive(Debug)]
pub(super) struct CrossAttention {
    norm: Norm,
    heads: Heads,
    output: Projection,
    /// Its index among the layers that attend to the same tokens.
    index: usize,
}

impl CrossAttention {
    /// Features of `width` attend to tokens of `from` features.
    pub fn new(name: &str, width: i64, from: i64, heads: i64, index: usize, init: BuildOptions) -> Result<Self> {
        Ok(CrossAttention {
            norm: Norm::new(&format!("{name}.norm"), width, 1, init.device)?,
            heads: Heads::new(name, width, from, heads, init)?,
            output: Projection::new(&format!("{name}.to_out"), width, width, 0.0, init)?,
            index,
        })
    }

    /// The keys and values of `[row, token, from]`.
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        self.heads.keys(tokens)
    }

    /// The change of h, `[row, token, width]`; `None` if there is nothing to attend to.
    pub fn read(&self, h: &Tensor, memory: &Memory) -> Result<Option<Tensor>> {
        let Some(keys) = memory.keys(self.index) else { return Ok(None) };
        let mask = memory.mask.as_ref();
        match Heads::only(keys, mask)? {
            Some(read) => to_all(&self.output.forward(&read)?, h).map(Some),
            None => self.output.forward(&self.heads.forward(&self.norm.forward(h)?, keys, mask)?).map(Some),
        }
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm.list(named);
        self.heads.list(named);
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.norm.freeze()?;
        self.heads.freeze()?;
        self.output.freeze()
    }
}
