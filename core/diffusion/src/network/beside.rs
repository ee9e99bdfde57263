//! What a network reads beside its streams: a prompt, or the context that the other streams' aligners make.

use tch::Tensor;

use super::attention::{Heads, Keys, Projection, repeated, to_all};
use super::layer::{Init, Norm};
use crate::{Result, TensorOp, Tokens};

/// Tokens as the layers of a network read them.
#[derive(Debug)]
pub(super) struct Beside {
    /// Per reading layer, in the order of use; none if there is nothing to read.
    keys: Vec<Keys>,
    /// `[row, 1, 1, token]`, bool.
    pub mask: Option<Tensor>,
}

impl Beside {
    /// Nothing to read.
    pub fn nothing() -> Self {
        Beside { keys: Vec::new(), mask: None }
    }

    /// Tokens of rows that stand `times` times each in the network.
    pub fn new(keys: Vec<Keys>, tokens: &Tokens, times: i64) -> Result<Self> {
        let keys = keys.iter().map(|keys| keys.repeated(times)).collect::<Result<_>>()?;
        Ok(Beside { keys, mask: mask(tokens, times)? })
    }

    /// What the layer at a place reads.
    pub fn keys(&self, place: usize) -> Option<&Keys> {
        self.keys.get(place)
    }
}

/// Which tokens there are, as attention wants it: `[row, token]` -> `[row * times, 1, 1, token]`, bool.
fn mask(tokens: &Tokens, times: i64) -> Result<Option<Tensor>> {
    let Some(mask) = &tokens.mask else { return Ok(None) };
    let shaped = mask.f_unsqueeze(1).and_then(|mask| mask.f_unsqueeze(1)).op("unsqueeze", &[mask])?;
    repeated(&shaped, times).map(Some)
}

/// What a frozen network has made of the tokens it was given last.
#[derive(Debug, Default)]
pub(super) struct KeptKeys(Option<(Tokens, Vec<Keys>)>);

impl KeptKeys {
    /// As [`Beside::new`], with the keys of the last time where the tokens are the same.
    pub fn beside(
        &mut self,
        tokens: &Tokens,
        times: i64,
        keys: impl FnOnce(&Tensor) -> Result<Vec<Keys>>,
    ) -> Result<Beside> {
        if tokens.values.requires_grad() {
            return Beside::new(keys(&tokens.values)?, tokens, times);
        }
        if !self.0.as_ref().is_some_and(|(of, _)| of.is(tokens)) {
            let keys = keys(&tokens.values)?;
            let keys = keys.iter().map(|keys| keys.repeated(times)).collect::<Result<_>>()?;
            self.0 = Some((tokens.shared(), keys));
        }
        let keys = self.0.iter().flat_map(|(_, keys)| keys).map(Keys::shared).collect();
        Ok(Beside { keys, mask: mask(tokens, times)? })
    }
}

/// W attention(norm(h), tokens), W zero at the start: a network with such layers begins as one without them. It has no
/// bias, so that a row with nothing to read is not changed.
#[derive(Debug)]
pub(super) struct CrossAttention {
    norm: Norm,
    heads: Heads,
    output: Projection,
    /// Its place among the layers that read the same.
    place: usize,
}

impl CrossAttention {
    /// Features of `width` read tokens of `from`.
    pub fn new(name: &str, width: i64, from: i64, heads: i64, place: usize, init: Init) -> Result<Self> {
        Ok(CrossAttention {
            norm: Norm::new(&format!("{name}.norm"), width, 1, init.device)?,
            heads: Heads::new(name, width, from, heads, init)?,
            output: Projection::new(&format!("{name}.to_out"), width, width, 0.0, init)?,
            place,
        })
    }

    /// `[row, token, from]`, as it is read.
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        self.heads.keys(tokens)
    }

    /// What is added to h, `[row, token, width]`; none if there is nothing to read.
    pub fn read(&self, h: &Tensor, beside: &Beside) -> Result<Option<Tensor>> {
        let Some(keys) = beside.keys(self.place) else { return Ok(None) };
        let mask = beside.mask.as_ref();
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
