//! Attention over tokens, `[row, token, feature]`, as in Vaswani et al. 2017, eq. (1), with several heads.

use anyflow_config::Precision;
use tch::Tensor;

use super::layer::{BuildOptions, Linear, NumberFormat, cast, fresh, plain};
use crate::{Result, TensorExt};

/// The score of a missing token: effectively minus infinity, but finite in any precision.
const LEAST: f64 = -1e4;

/// y = W x.
#[derive(Debug)]
pub(super) struct Projection {
    name: String,
    weight: Tensor,
    precision: Precision,
    /// Once frozen: the weight in compute precision.
    fixed: Option<Tensor>,
}

impl Projection {
    pub fn new(name: &str, from: i64, to: i64, scale: f64, init: BuildOptions) -> Result<Self> {
        let weight = fresh(name, &[to, from], scale, init)?;
        Ok(Projection { name: name.to_string(), weight, precision: init.precision, fixed: None })
    }

    /// `[row, token, from]` -> `[row, token, to]`, in the layer's precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = cast(x, self.precision.kind())?;
        let weight = match &self.fixed {
            Some(weight) => weight.shallow_clone(),
            None => cast(&self.weight, self.precision.kind())?,
        };
        x.try_linear(&weight, None)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.fixed = Some(cast(&plain(&self.weight)?, self.precision.kind())?);
        Ok(())
    }
}

/// The keys and values of attention, per head: `[row, head, token, width / heads]` each.
#[derive(Debug)]
pub(super) struct Keys {
    key: Tensor,
    value: Tensor,
}

impl Keys {
    /// A copy that shares memory.
    pub fn shared(&self) -> Self {
        Keys { key: self.key.shallow_clone(), value: self.value.shallow_clone() }
    }

    fn require_grad(&self) -> bool {
        self.key.requires_grad() || self.value.requires_grad()
    }

    /// Repeats each row `times` times along the batch axis (`repeat_interleave`).
    pub fn repeated(&self, times: i64) -> Result<Self> {
        Ok(Keys { key: repeated(&self.key, times)?, value: repeated(&self.value, times)? })
    }
}

/// Expands `[row, 1, width]` to every token of x, `[row, token, ...]`.
pub(super) fn to_all(read: &Tensor, x: &Tensor) -> Result<Tensor> {
    read.try_expand([-1, x.size()[1], -1])
}

/// Repeats each row `times` times along the batch axis (`repeat_interleave`).
pub(super) fn repeated(rows: &Tensor, times: i64) -> Result<Tensor> {
    match times {
        1 => Ok(rows.shallow_clone()),
        _ => rows.try_repeat_interleave(times, 0),
    }
}

/// The heads of an attention: softmax(q k / sqrt(width / heads)) v, before the output layer.
#[derive(Debug)]
pub(super) struct Heads {
    count: i64,
    query: Projection,
    key: Projection,
    value: Projection,
}

impl Heads {
    /// Tokens of `width` features attend to tokens of `from` features.
    pub fn new(name: &str, width: i64, from: i64, count: i64, init: BuildOptions) -> Result<Self> {
        let projection = |layer: &str, from| Projection::new(&format!("{name}.{layer}"), from, width, 1.0, init);
        let query = projection("to_q", width)?;
        let key = projection("to_k", from)?;
        let value = projection("to_v", from)?;
        Ok(Heads { count, query, key, value })
    }

