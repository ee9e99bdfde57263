//! The layers of both encoders. Names of the weights are those of transformers.

use anyflow_sdk::Error;
use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::transformer::{AttentionPaths, LayerNorm, Projection, SelfAttention};

/// The sizes of an encoder.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct Shape {
    pub hidden_size: i64,
    pub num_hidden_layers: i64,
    num_attention_heads: i64,
    /// 0: four times as many as features.
    intermediate_size: i64,
    hidden_act: Activation,
    pub layer_norm_eps: f64,
}

/// The function between the two layers of a perceptron.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Activation {
    Gelu,
    /// x sigmoid(1.702 x), of the first CLIP.
    QuickGelu,
}

/// Slope of the sigmoid.
const QUICK: f64 = 1.702;

impl Activation {
    fn of(self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(match self {
            Activation::Gelu => x.f_gelu("none")?,
            Activation::QuickGelu => x.f_mul_scalar(QUICK)?.f_sigmoid()?.f_mul(x)?,
        })
    }
}

impl Shape {
    pub fn check(&self) -> Result<(), Error> {
        elements(&[self.hidden_size, self.hidden_size])?;
        elements(&[self.hidden_size, self.inner()])?;
        if !(1..=256).contains(&self.num_hidden_layers) {
            let found = self.num_hidden_layers;
            return Err(Error::Parameters(format!("num_hidden_layers is {found}; it must be from 1 to 256")));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(Error::Parameters(format!(
                "layer_norm_eps is {}; it must be between 0 and 1",
                self.layer_norm_eps
            )));
        }
        Ok(())
    }

    /// The size of the inner layer.
    fn inner(&self) -> i64 {
        if self.intermediate_size == 0 { self.hidden_size.saturating_mul(4) } else { self.intermediate_size }
    }

    /// The norm at `path`.
    pub fn norm(&self, path: &nn::Path<'_>) -> Result<LayerNorm, Error> {
        LayerNorm::new(path, self.hidden_size, self.layer_norm_eps)
    }

    /// All layers.
    pub fn layers(&self, path: &nn::Path<'_>) -> Result<Vec<Layer>, Error> {
        let layers = path / "encoder" / "layers";
        (0..self.num_hidden_layers).map(|number| Layer::new(&(&layers / number), self)).collect()
    }
}

/// y = x + attention(norm(x)); z = y + perceptron(norm(y)).
pub(crate) struct Layer {
    norms: [LayerNorm; 2],
    attention: SelfAttention,
    widen: Projection,
    narrow: Projection,
    activation: Activation,
}

impl Layer {
    fn new(path: &nn::Path<'_>, shape: &Shape) -> Result<Layer, Error> {
        let (width, wide) = (shape.hidden_size, shape.inner());
        let own = path / "self_attn";
        let paths = AttentionPaths {
            query: &own / "q_proj",
            key: &own / "k_proj",
            value: &own / "v_proj",
            out: &own / "out_proj",
        };
        Ok(Layer {
            norms: [shape.norm(&(path / "layer_norm1"))?, shape.norm(&(path / "layer_norm2"))?],
            attention: SelfAttention::new(&paths, width, shape.num_attention_heads)?,
            widen: Projection::new(&(path / "mlp" / "fc1"), width, wide)?,
            narrow: Projection::new(&(path / "mlp" / "fc2"), wide, width)?,
            activation: shape.hidden_act,
        })
    }

    /// Maps `x: [row, token, feature]` to the same shape.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, Error> {
        let [first, second] = &self.norms;
        let x = self.attention.forward(&first.forward(x)?, mask)?.f_add(x)?;
        let y = self.activation.of(&self.widen.forward(&second.forward(&x)?)?)?;
        Ok(self.narrow.forward(&y)?.f_add(&x)?)
    }
}
