//! The size and the options of a U-Net.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result};

/// The size and the options of a [`Unet`](super::Unet). Keys are those of diffusers' `UNet2DConditionModel`; everything
/// without a key here has the default of diffusers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetConfig {
    /// The channels of each level, from the finest to the coarsest.
    pub block_out_channels: Vec<i64>,
    /// The residual blocks per level on the way down; on the way up there is one more.
    pub layers_per_block: usize,
    /// True for levels that attend, one value for all levels or one for each: `CrossAttnDownBlock2D` or `DownBlock2D`.
    /// The middle always attends.
    pub attention: Vec<bool>,
    /// Heads of attention, one number for all levels or one for each; published configurations call it
    /// `attention_head_dim`.
    pub num_attention_heads: Vec<i64>,
    /// Transformer blocks after a residual block.
    pub transformer_layers_per_block: usize,
    /// The features of a prompt token; without it the network takes no prompt.
    pub cross_attention_dim: Option<i64>,
    /// The features of a context token; without it the network takes no context.
    pub context_dim: Option<i64>,
    /// True to join the frames of streams `[frame, channel, height, width]`; otherwise each frame is independent.
    pub temporal: bool,
    /// The groups of channels that a norm normalizes separately; they divide the channels of every level.
    pub norm_num_groups: i64,
    /// True if the layers around attention have weights with two axes; otherwise four, as 1 x 1 convolutions.
    pub use_linear_projection: bool,
}

impl Default for UnetConfig {
    fn default() -> Self {
        UnetConfig {
            block_out_channels: vec![64, 128, 256],
            layers_per_block: 2,
            attention: vec![true],
            num_attention_heads: vec![8],
            transformer_layers_per_block: 1,
            cross_attention_dim: None,
            context_dim: None,
            temporal: false,
            norm_num_groups: 32,
            use_linear_projection: false,
        }
    }
}

impl UnetConfig {
    /// Rejects invalid sizes.
    pub fn check(&self) -> Result<()> {
        let bad = |field, wanted, found: String| Err(EngineError::Config { field, wanted, found });
        let levels = self.levels();
        if levels == 0 || self.block_out_channels.iter().any(|channels| *channels < 1) {
            return bad(
                "block_out_channels",
                "one number of at least 1 per level",
                format!("{:?}", self.block_out_channels),
            );
        }
        if self.block_out_channels[0] % 2 != 0 {
            return bad("block_out_channels", "even at the first level", format!("{:?}", self.block_out_channels));
        }
        if self.layers_per_block < 1 || self.transformer_layers_per_block < 1 {
            let found = format!("{} and {}", self.layers_per_block, self.transformer_layers_per_block);
            return bad("layers_per_block and transformer_layers_per_block", "at least 1", found);
        }
        if ![1, levels].contains(&self.attention.len()) {
            return bad("attention", "one for all levels or one for each", format!("{:?}", self.attention));
        }
        if ![1, levels].contains(&self.num_attention_heads.len()) {
            let found = format!("{:?}", self.num_attention_heads);
            return bad("num_attention_heads", "one for all levels or one for each", found);
        }
        for (field, width) in [("cross_attention_dim", self.cross_attention_dim), ("context_dim", self.context_dim)] {
            if width.is_some_and(|width| width < 1) {
                return bad(field, "at least 1", format!("{width:?}"));
            }
        }
        for (level, channels) in self.block_out_channels.iter().enumerate() {
            let groups = self.norm_num_groups;
            if groups < 1 || channels % groups != 0 {
                let found = format!("{groups} for {channels} channels");
                return bad("norm_num_groups", "a divisor of the channels of every level", found);
            }
            let heads = self.heads(level);
            let attends = self.attends(level) || self.temporal || level + 1 == levels;
            if attends && (heads < 1 || channels % heads != 0) {
                let found = format!("{heads} for {channels} channels");
                return bad(
                    "num_attention_heads",
                    "a divisor of the channels of every level that attends, or joins frames",
                    found,
                );
            }
        }
        Ok(())
    }

    /// The number of levels.
    pub(super) fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// True if a level attends.
    pub(super) fn attends(&self, level: usize) -> bool {
        *at(&self.attention, level)
    }

    /// The heads of a level.
    pub(super) fn heads(&self, level: usize) -> i64 {
        *at(&self.num_attention_heads, level)
    }
}

/// The value for all levels, or that of the level.
fn at<T>(list: &[T], level: usize) -> &T {
    &list[if list.len() == 1 { 0 } else { level }]
}