    /// The keys and values of `[row, token, from]`.
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        Ok(Keys { key: self.split(&self.key.forward(tokens)?)?, value: self.split(&self.value.forward(tokens)?)? })
    }

    /// `[row, token, width]` -> the same shape, in the layers' precision; `mask` is `[row, 1, 1, token]`, true for
    /// existing tokens. A row without tokens to attend to gets zeros.
    pub fn forward(&self, x: &Tensor, keys: &Keys, mask: Option<&Tensor>) -> Result<Tensor> {
        let (query, Keys { key, value }) = (self.split(&self.query.forward(x)?)?, keys);
        let read = if query.size()[2] == 1 && !query.requires_grad() && !keys.require_grad() {
            of_one(&query, keys, mask)?
        } else {
            Tensor::try_attention(&query, key, value, mask)?
        };
        read.try_transpose(1, 2)?.try_flatten(2, 3)
    }

    /// The attention output for a single token, `[row, 1, width]`: the softmax over one token is 1, so every query gets
    /// its value. `None` with several tokens, or if gradients are recorded.
    pub fn only(keys: &Keys, mask: Option<&Tensor>) -> Result<Option<Tensor>> {
        let value = &keys.value;
        if value.size()[2] != 1 || keys.require_grad() {
            return Ok(None);
        }
        let value = value.try_transpose(1, 2)?.try_flatten(2, 3)?;
        let Some(mask) = mask else { return Ok(Some(value)) };
        let gone = mask.try_logical_not()?.try_squeeze(1)?;
        value.try_masked_fill(&gone, 0.0).map(Some)
    }

    /// `[row, token, width]` -> `[row, head, token, width / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let size = x.size();
        x.try_view([size[0], size[1], self.count, -1])?.try_transpose(1, 2)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        [&self.query, &self.key, &self.value].into_iter().for_each(|projection| projection.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        [&mut self.query, &mut self.key, &mut self.value].into_iter().try_for_each(Projection::freeze)
    }
}

/// Self-attention or cross-attention.
#[derive(Debug)]
pub(super) struct Attention {
    heads: Heads,
    output: Linear,
}

impl Attention {
    /// Tokens of `width` features attend to tokens of `from` features. `scale` is the init scale of the output layer.
    pub fn new(name: &str, width: i64, from: i64, heads: i64, scale: f64, init: BuildOptions) -> Result<Self> {
        let output = Linear::new(&format!("{name}.to_out.0"), width, width, scale, init)?;
        Ok(Attention { heads: Heads::new(name, width, from, heads, init)?, output })
    }

    /// See [`Heads::keys`].
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        self.heads.keys(tokens)
    }

    /// See [`Heads::forward`]; a row without tokens to attend to gets the bias of the output layer.
    pub fn forward(&self, x: &Tensor, keys: &Keys, mask: Option<&Tensor>) -> Result<Tensor> {
        match Heads::only(keys, mask)? {
            Some(read) => to_all(&self.output.forward(&read)?, x),
            None => self.output.forward(&self.heads.forward(x, keys, mask)?),
        }
    }

    /// The output of a row without tokens to attend to: `[width]`.
    pub fn nothing(&self) -> Result<Tensor> {
        self.output.bias()
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.heads.list(named);
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.heads.freeze()?;
        self.output.freeze()
    }
}

/// output(a gelu(b)), [a, b] = input(x): Shazeer 2020, "GLU variants", eq. (6), with a hidden width of 4 `width`.
#[derive(Debug)]
pub(super) struct FeedForward {
    input: Linear,
    output: Linear,
}

impl FeedForward {
    pub fn new(name: &str, width: i64, init: BuildOptions) -> Result<Self> {
        Ok(FeedForward {
            input: Linear::new(&format!("{name}.net.0.proj"), width, 8 * width, 1.0, init)?,
            output: Linear::new(&format!("{name}.net.2"), 4 * width, width, 1.0, init)?,
        })
    }

    /// `[row, token, width]` -> the same, in the layers' precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let both = self.input.forward(x)?;
        let halves = both.try_chunk(2, -1)?;
        let gate = halves[1].try_gelu()?;
        self.output.forward(&halves[0].try_mul(&gate)?)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.input.list(named);
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.input.freeze()?;
        self.output.freeze()
    }
}

/// Attention of a single query: one pass over keys and values costs less than one kernel call per head.
fn of_one(query: &Tensor, keys: &Keys, mask: Option<&Tensor>) -> Result<Tensor> {
    let Keys { key, value } = keys;
    let width = query.size()[3] as f64;
    let scores = key.try_mul(query)?.try_sum([-1], true, None)?.try_mul_scalar(width.sqrt().recip())?;
    let gone = mask.map(|mask| mask.try_logical_not()?.try_transpose(2, 3));
    let gone = gone.transpose()?;
    let filled = |tensor: Tensor, with: f64| match &gone {
        Some(gone) => tensor.try_masked_fill(gone, with),
        None => Ok(tensor),
    };
    // In a row without tokens all shares are equal; they are set to zero below.
    let scores = filled(scores, LEAST)?;
    let shares = filled(scores.try_softmax(2, None)?, 0.0)?;
    value.try_mul(&shares)?.try_sum([2], true, None)
}
