//! One layer of BERT. Names of the weights are those of transformers.

use anyflow_sdk::Error;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::transformer::{AttentionPaths, LayerNorm, Projection, SelfAttention};

/// The sizes of a layer.
#[derive(Clone, Copy)]
pub(crate) struct LayerShape {
    pub width: i64,
    pub heads: i64,
    pub hidden: i64,
    pub epsilon: f64,
}

/// y = norm(x + attention(x)); z = norm(y + perceptron(y)).
pub(crate) struct Layer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    widen: Projection,
    narrow: Projection,
    norm: LayerNorm,
}

impl Layer {
    pub fn new(path: &nn::Path<'_>, shape: LayerShape) -> Result<Layer, Error> {
        let LayerShape { width, heads, hidden, epsilon } = shape;
        let attention = path / "attention";
        let own = &attention / "self";
        let paths = AttentionPaths {
            query: &own / "query",
            key: &own / "key",
            value: &own / "value",
            out: &attention / "output" / "dense",
        };
        Ok(Layer {
            attention: SelfAttention::new(&paths, width, heads)?,
            attention_norm: LayerNorm::new(&(&attention / "output" / "LayerNorm"), width, epsilon)?,
            widen: Projection::new(&(path / "intermediate" / "dense"), width, hidden)?,
            narrow: Projection::new(&(path / "output" / "dense"), hidden, width)?,
            norm: LayerNorm::new(&(path / "output" / "LayerNorm"), width, epsilon)?,
        })
    }

    /// Maps `x: [row, token, feature]` to the same shape.
    pub fn forward(&self, x: &Tensor, mask: &Tensor) -> Result<Tensor, Error> {
        let x = self.attention_norm.forward(&self.attention.forward(x, Some(mask))?.f_add(x)?)?;
        let y = self.narrow.forward(&self.widen.forward(&x)?.f_gelu("none")?)?;
        self.norm.forward(&y.f_add(&x)?)
    }
}
