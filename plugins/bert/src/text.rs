//! The module `text`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::transformer::{LayerNorm, TokenRows, Vectors, hiding};
use anyflow_sdk::{
    Error, Module, ModuleDescriptor, Parameters, PooledEncoder, PromptEncoder, Role, RoleDescriptor, TOKENS,
    descriptor::*,
};

use crate::layer::{Layer, LayerShape};

/// Token ids -> the hidden state of each token, and the vector of the text: BERT and the sentence encoders made of it, such as MiniLM.
///
/// Weights: the names of `BertModel` in transformers, without `pooler` and the buffer `position_ids`.
pub struct Text {
    words: Vectors,
    positions: Vectors,
    types: Vectors,
    norm: LayerNorm,
    layers: Vec<Layer>,
    config: Config,
}

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    vocab_size: i64,
    max_position_embeddings: i64,
    type_vocab_size: i64,
    layer_norm_eps: f64,
    pooling: Pooling,
    normalize: bool,
}

/// How the states of the tokens become the vector of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Pooling {
    /// Their mean over the tokens of the text.
    Mean,
    /// The first one.
    First,
}

/// As in sentence-transformers: a text without tokens has the mean 0.
const FEWEST: f64 = 1e-9;
/// As in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

impl Config {
    fn check(&self) -> Result<(), Error> {
        let Config { length, hidden_size, num_hidden_layers, intermediate_size, .. } = *self;
        let refused = |text: String| Err(Error::Parameters(text));
        for sizes in
            [self.vocab_size, self.max_position_embeddings, self.type_vocab_size, intermediate_size, hidden_size]
        {
            elements(&[sizes, hidden_size])?;
        }
        if !(1..=256).contains(&num_hidden_layers) {
            return refused(format!("num_hidden_layers is {num_hidden_layers}; it must be from 1 to 256"));
        }
        let longest = self.max_position_embeddings;
        if !(1..=longest).contains(&length) {
            return refused(format!("length is {length}; it must be from 1 to max_position_embeddings, {longest}"));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return refused(format!("layer_norm_eps is {}; it must be between 0 and 1", self.layer_norm_eps));
        }
        Ok(())
    }
}

impl Module for Text {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "text",
        modality: "text",
        summary: "token ids -> hidden states and the vector of a text: BERT, MiniLM",
        roles: &[
            RoleDescriptor {
                role: Role::Embed,
                input: TOKENS,
                output: f32_port(&[axis_of("token", "length"), axis_of("feature", "hidden_size")]),
            },
            RoleDescriptor { role: Role::Pool, input: TOKENS, output: f32_port(&[axis_of("feature", "hidden_size")]) },
        ],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "hidden_size": {"type": "integer", "minimum": 1, "examples": [8]},
            "num_hidden_layers": {"type": "integer", "minimum": 1, "maximum": 256, "examples": [2]},
            "num_attention_heads": {"type": "integer", "minimum": 1, "examples": [2]},
            "intermediate_size": {"type": "integer", "minimum": 1, "examples": [16]},
            "vocab_size": {"type": "integer", "minimum": 1, "default": 30522},
            "max_position_embeddings": {"type": "integer", "minimum": 1, "default": 512},
            "type_vocab_size": {"type": "integer", "minimum": 1, "default": 2},
            "layer_norm_eps": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 1e-12},
            "pooling": {"type": "string", "enum": ["mean", "first"], "default": "mean",
                "description": "the vector is the mean over the tokens of the text, or the first token"},
            "normalize": {"type": "boolean", "default": false, "description": "the vector has length 1"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        config.check()?;
        let Config { hidden_size: width, vocab_size, max_position_embeddings, type_vocab_size, .. } = config;
        let epsilon = config.layer_norm_eps;
        let shape = LayerShape { width, heads: config.num_attention_heads, hidden: config.intermediate_size, epsilon };
        let embeddings = path / "embeddings";
        let layer = |number: i64| Layer::new(&(path / "encoder" / "layer" / number), shape);
        Ok(Text {
            words: Vectors::new(&(&embeddings / "word_embeddings"), vocab_size, width)?,
            positions: Vectors::new(&(&embeddings / "position_embeddings"), max_position_embeddings, width)?,
            types: Vectors::new(&(&embeddings / "token_type_embeddings"), type_vocab_size, width)?,
            norm: LayerNorm::new(&(&embeddings / "LayerNorm"), width, epsilon)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            config,
        })
    }
}

impl Text {
    /// The vectors of all tokens, `[row, token, feature]`.
    fn states(&self, tokens: &TokenRows) -> Result<Tensor, Error> {
        let positions = self.positions.first(tokens.ids.size()[1])?;
        let x = self.words.of(&tokens.ids)?.f_add(&positions)?.f_add(&self.types.first(1)?)?;
        let mask = hiding(&tokens.mask, &x)?;
        self.layers.iter().try_fold(self.norm.forward(&x)?, |x, layer| layer.forward(&x, &mask))
    }

    /// The tokens without the columns in which every row has padding.
    fn shortened(&self, tokens: TokenRows) -> Result<TokenRows, Error> {
        if tokens.ids.numel() == 0 {
            return Ok(tokens);
        }
        let numbers = Tensor::f_arange_start(1, self.config.length + 1, (Kind::Int64, tokens.mask.device()))?;
        let longest = tokens.mask.f_gt(0)?.f_to_kind(Kind::Int64)?.f_mul(&numbers)?.f_max()?.f_int64_value(&[])?.max(1);
        let cut = |tensor: Tensor| tensor.f_narrow(1, 0, longest);
        Ok(TokenRows { ids: cut(tokens.ids)?, mask: cut(tokens.mask)? })
    }
}

impl PromptEncoder for Text {
    fn embed(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.states(&TokenRows::read(array, self.config.vocab_size)?)
    }
}

impl PooledEncoder for Text {
    fn pool(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let tokens = self.shortened(TokenRows::read(array, self.config.vocab_size)?)?;
        let states = self.states(&tokens)?;
        let vector = match self.config.pooling {
            Pooling::First => states.f_select(1, 0)?,
            Pooling::Mean => {
                let shown = tokens.mask.f_gt(0)?.f_to_kind(states.kind())?.f_unsqueeze(-1)?;
                let count = shown.f_sum_dim_intlist([1i64].as_slice(), false, None)?.f_clamp_min(FEWEST)?;
                states.f_mul(&shown)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?.f_div(&count)?
            }
        };
        if !self.config.normalize {
            return Ok(vector);
        }
        let length = vector.f_norm_scalaropt_dim(2.0, [-1i64], true)?.f_clamp_min(SHORTEST)?;
        Ok(vector.f_div(&length)?)
    }
}

#[cfg(test)]
mod tests;
