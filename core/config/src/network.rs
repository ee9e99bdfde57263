//! Networks of denoisers. To add one, declare it here, state its facts in a file of the folder `network`, and write its
//! layers in `core/diffusion/src/network`.

mod architecture;
mod residual_mlp;
mod transformer;
mod unet;
mod unet_mlp;

use indexmap::IndexMap;

use crate::{SiteSpec, ValueForm};
pub use architecture::{Architecture, Misfit, PartUse};
pub use transformer::PatchLayout;

const WIDTH: ValueForm = ValueForm::integer(1, 65_536);
const WIDTHS: ValueForm = ValueForm::List(&WIDTH);
const LAYERS: ValueForm = ValueForm::integer(1, 64);
const BLOCKS: ValueForm = ValueForm::integer(1, 1_024);

kinds! {
    /// A network over the streams of a denoiser, or over one stream inside a `coupled` or `dual-stream` network.
    pub enum Part("network of a part", "network") {
        /// Residual MLP over all latents concatenated, conditioned on the times.
        ResidualMlp = "residual-mlp" {
            /// Units of a block.
            width: i64 [WIDTH] = 256;
            /// Residual blocks.
            blocks: usize [BLOCKS] = 4;
            /// Heads of the attention to prompts and other streams; by default 8.
            num_attention_heads: Option<i64> [WIDTH];
        }

        /// U-shaped MLP over all latents concatenated: the score network of MLD.
        UnetMlp = "unet-mlp" {
            /// Units of a block.
            width: i64 [WIDTH] = 256;
            /// Units of the time embedding.
            embedding: i64 [WIDTH] = 256;
            /// Groups of the group normalization; a divisor of `width`.
            groups: i64 [WIDTH] = 8;
        }

        /// U-Net over latents that are maps, [channel, height, width] or [frame, channel, height, width]; keys, layers and
        /// names of weights are those of UNet2DConditionModel in diffusers.
        Unet = "unet" {
            /// Channels of each level, from fine to coarse.
            block_out_channels: Vec<i64> [WIDTHS] = vec![64, 128, 256];
            /// Residual blocks per level on the way down; one more on the way up.
            layers_per_block: usize [LAYERS] = 2;
            /// True for levels with attention: one value for all levels, or one per level. The middle always has it.
            attention: Vec<bool> [ValueForm::OneOrMore(&ValueForm::Flag)] = vec![true];
            /// Attention heads: one number for all levels, or one per level.
            num_attention_heads: Vec<i64> [ValueForm::OneOrMore(&WIDTH)] = vec![8];
            /// Transformer layers after each residual block, one number for all levels, or one per level; above 1 only to load
            /// published weights.
            transformer_layers_per_block: Vec<usize> [ValueForm::OneOrMore(&LAYERS)] = vec![1];
            /// Add layers across the frames of latents [frame, channel, height, width].
            temporal: bool = false;
            /// Groups of the group normalization; a divisor of the channels of every level.
            norm_num_groups: i64 [WIDTH] = 32;
            /// Number added to the variance in the norms of residual blocks and of the output.
            norm_eps: f64 [ValueForm::above(0.0, 0.1)] = 1e-5;
            /// Project around attention with linear layers instead of 1x1 convolutions, as some published weights need.
            use_linear_projection: bool = false;
        }

        /// Transformer over the tokens of all streams; each token is conditioned on the time of its stream.
        Transformer = "transformer" {
            /// Features of a token; even.
            width: i64 [WIDTH] = 256;
            /// Transformer blocks.
            blocks: usize [BLOCKS] = 6;
            /// Attention heads; a divisor of `width`.
            num_attention_heads: i64 [WIDTH] = 8;
            /// Side of the square patch that is one token of a map.
            patch: i64 [WIDTH] = 2;
        }
    }
}

impl Part {
    fn architecture(&self) -> &dyn Architecture {
        match self {
            Part::ResidualMlp(network) => network,
            Part::UnetMlp(network) => network,
            Part::Unet(network) => network,
            Part::Transformer(network) => network,
        }
    }
}

impl Architecture for Part {
    fn sites(&self, streams: &[&[i64]]) -> Vec<SiteSpec> {
        self.architecture().sites(streams)
    }

    fn misfits(&self, attends: bool) -> Vec<Misfit> {
        self.architecture().misfits(attends)
    }

    fn needs(&self, shape: &[i64], first: &[i64]) -> Option<String> {
        self.architecture().needs(shape, first)
    }

    fn can_attend(&self) -> bool {
        self.architecture().can_attend()
    }

    fn takes_vectors(&self) -> bool {
        self.architecture().takes_vectors()
    }

    fn takes_planes(&self) -> bool {
        self.architecture().takes_planes()
    }
}

kinds! {
    /// The network of a denoiser.
    pub enum Network("network", "network") includes Part {
        /// One network per stream, each attending to tokens of the other streams; absent streams cost nothing.
        Coupled = "coupled" {
            /// Networks: stream -> network.
            parts: IndexMap<String, Part>;
            /// Encoder of the tokens that a stream shows the others, made from its noisy latent.
            environment: Environment = Environment::default();
        }

        /// One network per stream; some attend, one way, to the features of another stream's network. Rows cost nothing for
        /// streams that are absent, or observed and not attended to.
        DualStream = "dual-stream" {
            /// Networks: stream -> network.
            parts: IndexMap<String, Part>;
            /// Stream -> features of another stream's network to attend to; reads cannot be chained.
            reads: IndexMap<String, FeatureReading>;
        }
    }
}

keys! {
    /// Features of another stream's network that a network attends to.
    pub struct FeatureReading("network.dual-stream.reads") {
        /// Stream whose network is read.
        stream: String;
        /// Sites in that network: down.0 ..., middle, up.0 ..., last of a unet; block.0 ..., middle, last of others.
        sites: Vec<String>;
        /// Features of the token that a site becomes.
        features: i64 [WIDTH] = 64;
    }
}

keys! {
    /// The encoder of the tokens that a stream shows the others.
    pub struct Environment("network.coupled.environment") {
        /// Units of the hidden layers.
        width: i64 [WIDTH] = 128;
        /// Tokens per stream.
        tokens: i64 [ValueForm::integer(1, 1_024)] = 1;
        /// Features of a token.
        features: i64 [WIDTH] = 64;
    }
}
