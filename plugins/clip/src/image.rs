//! The module `image`.

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::transformer::{LayerNorm, Projection, Vectors};
use anyflow_sdk::{Error, Module, ModuleDescriptor, Parameters, PromptEncoder, Role, RoleDescriptor, descriptor::*};

use crate::layers::{Layer, Shape};
use crate::output::{Output, OutputConfig, VECTORS, projected};

/// Image between 0 and 1 -> the vector of the image, or the hidden state of each patch: the vision transformer of CLIP.
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
    channel: i64,
    height: i64,
    width: i64,
    patch_size: i64,
    image_mean: Vec<f64>,
    image_std: Vec<f64>,
    #[serde(flatten)]
    shape: Shape,
    #[serde(flatten)]
    output: OutputConfig,
}

impl Config {
    /// Patches and one token of the whole.
    fn tokens(&self) -> Result<i64, Error> {
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
        let tokens = (height / patch_size) * (width / patch_size) + 1;
        elements(&[tokens, self.shape.hidden_size])?;
        Ok(tokens)
    }
}

impl Module for Image {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "image",
        modality: "image",
        summary: "image -> the vector of the image, or hidden states of its patches: CLIP, OpenCLIP",
        roles: &[RoleDescriptor {
            role: Role::Embed,
            input: f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1),
            output: VECTORS,
        }],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1, "examples": [3]},
            "height": {"type": "integer", "minimum": 1},
            "width": {"type": "integer", "minimum": 1},
            "vectors": {"type": "integer", "minimum": 1, "examples": [1], "description": "1, or with output tokens the number of patches + 1"},
            "features": {"type": "integer", "minimum": 1, "description": "hidden_size; with output pooled projection_dim, if it is not 0"},
            "output": {"type": "string", "enum": ["pooled", "tokens"], "default": "pooled",
                "description": "the vector of the image, or the hidden state of each patch behind that of the image"},
            "projection_dim": {"type": "integer", "minimum": 0, "default": 0, "description": "size of the projected vector; 0 without"},
            "patch_size": {"type": "integer", "minimum": 1, "examples": [4]},
            "hidden_size": {"type": "integer", "minimum": 1, "examples": [8]},
            "num_hidden_layers": {"type": "integer", "minimum": 1, "maximum": 256, "examples": [2]},
            "num_attention_heads": {"type": "integer", "minimum": 1, "examples": [2]},
            "intermediate_size": {"type": "integer", "minimum": 1, "examples": [16]},
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
        let Config { channel, patch_size, shape, output, .. } = config;
        let width = shape.hidden_size;
        shape.check()?;
        let tokens = config.tokens()?;
        output.check(tokens, width)?;
        let root = path / "vision_model";
        let embeddings = &root / "embeddings";
        let start = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        let patches = [width, channel, patch_size, patch_size];
        Ok(Image {
            class: embeddings.f_var("class_embedding", &[width], start)?,
            patches: (&embeddings / "patch_embedding").f_var("weight", &patches, start)?,
            positions: Vectors::new(&(&embeddings / "position_embedding"), tokens, width)?,
            first_norm: shape.norm(&(&root / "pre_layrnorm"))?,
            layers: shape.layers(&root)?,
            last_norm: shape.norm(&(&root / "post_layernorm"))?,
            projection: output.projection(&(path / "visual_projection"), width)?,
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
        let states = self.states(array)?;
        match self.config.output.output {
            Output::Tokens => Ok(states),
            Output::Pooled => projected(self.projection.as_ref(), self.last_norm.forward(&states.f_narrow(1, 0, 1)?)?),
        }
    }
}
