//! Networks of denoisers.

use super::{Family, Kind, PLAIN};
use crate::surface::form::{Form, Key, Literal, Mapping, defaulted, optional, required};

const WIDTH: Form = Form::Integer { minimum: 1, maximum: 65_536 };
const WIDTHS: Form = Form::List(&WIDTH);
const LAYERS: Form = Form::Integer { minimum: 1, maximum: 64 };
const BLOCKS: Form = Form::Integer { minimum: 1, maximum: 1_024 };

const PARTS: Key = required("parts", Form::Names(&Form::Kind(Family::Part)), "Networks: stream -> network");

/// All networks; those made of parts are last.
pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "residual-mlp",
        about: "Residual MLP over all latents concatenated, conditioned on the times",
        keys: &[
            defaulted("width", WIDTH, Literal::Integer(256), "Units of a block"),
            defaulted("blocks", BLOCKS, Literal::Integer(4), "Residual blocks"),
            optional("num_attention_heads", WIDTH, "Heads of the attention to prompts and other streams; by default 8"),
        ],
        ..PLAIN
    },
    Kind {
        name: "unet-mlp",
        about: "U-shaped MLP over all latents concatenated: the score network of MLD",
        keys: &[
            defaulted("width", WIDTH, Literal::Integer(256), "Units of a block"),
            defaulted("embedding", WIDTH, Literal::Integer(256), "Units of the time embedding"),
            defaulted("groups", WIDTH, Literal::Integer(8), "Groups of the group normalization; a divisor of `width`"),
        ],
        ..PLAIN
    },
    Kind {
        name: "unet",
        about: "U-Net over latents that are maps, [channel, height, width] or [frame, channel, height, width]; keys, layers \
                and names of weights are those of UNet2DConditionModel in diffusers",
        keys: &[
            defaulted(
                "block_out_channels",
                WIDTHS,
                Literal::Integers(&[64, 128, 256]),
                "Channels of each level, from fine to coarse",
            ),
            defaulted(
                "layers_per_block",
                LAYERS,
                Literal::Integer(2),
                "Residual blocks per level on the way down; one more on the way up",
            ),
            defaulted(
                "attention",
                Form::OneOrMore(&Form::Flag),
                Literal::Flags(&[true]),
                "True for levels with attention: one value for all levels, or one per level. The middle always has it",
            ),
            defaulted(
                "num_attention_heads",
                Form::OneOrMore(&WIDTH),
                Literal::Integers(&[8]),
                "Attention heads: one number for all levels, or one per level",
            ),
            defaulted(
                "transformer_layers_per_block",
                LAYERS,
                Literal::Integer(1),
                "Transformer layers after each residual block; above 1 only to load published weights",
            ),
            defaulted(
                "temporal",
                Form::Flag,
                Literal::Flag(false),
                "Add layers across the frames of latents [frame, channel, height, width]",
            ),
            defaulted(
                "norm_num_groups",
                WIDTH,
                Literal::Integer(32),
                "Groups of the group normalization; a divisor of the channels of every level",
            ),
            defaulted(
                "use_linear_projection",
                Form::Flag,
                Literal::Flag(false),
                "Project around attention with linear layers instead of 1x1 convolutions, as some published weights need",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "transformer",
        about: "Transformer over the tokens of all streams; each token is conditioned on the time of its stream",
        keys: &[
            defaulted("width", WIDTH, Literal::Integer(256), "Features of a token; even"),
            defaulted("blocks", BLOCKS, Literal::Integer(6), "Transformer blocks"),
            defaulted("num_attention_heads", WIDTH, Literal::Integer(8), "Attention heads; a divisor of `width`"),
            defaulted("patch", WIDTH, Literal::Integer(2), "Side of the square patch that is one token of a map"),
        ],
        ..PLAIN
    },
    Kind {
        name: "coupled",
        about: "One network per stream, each attending to tokens of the other streams; absent streams cost nothing",
        keys: &[
            PARTS,
            defaulted(
                "environment",
                Form::Mapping(&ENVIRONMENT),
                Literal::Mapping(&ENVIRONMENT),
                "Encoder of the tokens that a stream shows the others, made from its noisy latent",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "dual-stream",
        about: "One network per stream; some attend, one way, to the features of another stream's network. Rows cost \
                nothing for streams that are absent, or observed and not attended to",
        keys: &[
            PARTS,
            required(
                "reads",
                Form::Names(&Form::Mapping(&READING)),
                "Stream -> features of another stream's network to attend to; reads cannot be chained",
            ),
        ],
        ..PLAIN
    },
];

/// The networks that can be a part of another one: all except `coupled` and `dual-stream`.
pub(super) fn parts() -> &'static [Kind] {
    let is_composite = |kind: &Kind| kind.keys.iter().any(|key| key.name == PARTS.name);
    let composites = KINDS.iter().rev().take_while(|kind| is_composite(kind)).count();
    &KINDS[..KINDS.len() - composites]
}

static READING: Mapping = Mapping {
    name: "network.dual-stream.reads",
    keys: &[
        required("stream", Form::String, "Stream whose network is read"),
        required(
            "sites",
            Form::List(&Form::String),
            "Sites in that network: down.0 ..., middle, up.0 ..., last of a unet; block.0 ..., middle, last of others",
        ),
        defaulted("features", WIDTH, Literal::Integer(64), "Features of the token that a site becomes"),
    ],
};

static ENVIRONMENT: Mapping = Mapping {
    name: "network.coupled.environment",
    keys: &[
        defaulted("width", WIDTH, Literal::Integer(128), "Units of the hidden layers"),
        defaulted("tokens", Form::Integer { minimum: 1, maximum: 1_024 }, Literal::Integer(1), "Tokens per stream"),
        defaulted("features", WIDTH, Literal::Integer(64), "Features of a token"),
    ],
};
