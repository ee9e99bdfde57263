//! The module `text`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::transformer::{LayerNorm, Projection, TokenRows, Vectors, causal};
use anyflow_sdk::{
    Error, Module, ModuleDescriptor, Parameters, PooledEncoder, PromptEncoder, Role, RoleDescriptor, TOKENS,
    descriptor::*,
};

use crate::layers::{Layer, Shape};
use crate::output::{VECTOR, VectorConfig, projected};

/// Token ids -> the hidden state of each token, and the vector of the text: the state at its end token. Padding is read
/// like other tokens, as the published diffusion models were trained; it does not change the tokens before it.
///
/// Weights: the names of `CLIPTextModelWithProjection` in transformers; without `projection_dim`, of `CLIPTextModel`.
pub struct Text {
    words: Vectors,
    positions: Vectors,
    layers: Vec<Layer>,
    norm: LayerNorm,
    projection: Option<Projection>,
    config: Config,
}

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    vocab_size: i64,
    max_position_embeddings: i64,
    eos_token_id: i64,
    hidden_state: i64,
    final_norm: bool,
    #[serde(flatten)]
    shape: Shape,
    #[serde(flatten)]
    vector: VectorConfig,
}

/// The hidden state after the last layer.
const LAST: i64 = -1;

/// The end token in configurations from before transformers 4.32, which is not the one in the texts. That one has the
/// largest id.
const OLD_END: i64 = 2;

impl Module for Text {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "text",
        modality: "text",
        summary: "token ids -> hidden states and the vector of a text: CLIP, OpenCLIP",
        roles: &[
            RoleDescriptor {
                role: Role::Embed,
                input: TOKENS,
                output: f32_port(&[axis_of("token", "length"), axis_of("feature", "hidden_size")]),
            },
            RoleDescriptor { role: Role::Pool, input: TOKENS, output: VECTOR },
        ],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "vector": {"type": "integer", "minimum": 0, "default": 0, "examples": [8],
                "description": "size of the vector: projection_dim, or hidden_size without; 0 if it is not used"},
            "hidden_state": {"type": "integer", "minimum": -256, "maximum": -1, "default": -1,
                "description": "state of the tokens, counted from the last (-1), which passes the final norm"},
            "final_norm": {"type": "boolean", "default": false,
                "description": "an earlier hidden_state passes the final norm too: the clip skip of Stable Diffusion 1"},
            "projection_dim": {"type": "integer", "minimum": 0, "default": 0,
                "description": "size of the projected vector; 0 for files without a projection"},
            "hidden_size": {"type": "integer", "minimum": 1, "examples": [8]},
            "num_hidden_layers": {"type": "integer", "minimum": 1, "maximum": 256, "examples": [2]},
            "num_attention_heads": {"type": "integer", "minimum": 1, "examples": [2]},
            "intermediate_size": {"type": "integer", "minimum": 0, "default": 0, "examples": [16],
                "description": "0 for 4 x hidden_size"},
            "hidden_act": {"type": "string", "enum": ["quick_gelu", "gelu"], "default": "quick_gelu"},
            "layer_norm_eps": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 1e-5},
            "vocab_size": {"type": "integer", "minimum": 1, "default": 49408},
            "max_position_embeddings": {"type": "integer", "minimum": 1, "default": 77},
            "eos_token_id": {"type": "integer", "minimum": 0, "default": 49407,
                "description": "the text ends at the first one; 2, of old configurations, stands for the largest id"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        let Config { length, vocab_size, max_position_embeddings: longest, shape, vector, .. } = config;
        let width = shape.hidden_size;
        shape.check()?;
        elements(&[vocab_size, width])?;
        elements(&[longest, width])?;
        if !(1..=longest).contains(&length) {
            let text = format!("length is {length}; it must be from 1 to max_position_embeddings, {longest}");
            return Err(Error::Parameters(text));
        }
        let earliest = -shape.num_hidden_layers - 1;
        if !(earliest..=LAST).contains(&config.hidden_state) {
            let text = format!("hidden_state is {}; it must be from {earliest} to {LAST}", config.hidden_state);
            return Err(Error::Parameters(text));
        }
        vector.check(width)?;
        let root = path / "text_model";
        let embeddings = &root / "embeddings";
        Ok(Text {
            words: Vectors::new(&(&embeddings / "token_embedding"), vocab_size, width)?,
            positions: Vectors::new(&(&embeddings / "position_embedding"), longest, width)?,
            layers: shape.layers(&root)?,
            norm: shape.norm(&(&root / "final_layer_norm"))?,
            projection: vector.projection(&(path / "text_projection"), width)?,
            config,
        })
    }
}

impl Text {
    /// A hidden state of all tokens, `[row, token, feature]`.
    fn states(&self, ids: &Tensor, hidden_state: i64) -> Result<Tensor, Error> {
        let length = ids.size()[1];
        let x = self.words.of(ids)?.f_add(&self.positions.first(length)?)?;
        let mask = causal(length, &x)?;
        let used = self.config.shape.num_hidden_layers + 1 + hidden_state;
        let mut layers = self.layers.iter().take(usize::try_from(used).unwrap_or(0));
        layers.try_fold(x, |x, layer| layer.forward(&x, Some(&mask)))
    }

    /// The states at the end tokens, `[row, 1, feature]`.
    fn at_end(&self, ids: &Tensor, states: &Tensor) -> Result<Tensor, Error> {
        let end = match self.config.eos_token_id {
            OLD_END => ids.f_argmax(-1, false)?,
            end => ids.f_eq(end)?.f_to_kind(Kind::Int64)?.f_argmax(-1, false)?,
        };
        let [rows, width] = [states.size()[0], states.size()[2]];
        Ok(states.f_gather(1, &end.f_view([rows, 1, 1])?.f_expand([rows, 1, width], false)?, false)?)
    }
}

impl PromptEncoder for Text {
    fn embed(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let ids = TokenRows::read(array, self.config.vocab_size)?.ids;
        let states = self.states(&ids, self.config.hidden_state)?;
        if self.config.hidden_state == LAST || self.config.final_norm { self.norm.forward(&states) } else { Ok(states) }
    }
}

impl PooledEncoder for Text {
    fn pool(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let ids = TokenRows::read(array, self.config.vocab_size)?.ids;
        let states = self.norm.forward(&self.states(&ids, LAST)?)?;
        projected(self.projection.as_ref(), &self.at_end(&ids, &states)?)
    }
}
