//! The module `kl`.

mod blocks;
mod sides;

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

use self::sides::{Down, Up};
use crate::latent::{self, LATENT, Sizes};

/// Image between 0 and 1 <-> latent: the autoencoders with a KL term of latent diffusion models (Rombach et al. 2022).
/// The latent is (mean - shift) x scale; a draw from the posterior would add noise that no denoiser asks for.
///
/// Weights: the names of `AutoencoderKL` in diffusers.
pub struct Kl {
    down: Down,
    up: Up,
    scale: f64,
    shift: f64,
    /// Rows that pass at a time.
    rows: i64,
}

/// The most elements of an activation: 128 MiB of f32. More rows pass in slices, so that memory does not grow with the
/// batch; at this size a batch is no faster than its rows.
const ELEMENTS: i64 = 1 << 25;
/// Levels of resolution, so that no factor overflows.
const MOST_LEVELS: usize = 16;

#[derive(serde::Deserialize)]
struct Config {
    in_channels: i64,
    height: i64,
    width: i64,
    latent_channels: i64,
    rows: i64,
    columns: i64,
    block_out_channels: Vec<i64>,
    layers_per_block: i64,
    norm_num_groups: i64,
    scaling_factor: f64,
    shift_factor: f64,
    use_quant_conv: bool,
    use_post_quant_conv: bool,
    mid_block_add_attention: bool,
}

impl Config {
    fn check(&self) -> Result<(), Error> {
        let Config { in_channels, height, width, latent_channels, rows, columns, norm_num_groups, .. } = *self;
        let channels = &self.block_out_channels;
        let refused = |text: String| Err(Error::Parameters(text));
        if !(1..=MOST_LEVELS).contains(&channels.len()) {
            return refused(format!(
                "block_out_channels has {} items; 1 to {MOST_LEVELS} are possible",
                channels.len()
            ));
        }
        if !(1..=64).contains(&self.layers_per_block) {
            return refused(format!("layers_per_block is {}; it must be from 1 to 64", self.layers_per_block));
        }
        for &outputs in channels {
            elements(&[outputs, outputs, 9])?;
            elements(&[outputs, in_channels.max(2 * latent_channels.min(1 << 28)), 9])?;
            if norm_num_groups < 1 || outputs % norm_num_groups != 0 {
                return refused(format!(
                    "{outputs} of block_out_channels is no multiple of norm_num_groups {norm_num_groups}"
                ));
            }
        }
        for pair in channels.windows(2) {
            elements(&[pair[0], pair[1], 9])?;
        }
        elements(&[in_channels, height, width])?;
        elements(&[latent_channels, rows, columns])?;
        if self.scaling_factor == 0.0 || !self.scaling_factor.is_finite() || !self.shift_factor.is_finite() {
            return refused(
                "scaling_factor must be a finite number other than 0, and shift_factor a finite one".into(),
            );
        }
        latent::check(Sizes { height, width, rows, columns }, 1 << (channels.len() - 1))
    }

    /// The rows whose largest activation fits: at full resolution, with the channels of the level below.
    fn rows_at_a_time(&self) -> i64 {
        let widest = self.block_out_channels.iter().take(2).max().copied().unwrap_or(1);
        let row = widest.saturating_mul(self.height).saturating_mul(self.width);
        (ELEMENTS / row.max(1)).max(1)
    }
}

/// `[channel, height, width]`.
const IMAGE: Port = f32_port_in(&[axis_of("channel", "in_channels"), axis("height"), axis("width")], 0, 1);

impl Module for Kl {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "kl",
        modality: "image",
        summary: "image <-> latent: AutoencoderKL of diffusers",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: IMAGE, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: IMAGE },
        ],
        parameters: r#"{
            "in_channels": {"type": "integer", "minimum": 1, "examples": [3]},
            "height": {"type": "integer", "minimum": 1, "examples": [16]},
            "width": {"type": "integer", "minimum": 1, "examples": [8]},
            "latent_channels": {"type": "integer", "minimum": 1, "examples": [16]},
            "rows": {"type": "integer", "minimum": 1, "examples": [8], "description": "height of the latent"},
            "columns": {"type": "integer", "minimum": 1, "examples": [4], "description": "width of the latent"},
            "block_out_channels": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1,
                "maxItems": 16, "examples": [[64, 64]], "description": "channels of each resolution; each after the first halves height and width"},
            "layers_per_block": {"type": "integer", "minimum": 1, "maximum": 64, "default": 1,
                "description": "residual blocks of each resolution; the decoder has one more"},
            "norm_num_groups": {"type": "integer", "minimum": 1, "default": 32},
            "scaling_factor": {"type": "number", "default": 0.18215,
                "description": "the latent is (mean - shift_factor) x scaling_factor"},
            "shift_factor": {"type": "number", "default": 0.0},
            "use_quant_conv": {"type": "boolean", "default": true},
            "use_post_quant_conv": {"type": "boolean", "default": true},
            "mid_block_add_attention": {"type": "boolean", "default": true}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        config.check()?;
        Ok(Kl {
            down: Down::new(path, &config)?,
            up: Up::new(path, &config)?,
            scale: config.scaling_factor,
            shift: config.shift_factor,
            rows: config.rows_at_a_time(),
        })
    }
}

impl Kl {
    /// Applies `side` to slices of a few rows.
    fn sliced(&self, x: &Tensor, side: impl Fn(&Tensor) -> Result<Tensor, Error>) -> Result<Tensor, Error> {
        if x.size().first().is_none_or(|rows| *rows <= self.rows) {
            return side(x);
        }
        let slices = x.f_split(self.rows, 0)?;
        let done = slices.iter().map(side).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&done, 0)?)
    }
}

impl Encoder for Kl {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.sliced(array, |array| {
            let moments = self.down.forward(&array.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?)?;
            let mean = moments.f_narrow(1, 0, moments.size()[1] / 2)?;
            Ok(mean.f_sub_scalar(self.shift)?.f_mul_scalar(self.scale)?)
        })
    }
}

impl Decoder for Kl {
    fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.sliced(latent, |latent| {
            let image = self.up.forward(&latent.f_div_scalar(self.scale)?.f_add_scalar(self.shift)?)?;
            let image = image.f_add_scalar(1.0)?.f_div_scalar(2.0)?;
            // A training needs the gradients of values beyond the bounds.
            if train { Ok(image) } else { Ok(image.f_clamp(0.0, 1.0)?) }
        })
    }
}

#[cfg(test)]
mod tests;
