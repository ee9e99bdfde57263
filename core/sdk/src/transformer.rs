//! Layers of transformers over `[row, token, feature]`, for modules that hold published weights: the caller names every
//! variable. Start values are those of transformers: normal with deviation 0.02, biases zero.

use tch::{Kind, Tensor, nn};

use crate::{Error, variable};

/// Deviation of fresh weights.
const DEVIATION: f64 = 0.02;
/// Added to the scores of masked tokens. It is finite in f16, and its exponential is zero.
const MASKED: f64 = -1e4;

fn fresh() -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: DEVIATION }
}

/// A fully connected layer over the last axis.
pub struct Projection {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Projection {
    /// Makes a layer with variables `weight: [outputs, inputs]` and `bias: [outputs]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory runs out.
    pub fn new(path: &nn::Path<'_>, inputs: i64, outputs: i64) -> Result<Self, Error> {
        let bias = Some(variable(path, "bias", &[outputs], nn::Init::Const(0.0))?);
        Ok(Projection { bias, ..Projection::without_bias(path, inputs, outputs)? })
    }

    /// As [`Projection::new`], without a bias.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory runs out.
    pub fn without_bias(path: &nn::Path<'_>, inputs: i64, outputs: i64) -> Result<Self, Error> {
        Ok(Projection { weight: variable(path, "weight", &[outputs, inputs], fresh())?, bias: None })
    }

    /// Maps `x: [.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the shape does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

/// Normalizes each token to mean 0 and variance 1, then scales and shifts each feature.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Makes a layer with variables `weight: [width]` and `bias: [width]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory runs out.
    pub fn new(path: &nn::Path<'_>, width: i64, epsilon: f64) -> Result<Self, Error> {
        let weight = variable(path, "weight", &[width], nn::Init::Const(1.0))?;
        let bias = variable(path, "bias", &[width], nn::Init::Const(0.0))?;
        Ok(LayerNorm { weight, bias, epsilon })
    }

    /// Maps `x: [.., width]` to the same shape.
    ///
    /// # Errors
    /// [`Error::Torch`] if the shape does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.epsilon, true)?)
    }
}

/// A table of vectors.
pub struct Vectors {
    weight: Tensor,
}

impl Vectors {
    /// Makes a table with the variable `weight: [count, width]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory runs out.
    pub fn new(path: &nn::Path<'_>, count: i64, width: i64) -> Result<Self, Error> {
        Ok(Vectors { weight: variable(path, "weight", &[count, width], fresh())? })
    }

    /// Looks up `ids: [..]`, i64, and gives `[.., width]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if an id is not in the table.
    pub fn of(&self, ids: &Tensor) -> Result<Tensor, Error> {
        Ok(Tensor::f_embedding(&self.weight, ids, -1, false, false)?)
    }

    /// The first `count` vectors, `[count, width]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if there are fewer.
    pub fn first(&self, count: i64) -> Result<Tensor, Error> {
        Ok(self.weight.f_narrow(0, 0, count)?)
    }
}

/// Attention of several heads among the tokens of a row.
pub struct SelfAttention {
    query: Projection,
    key: Projection,
    value: Projection,
    out: Projection,
    heads: i64,
}

/// Where the weights of a [`SelfAttention`] are.
pub struct AttentionPaths<'p> {
    /// Of the queries.
    pub query: nn::Path<'p>,
    /// Of the keys.
    pub key: nn::Path<'p>,
    /// Of the values.
    pub value: nn::Path<'p>,
    /// Of the projection of the heads.
    pub out: nn::Path<'p>,
}

