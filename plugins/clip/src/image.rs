//! The module `image`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::transformer::{LayerNorm, Projection, Vectors};
use anyflow_sdk::{
    Error, Module, ModuleDescriptor, Parameters, PooledEncoder, PromptEncoder, Role, RoleDescriptor, descriptor::*,
    variable,
};

use crate::layers::{Layer, Shape};
use crate::output::{VECTOR, VectorConfig, projected};

/// Image between 0 and 1 -> the vector of the image, and the hidden state of each patch behind that of the image: the
/// vision transformer of CLIP.
///
/// Weights: the names of `CLIPVisionModelWithProjection` in transformers; without `projection_dim`, of
/// `CLIPVisionModel`.
pub struct Image {
    class: Tensor,
    patches: Tensor,
    positions: Vectors,
    first_norm: LayerNorm,
    layers: Vec<Layer>,
    last_norm: LayerNorm,
    projection: Option<Projection>,
    config: Config,
}

#[derive(serde::Deserialize)]
struct Config {
    tokens: i64,
    channel: i64,
    height: i64,
    width: i64,
    patch_size: i64,
    image_mean: Vec<f64>,
    image_std: Vec<f64>,
    #[serde(flatten)]
    shape: Shape,
    #[serde(flatten)]
    vector: VectorConfig,
}

impl Config {
    /// Refuses impossible sizes, and another number of tokens than one for each patch and one of the whole.
    fn check(&self) -> Result<(), Error> {
        let Config { channel, height, width, patch_size, .. } = *self;
        elements(&[channel, height, width])?;
        elements(&[self.shape.hidden_size, channel, patch_size, patch_size])?;
        if height % patch_size != 0 || width % patch_size != 0 {
            let text =
                format!("an image of {width} x {height} is not made of whole patches of {patch_size} (patch_size)");
            return Err(Error::Parameters(text));
        }
        let statistics = [&self.image_mean, &self.image_std];
        if statistics.iter().any(|numbers| numbers.len() as i64 != channel || numbers.iter().any(|x| !x.is_finite()))
            || self.image_std.iter().any(|x| *x <= 0.0)
        {
            let text = "image_mean and image_std need a number for each channel, those of image_std above 0";
            return Err(Error::Parameters(text.into()));
        }
        let tokens = self.made();
        elements(&[tokens, self.shape.hidden_size])?;
        if ![0, tokens].contains(&self.tokens) {
            let text = format!("the prompt has {} tokens, but this encoder makes {tokens}", self.tokens);
            return Err(Error::Parameters(text));
        }
        self.vector.check(self.shape.hidden_size)
    }

    /// The number of tokens: one for each patch, and one of the whole.
    fn made(&self) -> i64 {
        (self.height / self.patch_size) * (self.width / self.patch_size) + 1
    }
}

/// `[channel, height, width]`.
const IMAGE: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);

impl Module for Image {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "image",
        modality: "image",
        summary: "image -> the vector of the image, and hidden states of its patches: CLIP, OpenCLIP",
        roles: &[
            RoleDescriptor {
                role: Role::Embed,
                input: IMAGE,
                output: f32_port(&[axis_of("token", "tokens"), axis_of("feature", "hidden_size")]),
            },
            RoleDescriptor { role: Role::Pool, input: IMAGE, output: VECTOR },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1, "examples": [3]},
            "height": {"type": "integer", "minimum": 1},
            "width": {"type": "integer", "minimum": 1},
            "tokens": {"type": "integer", "minimum": 0, "default": 0, "examples": [5],
                "description": "the number of patches + 1; 0 if the tokens are not used"},
            "vector": {"type": "integer", "minimum": 0, "default": 0, "examples": [8],
                "description": "size of the vector: projection_dim, or hidden_size without; 0 if it is not used"},
            "projection_dim": {"type": "integer", "minimum": 0, "default": 0,
                "description": "size of the projected vector; 0 for files without a projection"},
            "patch_size": {"type": "integer", "minimum": 1, "examples": [4]},
            "hidden_size": {"type": "integer", "minimum": 1, "examples": [8]},
            "num_hidden_layers": {"type": "integer", "minimum": 1, "maximum": 256, "examples": [2]},
            "num_attention_heads": {"type": "integer", "minimum": 1, "examples": [2]},
            "intermediate_size": {"type": "integer", "minimum": 0, "default": 0, "examples": [16],
                "description": "0 for 4 x hidden_size"},
            "hidden_act": {"type": "string", "enum": ["quick_gelu", "gelu"], "default": "quick_gelu"},
            "layer_norm_eps": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 1e-5},
            "image_mean": {"type": "array", "items": {"type": "number"}, "default": [0.48145466, 0.4578275, 0.40821073],
                "description": "of each channel, subtracted first"},
            "image_std": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0},
                "default": [0.26862954, 0.26130258, 0.27577711], "description": "of each channel, divided by"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        let Config { channel, patch_size, shape, vector, .. } = config;
        let width = shape.hidden_size;
        shape.check()?;
        config.check()?;
        let tokens = config.made();
        let root = path / "vision_model";
        let embeddings = &root / "embeddings";
        let start = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        let patches = [width, channel, patch_size, patch_size];
        Ok(Image {
            class: variable(&embeddings, "class_embedding", &[width], start)?,
            patches: variable(&(&embeddings / "patch_embedding"), "weight", &patches, start)?,
            positions: Vectors::new(&(&embeddings / "position_embedding"), tokens, width)?,
            first_norm: shape.norm(&(&root / "pre_layrnorm"))?,
            layers: shape.layers(&root)?,
            last_norm: shape.norm(&(&root / "post_layernorm"))?,
            projection: vector.projection(&(path / "visual_projection"), width)?,
            config,
        })
    }
}

impl Image {
    /// The image with the mean and the deviation that the encoder was trained on.
    fn normalized(&self, image: &Tensor) -> Result<Tensor, Error> {
        let of = |numbers: &[f64]| {
            Tensor::f_from_slice(numbers)?.f_to_kind(Kind::Float)?.f_view([-1, 1, 1])?.f_to(image.device())
        };
        Ok(image.f_sub(&of(&self.config.image_mean)?)?.f_div(&of(&self.config.image_std)?)?)
    }

    /// The hidden states of the whole and of each patch, `[row, token, feature]`.
    fn states(&self, image: &Tensor) -> Result<Tensor, Error> {
        let (size, bias) = (self.config.patch_size, None::<Tensor>);
        let patches = self.normalized(image)?.f_conv2d(&self.patches, bias, [size, size], 0, 1, 1)?;
        let patches = patches.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let [rows, width] = [patches.size()[0], patches.size()[2]];
        let class = self.class.f_view([1, 1, width])?.f_expand([rows, 1, width], false)?;
        let tokens = Tensor::f_cat(&[class, patches], 1)?;
        let x = tokens.f_add(&self.positions.first(tokens.size()[1])?)?;
        self.layers.iter().try_fold(self.first_norm.forward(&x)?, |x, layer| layer.forward(&x, None))
    }
}

impl PromptEncoder for Image {
    fn embed(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.states(array)
    }
}

impl PooledEncoder for Image {
    fn pool(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let first = self.states(array)?.f_narrow(1, 0, 1)?;
        projected(self.projection.as_ref(), &self.last_norm.forward(&first)?)
    }
}
