//! `UNet2DConditionModel` of diffusers.

use serde_json::{Value, json};

use super::config::Config;
use super::error::Result;
use super::model::{mapping, unless};

/// A denoiser's network, and what the model around it must give.
pub(super) struct AdoptedUnet {
    pub network: Value,
    /// Channels of the input: those of the latent, and for in-painting those beside it.
    pub in_channels: i64,
    /// Height and width of the latent.
    pub side: i64,
    /// Features of a token of the prompt.
    pub cross_attention_dim: i64,
}

const ATTENDS: [&str; 2] = ["CrossAttnDownBlock2D", "CrossAttnUpBlock2D"];
const PLAIN: [&str; 2] = ["DownBlock2D", "UpBlock2D"];

/// Switches of the class that we do not build, with the value that we do.
fn usual() -> [(&'static str, Value); 28] {
    [
        ("dual_cross_attention", json!(false)),
        ("class_embed_type", Value::Null),
        ("class_embeddings_concat", json!(false)),
        ("num_class_embeds", Value::Null),
        ("resnet_time_scale_shift", json!("default")),
        ("resnet_skip_time_act", json!(false)),
        ("resnet_out_scale_factor", json!(1)),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("mid_block_scale_factor", json!(1)),
        ("mid_block_only_cross_attention", Value::Null),
        ("only_cross_attention", json!(false)),
        ("cross_attention_norm", Value::Null),
        ("attention_type", json!("default")),
        ("conv_in_kernel", json!(3)),
        ("conv_out_kernel", json!(3)),
        ("time_embedding_type", json!("positional")),
        ("time_embedding_dim", Value::Null),
        ("time_embedding_act_fn", Value::Null),
        ("timestep_post_act", Value::Null),
        ("time_cond_proj_dim", Value::Null),
        ("encoder_hid_dim", Value::Null),
        ("encoder_hid_dim_type", Value::Null),
        ("reverse_transformer_layers_per_block", Value::Null),
        ("center_input_sample", json!(false)),
        ("flip_sin_to_cos", json!(true)),
        ("freq_shift", json!(0)),
        ("act_fn", json!("silu")),
        ("downsample_padding", json!(1)),
    ]
}

/// Reads the configuration of a U-Net.
pub(super) fn adopt(config: &Config) -> Result<AdoptedUnet> {
    usual().iter().try_for_each(|(key, usual)| config.usual(key, usual))?;
    const COUNT: &str = "a whole number";
    let channels: Vec<i64> = config.get("block_out_channels", vec![320, 640, 1280, 1280], "a list of whole numbers")?;
    let attention = attention(config)?;
    let heads = match config.given("num_attention_heads") {
        Some(_) => config.levels("num_attention_heads", 8)?,
        // The class takes this number for the heads, whatever its name says.
        None => config.levels("attention_head_dim", 8)?,
    };
    let layers = alike(config, "layers_per_block", 2)?;
    let eps: f64 = config.get("norm_eps", 1e-5, "a number")?;
    let groups: i64 = config.get("norm_num_groups", 32, COUNT)?;
    let depths = config.levels("transformer_layers_per_block", 1)?;
    let is_linear: bool = config.get("use_linear_projection", false, "true or false")?;
    let network = mapping([
        ("kind", json!("unet")),
        ("block_out_channels", json!(channels)),
        ("attention", json!(attention)),
        ("layers_per_block", json!(layers)),
        ("num_attention_heads", json!(heads)),
        ("transformer_layers_per_block", unless(depths, vec![1])),
        ("norm_num_groups", unless(groups, 32)),
        ("norm_eps", unless(eps, 1e-5)),
        ("use_linear_projection", unless(is_linear, false)),
    ]);
    Ok(AdoptedUnet {
        network,
        in_channels: config.get("in_channels", 4, COUNT)?,
        side: config.get("sample_size", 64, "one whole number, the same for height and width")?,
        cross_attention_dim: alike(config, "cross_attention_dim", 1280)?,
    })
}

/// Which levels attend. The way up must mirror the way down.
fn attention(config: &Config) -> Result<Vec<bool>> {
    let blocks = |key: &'static str, default: [&str; 4]| -> Result<Vec<bool>> {
        let default = default.map(String::from).to_vec();
        let blocks: Vec<String> = config.get(key, default, "a list of classes")?;
        let attends = |block: &String| match block.as_str() {
            block if ATTENDS.contains(&block) => Some(true),
            block if PLAIN.contains(&block) => Some(false),
            _ => None,
        };
        let known = || config.unusual(key, [&ATTENDS[..], &PLAIN].concat().join(", "));
        blocks.iter().map(attends).collect::<Option<_>>().ok_or_else(known)
    };
    let [attending, plain] = [ATTENDS, PLAIN];
    let down = blocks("down_block_types", [attending[0], attending[0], attending[0], plain[0]])?;
    let mut up = blocks("up_block_types", [plain[1], attending[1], attending[1], attending[1]])?;
    up.reverse();
    if up == down {
        Ok(down)
    } else {
        Err(config.unusual("up_block_types", "the mirror image of `down_block_types`".into()))
    }
}

/// A number that may be written once per level, but must be the same for all.
fn alike(config: &Config, key: &str, default: i64) -> Result<i64> {
    match config.levels(key, default)?.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
        _ => Err(config.unusual(key, "one number for all levels".into())),
    }
}