impl SelfAttention {
    /// Makes the four projections of `width` features.
    ///
    /// # Errors
    /// [`Error::Parameters`] if `heads` does not divide `width`; [`Error::Torch`] if memory runs out.
    pub fn new(paths: &AttentionPaths<'_>, width: i64, heads: i64) -> Result<Self, Error> {
        if heads < 1 || width % heads != 0 {
            let text = format!("hidden_size {width} is no multiple of num_attention_heads {heads}");
            return Err(Error::Parameters(text));
        }
        let projection = |path: &nn::Path<'_>| Projection::new(path, width, width);
        Ok(SelfAttention {
            query: projection(&paths.query)?,
            key: projection(&paths.key)?,
            value: projection(&paths.value)?,
            out: projection(&paths.out)?,
            heads,
        })
    }

    /// Maps `x: [row, token, width]` to the same shape. `mask` is added to the scores: `[row or 1, 1, token or 1, token]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the shape does not fit.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, Error> {
        let &[rows, tokens, width] = x.size().as_slice() else {
            return Err(Error::Failed(format!("attention needs [row, token, feature], not {:?}", x.size())));
        };
        let heads = |layer: &Projection| -> Result<Tensor, Error> {
            let heads = layer.forward(x)?.f_view([rows, tokens, self.heads, width / self.heads])?;
            Ok(heads.f_transpose(1, 2)?)
        };
        let [query, key, value] = [heads(&self.query)?, heads(&self.key)?, heads(&self.value)?];
        let y = Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask, 0.0, false, None, false)?;
        self.out.forward(&y.f_transpose(1, 2)?.f_reshape([rows, tokens, width])?)
    }
}

/// A mask for attention that hides the tokens whose `mask: [row, token]` is zero: `[row, 1, 1, token]` like `like`.
///
/// # Errors
/// [`Error::Torch`] if memory runs out.
pub fn hiding(mask: &Tensor, like: &Tensor) -> Result<Tensor, Error> {
    let hidden = mask.f_le(0)?.f_to_kind(like.kind())?.f_mul_scalar(MASKED)?;
    Ok(hidden.f_unsqueeze(1)?.f_unsqueeze(1)?)
}

/// A mask for attention that hides later tokens: `[1, 1, token, token]` like `like`.
///
/// # Errors
/// [`Error::Torch`] if memory runs out.
pub fn causal(tokens: i64, like: &Tensor) -> Result<Tensor, Error> {
    let hidden = Tensor::f_ones([tokens, tokens], (like.kind(), like.device()))?.f_triu(1)?;
    Ok(hidden.f_mul_scalar(MASKED)?.f_view([1, 1, tokens, tokens])?)
}

/// Ids and mask of an array of the port [`TOKENS`](crate::TOKENS).
pub struct TokenRows {
    /// `[row, token]`, i64, from 0 to the size of the vocabulary - 1.
    pub ids: Tensor,
    /// `[row, token]`, i64; positive for tokens of the text.
    pub mask: Tensor,
}

impl TokenRows {
    /// Reads `array: [row, part, token]`.
    ///
    /// # Errors
    /// [`Error::Failed`] if the array has another shape or dtype, or an id that is not in the vocabulary: the codec's
    /// vocabulary is not that of the weights.
    pub fn read(array: &Tensor, vocabulary: i64) -> Result<TokenRows, Error> {
        let size = array.size();
        if array.kind() != Kind::Int64 || size.len() != 3 || size[1] != 2 {
            let text = format!("tokens are [row, 2, token], i64, not {size:?}, {:?}", array.kind());
            return Err(Error::Failed(text));
        }
        let ids = array.f_select(1, 0)?;
        if ids.numel() > 0 {
            let [low, high] = [ids.f_min()?.f_int64_value(&[])?, ids.f_max()?.f_int64_value(&[])?];
            if low < 0 || high >= vocabulary {
                return Err(Error::Failed(format!(
                    "the codec gives token ids from {low} to {high}, but the weights know {vocabulary} tokens \
                     (vocab_size); use the tokenizer that was published with these weights"
                )));
            }
        }
        Ok(TokenRows { ids, mask: array.f_select(1, 1)? })
    }
}

#[cfg(test)]
mod tests;
