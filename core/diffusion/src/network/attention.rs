//! Attention over tokens, `[row, token, feature]`, as in Vaswani et al. 2017, eq. (1), with several heads.

use tch::Tensor;

use super::layer::{Init, Linear, Precision, cast, fresh, plain};
use crate::{Result, TensorOp};

/// y = W x.
#[derive(Debug)]
pub(super) struct Projection {
    name: String,
    weight: Tensor,
    precision: Precision,
    /// Once frozen: the weight as it is multiplied.
    fixed: Option<Tensor>,
}

impl Projection {
    pub fn new(name: &str, from: i64, to: i64, scale: f64, init: Init) -> Result<Self> {
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
        x.f_linear::<Tensor>(&weight, None).op("linear", &[&x, &weight])
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.fixed = Some(cast(&plain(&self.weight)?, self.precision.kind())?);
        Ok(())
    }
}

/// What is attended to, per head: `[row, head, token, width / heads]` each.
#[derive(Debug)]
pub(super) struct Keys {
    key: Tensor,
    value: Tensor,
}

impl Keys {
    /// The same, sharing memory.
    pub fn shared(&self) -> Self {
        Keys { key: self.key.shallow_clone(), value: self.value.shallow_clone() }
    }

    /// Every row `times` times in a row.
    pub fn repeated(&self, times: i64) -> Result<Self> {
        Ok(Keys { key: repeated(&self.key, times)?, value: repeated(&self.value, times)? })
    }
}

/// Every row `times` times in a row.
pub(super) fn repeated(rows: &Tensor, times: i64) -> Result<Tensor> {
    match times {
        1 => Ok(rows.shallow_clone()),
        _ => rows.f_repeat_interleave_self_int(times, 0, None).op("repeat_interleave", &[rows]),
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
    /// Tokens of `width` features attend to tokens of `from`.
    pub fn new(name: &str, width: i64, from: i64, count: i64, init: Init) -> Result<Self> {
        let projection = |layer: &str, from| Projection::new(&format!("{name}.{layer}"), from, width, 1.0, init);
        let (query, key, value) = (projection("to_q", width)?, projection("to_k", from)?, projection("to_v", from)?);
        Ok(Heads { count, query, key, value })
    }

    /// `[row, token, from]`, as it is attended to.
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        Ok(Keys { key: self.split(&self.key.forward(tokens)?)?, value: self.split(&self.value.forward(tokens)?)? })
    }

    /// `[row, token, width]` -> the same, in the layers' precision; `mask` `[row, 1, 1, token]`, true where there is a
    /// token. A row with nothing to attend to gets zeros.
    pub fn forward(&self, x: &Tensor, keys: &Keys, mask: Option<&Tensor>) -> Result<Tensor> {
        let (query, Keys { key, value }) = (self.split(&self.query.forward(x)?)?, keys);
        let read = Tensor::f_scaled_dot_product_attention(&query, key, value, mask, 0.0, false, None, false)
            .op("scaled_dot_product_attention", &[&query, key, value])?;
        let read = read.f_transpose(1, 2).op("transpose", &[&read])?;
        read.f_flatten(2, 3).op("flatten", &[&read])
    }

    /// `[row, token, width]` -> `[row, head, token, width / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let size = x.size();
        let heads = x.f_view([size[0], size[1], self.count, -1]).op("view", &[x])?;
        heads.f_transpose(1, 2).op("transpose", &[&heads])
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        [&self.query, &self.key, &self.value].into_iter().for_each(|projection| projection.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        [&mut self.query, &mut self.key, &mut self.value].into_iter().try_for_each(Projection::freeze)
    }
}

/// Tokens that attend to themselves or to others.
#[derive(Debug)]
pub(super) struct Attention {
    heads: Heads,
    output: Linear,
}

impl Attention {
    /// Tokens of `width` features attend to tokens of `from`. `scale` is that of the output layer.
    pub fn new(name: &str, width: i64, from: i64, heads: i64, scale: f64, init: Init) -> Result<Self> {
        let output = Linear::new(&format!("{name}.to_out.0"), width, width, scale, init)?;
        Ok(Attention { heads: Heads::new(name, width, from, heads, init)?, output })
    }

    /// As [`Heads::keys`].
    pub fn keys(&self, tokens: &Tensor) -> Result<Keys> {
        self.heads.keys(tokens)
    }

    /// As [`Heads::forward`], but that a row with nothing to attend to gets the output layer's bias.
    pub fn forward(&self, x: &Tensor, keys: &Keys, mask: Option<&Tensor>) -> Result<Tensor> {
        self.output.forward(&self.heads.forward(x, keys, mask)?)
    }

    /// What a row with nothing to attend to gets: `[width]`.
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

/// output(a gelu(b)), [a, b] = input(x): Shazeer 2020, "GLU variants", eq. (6), four times as wide inside.
#[derive(Debug)]
pub(super) struct FeedForward {
    input: Linear,
    output: Linear,
}

impl FeedForward {
    pub fn new(name: &str, width: i64, init: Init) -> Result<Self> {
        Ok(FeedForward {
            input: Linear::new(&format!("{name}.net.0.proj"), width, 8 * width, 1.0, init)?,
            output: Linear::new(&format!("{name}.net.2"), 4 * width, width, 1.0, init)?,
        })
    }

    /// `[row, token, width]` -> the same, in the layers' precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let both = self.input.forward(x)?;
        let halves = both.f_chunk(2, -1).op("chunk", &[&both])?;
        let gate = halves[1].f_gelu("none").op("gelu", &[&halves[1]])?;
        self.output.forward(&halves[0].f_mul(&gate).op("mul", &[&halves[0], &gate])?)
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
