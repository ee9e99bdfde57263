//! The module `text`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::transformer::{LayerNorm, Projection, TokenRows, Vectors, causal};
use anyflow_sdk::{Error, Module, ModuleDescriptor, Parameters, PromptEncoder, Role, RoleDescriptor, TOKENS};

use crate::layers::{Layer, Shape};
use crate::output::{Output, OutputConfig, VECTORS, projected};

/// Token ids -> the hidden state of each token, or the vector of the text. Padding is read like other tokens, as the
/// published diffusion models were trained; it does not change the tokens before it.
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
    hidden_state: HiddenState,
    final_norm: bool,
    #[serde(flatten)]
    shape: Shape,
    #[serde(flatten)]
    output: OutputConfig,
}

/// The layer after which tokens are taken.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HiddenState {
    Last,
    NextToLast,
}

/// The end token in configurations from before transformers 4.32, which is not the one in the texts. That one has the
/// largest id.
const OLD_END: i64 = 2;

impl Module for Text {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "text",
        modality: "text",
        summary: "token ids -> hidden states or the vector of a text: CLIP, OpenCLIP",
        roles: &[RoleDescriptor { role: Role::Embed, input: TOKENS, output: VECTORS }],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "vectors": {"type": "integer", "minimum": 1, "description": "length, or 1 with output pooled"},
            "features": {"type": "integer", "minimum": 1, "description": "hidden_size; with output pooled projection_dim, if it is not 0"},
            "output": {"type": "string", "enum": ["tokens", "pooled"], "default": "tokens",
                "description": "the hidden state of each token, or the vector of the text: the state at its end token"},
            "hidden_state": {"type": "string", "enum": ["last", "next-to-last"], "default": "last",
                "description": "layer of output tokens"},
            "final_norm": {"type": "boolean", "default": true, "description": "norm over output tokens; pooled always has it"},
            "projection_dim": {"type": "integer", "minimum": 0, "default": 0, "description": "size of the projected vector; 0 without"},
            "hidden_size": {"type": "integer", "minimum": 1, "examples": [8]},
            "num_hidden_layers": {"type": "integer", "minimum": 1, "maximum": 256, "examples": [2]},
            "num_attention_heads": {"type": "integer", "minimum": 1, "examples": [2]},
            "intermediate_size": {"type": "integer", "minimum": 1, "examples": [16]},
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
        let Config { length, vocab_size, max_position_embeddings: longest, shape, output, .. } = config;
        let width = shape.hidden_size;
        shape.check()?;
        elements(&[vocab_size, width])?;
        elements(&[longest, width])?;
        if !(1..=longest).contains(&length) {
            let text = format!("length is {length}; it must be from 1 to max_position_embeddings, {longest}");
            return Err(Error::Parameters(text));
        }
        output.check(length, width)?;
        let root = path / "text_model";
        let embeddings = &root / "embeddings";
        Ok(Text {
            words: Vectors::new(&(&embeddings / "token_embedding"), vocab_size, width)?,
            positions: Vectors::new(&(&embeddings / "position_embedding"), longest, width)?,
            layers: shape.layers(&root)?,
            norm: shape.norm(&(&root / "final_layer_norm"))?,
            projection: output.projection(&(path / "text_projection"), width)?,
            config,
        })
    }
}

impl Text {
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
        let length = ids.size()[1];
        let x = self.words.of(&ids)?.f_add(&self.positions.first(length)?)?;
        let mask = causal(length, &x)?;
        let wants_tokens = self.config.output.output == Output::Tokens;
        let left = usize::from(wants_tokens && self.config.hidden_state == HiddenState::NextToLast);
        let used = &self.layers[..self.layers.len() - left];
        let states = used.iter().try_fold(x, |x, layer| layer.forward(&x, Some(&mask)))?;
        match (wants_tokens, self.config.final_norm) {
            (true, false) => Ok(states),
            (true, true) => self.norm.forward(&states),
            (false, _) => projected(self.projection.as_ref(), self.at_end(&ids, &self.norm.forward(&states)?)?),
        }
    }
}
