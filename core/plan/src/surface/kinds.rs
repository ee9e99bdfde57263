//! The table of kinds: schedules, samplers, networks, objectives, time laws, optimizers. To add one, add it here and in
//! the engine, which deserialises what [`fill`](super::fill::fill) makes (`tag = "kind"`, kebab-case names, snake_case
//! keys).

use crate::surface::form::{Form, Key, Literal, Mapping, Need};

/// What kinds there are kinds of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Schedule,
    Sampler,
    Guidance,
    Network,
    /// A network that is a part of another.
    Part,
    /// What reads a stream from features.
    Head,
    Objective,
    Times,
    Optimizer,
}

/// One kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    pub keys: &'static [Key],
    /// Pairs of keys of which the first must not be larger; `a.b` is key `b` of the mapping at `a`.
    pub ascending: &'static [(&'static str, &'static str)],
}

const fn key(name: &'static str, form: Form, default: Literal, about: &'static str) -> Key {
    Key { name, form, need: Need::Default(default), about }
}

const fn option(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, need: Need::Optional, about }
}

const COUNT: Form = Form::Integer { minimum: 1, maximum: 100_000 };
/// A guidance scale.
const SCALE: Form = Form::Number { minimum: 0.0, maximum: 1_000.0, above: false };
const POSITIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: true };
const NOT_NEGATIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: false };
/// The noise rate of one of 1000 steps: with more, nothing of the signal would be left long before the last.
const STEP_RATE: Form = Form::Number { minimum: 0.0, maximum: 0.1, above: true };
const UPDATES: Form = Form::integer_from(0);

static SCHEDULES: &[Kind] = &[
    Kind {
        name: "vp-linear",
        about: "Variance preserving, noise rate linear in time",
        keys: &[
            key("beta_min", POSITIVE, Literal::Number(0.1), "Noise rate at time 0"),
            key("beta_max", POSITIVE, Literal::Number(20.0), "Noise rate at time 1"),
        ],
        ascending: &[("beta_min", "beta_max")],
    },
    Kind {
        name: "cosine",
        about: "Variance preserving, signal a squared cosine of time",
        keys: &[key(
            "offset",
            Form::Number { minimum: 0.0, maximum: 0.5, above: true },
            Literal::Number(0.008),
            "Shift away from time 0",
        )],
        ascending: &[],
    },
    Kind {
        name: "scaled-linear",
        about: "The 1000 discrete steps of Stable Diffusion, noise rate linear in its square root",
        keys: &[
            key("beta_start", STEP_RATE, Literal::Number(0.00085), "Noise rate of the first step"),
            key("beta_end", STEP_RATE, Literal::Number(0.012), "Noise rate of the last step"),
        ],
        ascending: &[("beta_start", "beta_end")],
    },
    Kind {
        name: "karras",
        about: "Noise levels evenly spaced in a root of them (EDM), scaled to preserve variance",
        keys: &[
            key(
                "sigma_min",
                Form::Number { minimum: 0.0, maximum: 0.5, above: true },
                Literal::Number(0.002),
                "Smallest noise-to-signal ratio above 0",
            ),
            key(
                "sigma_max",
                Form::Number { minimum: 1.0, maximum: 10_000.0, above: false },
                Literal::Number(80.0),
                "Noise-to-signal ratio at time 1",
            ),
            key(
                "rho",
                Form::Number { minimum: 1.0, maximum: 20.0, above: false },
                Literal::Number(7.0),
                "Which root; the larger, the more levels are small",
            ),
        ],
        ascending: &[],
    },
    Kind { name: "flow", about: "A straight line from data to noise (rectified flow)", keys: &[], ascending: &[] },
];

/// Where on the way it begins, an option of any sampler.
const BEGIN: Key = option(
    "begin",
    Form::Number { minimum: 0.0, maximum: 1.0, above: true },
    "Share of the times that it goes through; below 1 it begins later, from values that are given (SDEdit)",
);

/// RePaint's jumps, an option of any sampler.
const RESAMPLE: Key =
    option("resample", Form::Mapping(&JUMPS), "Noise the state back and sample it down again on the way (RePaint)");

static JUMPS: Mapping = Mapping {
    keys: &[
        key("jump", COUNT, Literal::Integer(10), "Steps that a jump goes back"),
        key(
            "times",
            Form::Integer { minimum: 1, maximum: 100 },
            Literal::Integer(10),
            "How often each stretch is sampled",
        ),
    ],
    later: &[],
};

static SAMPLERS: &[Kind] = &[
    Kind {
        name: "ddim",
        about: "DDIM; with eta 1 it is ancestral",
        keys: &[
            key("steps", COUNT, Literal::Integer(50), "Network calls a row"),
            key("eta", Form::FRACTION, Literal::Number(0.0), "Share of fresh noise a step"),
            BEGIN,
            RESAMPLE,
        ],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "euler-maruyama",
        about: "The reverse stochastic equation in equal steps of time",
        keys: &[key("steps", COUNT, Literal::Integer(250), "Network calls a row"), BEGIN, RESAMPLE],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "ddpm",
        about: "Draws from the posterior of every step",
        keys: &[
            key("steps", COUNT, Literal::Integer(1000), "Network calls a row"),
            key(
                "variance",
                Form::Choice(&["small", "large"]),
                Literal::Word("small"),
                "Variance of a step: the posterior's, or the forward step's",
            ),
            BEGIN,
            RESAMPLE,
        ],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "euler",
        about: "Euler's method in the noise-to-signal ratio, first order",
        keys: &[key("steps", COUNT, Literal::Integer(50), "Network calls a row"), BEGIN, RESAMPLE],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "euler-ancestral",
        about: "Euler's method to a lower level, then back up with fresh noise",
        keys: &[
            key("steps", COUNT, Literal::Integer(50), "Network calls a row"),
            key("eta", Form::FRACTION, Literal::Number(1.0), "Share of fresh noise a step"),
            BEGIN,
            RESAMPLE,
        ],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "heun",
        about: "Heun's method in the noise-to-signal ratio, second order",
        keys: &[
            key("steps", COUNT, Literal::Integer(25), "Steps a row, of two network calls each but the last"),
            BEGIN,
            RESAMPLE,
        ],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "dpmpp-2m",
        about: "DPM-Solver++, multistep, second order",
        keys: &[key("steps", COUNT, Literal::Integer(20), "Network calls a row"), BEGIN, RESAMPLE],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "dpmpp-3m",
        about: "DPM-Solver++, multistep, third order",
        keys: &[key("steps", COUNT, Literal::Integer(20), "Network calls a row"), BEGIN, RESAMPLE],
        ascending: &[("resample.jump", "steps")],
    },
    Kind {
        name: "unipc",
        about: "UniPC, predictor and corrector of order 2",
        keys: &[key("steps", COUNT, Literal::Integer(20), "Network calls a row"), BEGIN, RESAMPLE],
        ascending: &[("resample.jump", "steps")],
    },
];

static GUIDANCES: &[Kind] = &[
    Kind {
        name: "cfg",
        about: "Away from what the network predicts when conditions are dropped: u + g (c - u), with g = 1 the plain model",
        keys: &[
            key(
                "scale",
                Form::Or(&SCALE, &Form::Names(&SCALE)),
                Literal::Number(3.0),
                "g for all conditions together, or condition -> g, with a branch for each",
            ),
            DROP,
            STREAM_SCALES,
        ],
        ascending: &[],
    },
    Kind {
        name: "joint",
        about: "Each generated stream away from what the network predicts without the other generated streams",
        keys: &[key("scale", SCALE, Literal::Number(3.0), "g, with 1 the plain model"), DROP, STREAM_SCALES],
        ascending: &[],
    },
];

const DROP: Key = key(
    "drop",
    Form::Choice(&["absent", "noise"]),
    Literal::Word("absent"),
    "What a dropped stream is: absent, for which the model must be trained (p_absent), or noise at the last time",
);
const STREAM_SCALES: Key =
    option("streams", Form::Names(&SCALE), "Generated stream -> g in place of `scale` for that stream");

const WIDTH: Form = Form::Integer { minimum: 1, maximum: 65_536 };

const PROMPT_TOKEN: Key =
    option("cross_attention_dim", WIDTH, "Features of a prompt token; without it no prompt is read");
const CONTEXT_TOKEN: Key =
    option("context_dim", WIDTH, "Features of a token of the other streams; without it the network is not coupled");
const WIDTHS: Form = Form::List(&WIDTH);
const LAYERS: Form = Form::Integer { minimum: 1, maximum: 64 };

static NETWORKS: &[Kind] = &[
    Kind {
        name: "residual-mlp",
        about: "Residual multilayer perceptron over all latents side by side, modulated by the times",
        keys: &[
            key("width", WIDTH, Literal::Integer(256), "Units of a block"),
            key("blocks", Form::Integer { minimum: 1, maximum: 1_024 }, Literal::Integer(4), "Residual blocks"),
            key(
                "modulation",
                Form::Choice(&["shift", "scale-shift"]),
                Literal::Word("shift"),
                "What the times do to a block",
            ),
            key(
                "time",
                Form::Choice(&["fourier", "raw"]),
                Literal::Word("fourier"),
                "As what the times enter: sines and cosines, or themselves",
            ),
            Key {
                name: "embedding",
                form: WIDTH,
                need: Need::Optional,
                about: "Units of the time embedding; as many as `width` if not given",
            },
            key("presence", Form::Flag, Literal::Flag(true), "Whether the network is told which streams are there"),
            PROMPT_TOKEN,
            CONTEXT_TOKEN,
            option("num_attention_heads", WIDTH, "Heads by which prompt and context are read; 8 if not given"),
        ],
        ascending: &[],
    },
    Kind {
        name: "unet-mlp",
        about: "A U of residual blocks over all latents side by side: the score network of MLD",
        keys: &[
            key("width", WIDTH, Literal::Integer(256), "Units of a block"),
            key("embedding", WIDTH, Literal::Integer(256), "Units of the time embedding"),
            key("groups", WIDTH, Literal::Integer(8), "Groups of units normalised apart; a divisor of `width`"),
        ],
        ascending: &[],
    },
    Kind {
        name: "unet",
        about: "A U-Net over latents that are maps, [channel, height, width] or frames of such; keys, layers and names of \
                weights are those of diffusers' UNet2DConditionModel",
        keys: &[
            key(
                "block_out_channels",
                WIDTHS,
                Literal::Integers(&[64, 128, 256]),
                "Channels of each level, the finest first",
            ),
            key("layers_per_block", LAYERS, Literal::Integer(2), "Residual blocks of a level, one more on the way up"),
            key(
                "attention",
                Form::OneOrMore(&Form::Flag),
                Literal::Flags(&[true]),
                "Whether a level attends, one for all levels or one for each; the middle always does",
            ),
            key(
                "num_attention_heads",
                Form::OneOrMore(&WIDTH),
                Literal::Integers(&[8]),
                "Heads of attention, one number for all levels or one for each",
            ),
            key(
                "transformer_layers_per_block",
                LAYERS,
                Literal::Integer(1),
                "Transformer blocks after a residual block",
            ),
            PROMPT_TOKEN,
            CONTEXT_TOKEN,
            key(
                "temporal",
                Form::Flag,
                Literal::Flag(false),
                "Whether layers join the frames of latents [frame, channel, height, width]",
            ),
            key(
                "norm_num_groups",
                WIDTH,
                Literal::Integer(32),
                "Groups of channels normalised apart; divides all channels",
            ),
            key(
                "use_linear_projection",
                Form::Flag,
                Literal::Flag(false),
                "Whether weights around attention have two axes, or four as convolutions of one place",
            ),
        ],
        ascending: &[],
    },
    Kind {
        name: "transformer",
        about: "Attention over the tokens of all streams, each steered by its own time",
        keys: &[
            key("width", WIDTH, Literal::Integer(256), "Features of a token, even"),
            key("blocks", Form::Integer { minimum: 1, maximum: 1_024 }, Literal::Integer(6), "Blocks"),
            key("num_attention_heads", WIDTH, Literal::Integer(8), "Heads of attention; a divisor of `width`"),
            key("patch", WIDTH, Literal::Integer(2), "Side of the square that is one token, in latents that are maps"),
            PROMPT_TOKEN,
            CONTEXT_TOKEN,
        ],
        ascending: &[],
    },
    Kind {
        name: "coupled",
        about: "A network per stream, each reading what the other streams show; streams that are absent cost nothing",
        keys: &[
            Key {
                name: "parts",
                form: Form::Names(&Form::Kind(Family::Part)),
                need: Need::Required,
                about: "Stream -> its network",
            },
            key(
                "environment",
                Form::Mapping(&ENVIRONMENT),
                Literal::Mapping(&ENVIRONMENT),
                "What streams show one another: tokens of their noisy latents",
            ),
        ],
        ascending: &[],
    },
    Kind {
        name: "dual-stream",
        about: "A network per stream, of which some read the features of another's, one way; a stream costs nothing in rows \
                where it is absent or given and nobody reads it",
        keys: &[
            Key {
                name: "parts",
                form: Form::Names(&Form::Kind(Family::Part)),
                need: Need::Required,
                about: "Stream -> its network",
            },
            Key {
                name: "reads",
                form: Form::Names(&Form::Mapping(&READING)),
                need: Need::Required,
                about: "Stream -> what its network reads of another stream's, whose own reads nothing",
            },
        ],
        ascending: &[],
    },
];

static READING: Mapping = Mapping {
    keys: &[
        Key { name: "stream", form: Form::String, need: Need::Required, about: "The stream whose network is read" },
        Key {
            name: "sites",
            form: Form::List(&Form::String),
            need: Need::Required,
            about: "Places in that network: down.0 ..., middle, up.0 ..., last of a unet; block.0 ..., middle, last of others",
        },
        key("features", WIDTH, Literal::Integer(64), "Features of a token that a place becomes"),
        key(
            "detach",
            Form::Flag,
            Literal::Flag(false),
            "Whether the network that is read learns nothing from who reads it",
        ),
    ],
    later: &[],
};

static ENVIRONMENT: Mapping = Mapping {
    keys: &[
        key("width", WIDTH, Literal::Integer(128), "Units of the hidden layers"),
        key("tokens", Form::Integer { minimum: 1, maximum: 1_024 }, Literal::Integer(1), "Tokens of a stream"),
        key("features", WIDTH, Literal::Integer(64), "Features of a token"),
        key(
            "source",
            Form::Choice(&["others", "self"]),
            Literal::Word("others"),
            "Whose tokens a stream reads: those of all others, or its own",
        ),
    ],
    later: &[],
};

static CONTRAST: Mapping = Mapping {
    keys: &[
        key("weight", NOT_NEGATIVE, Literal::Number(1.0), "Of the contrast in the loss"),
        key("temperature", POSITIVE, Literal::Number(0.07), "What cosines are divided by"),
        option(
            "stream",
            Form::String,
            "The stream of which what is recovered is held against what is true; what coupled streams show if not given",
        ),
    ],
    later: &[],
};

static AUGMENT: Mapping = Mapping {
    keys: &[
        Key {
            name: "streams",
            form: Form::List(&Form::String),
            need: Need::Required,
            about: "Streams whose arrays are moved alike; their frozen modules encode them anew at every step",
        },
        key("shift", Form::integer_from(0), Literal::Integer(0), "Largest random shift along the last two axes"),
        key("mirror", Form::Flag, Literal::Flag(false), "Whether every second row is mirrored along the last axis"),
    ],
    later: &[],
};

static OBJECTIVES: &[Kind] = &[
    Kind {
        name: "reconstruct",
        about: "A stream's module gives back what it was given",
        keys: &[
            key(
                "loss",
                Form::Choice(&["l1-l2", "mse", "cross-entropy"]),
                Literal::Word("l1-l2"),
                "How the difference is measured",
            ),
            key("noise", NOT_NEGATIVE, Literal::Number(0.0), "Noise on the latent, in units of its own deviation"),
        ],
        ascending: &[],
    },
    Kind {
        name: "statistics",
        about: "Mean and deviation of every stream's latents; trains nothing",
        keys: &[
            option("streams", Form::List(&Form::String), "Streams that are measured; all if not given"),
            key(
                "per",
                Form::Choice(&["coordinate", "stream"]),
                Literal::Word("coordinate"),
                "Whether each coordinate of a latent has a mean and a deviation of its own, or all of a stream share them",
            ),
        ],
        ascending: &[],
    },
    Kind {
        name: "denoise",
        about: "A denoiser predicts what the noise hides",
        keys: &[
            key("times", Form::Kind(Family::Times), Literal::Kind(Family::Times), "Law of the noise levels"),
            key("scale", Form::Flag, Literal::Flag(true), "Scale the loss by the share of coordinates that are noisy"),
            key(
                "weight",
                Form::Choice(&["uniform", "likelihood"]),
                Literal::Word("uniform"),
                "Weight of the error by time: none, or that which bounds the likelihood",
            ),
            key(
                "denoising",
                NOT_NEGATIVE,
                Literal::Number(1.0),
                "Weight of this loss beside those of heads; with 0, heads alone are trained",
            ),
            option(
                "streams",
                Form::List(&Form::String),
                "Streams of the denoiser that take part, the others being absent; all if not given",
            ),
            option(
                "contrast",
                Form::Mapping(&CONTRAST),
                "What coupled streams show one another, or what is recovered of a stream, is to tell which belong to one row",
            ),
            option("augment", Form::Mapping(&AUGMENT), "Rows are moved at random, so that few pictures teach more"),
            option(
                "p_unprompted",
                Form::FRACTION,
                "Of a denoiser that reads prompts: probability that a row goes without, which guidance needs; 0.1 if \
                 not given. The other rows get one prompt each",
            ),
        ],
        ascending: &[],
    },
    Kind {
        name: "contrast",
        about: "Prompts, or latents, of one row come to lie together and those of different rows apart (symmetric InfoNCE)",
        keys: &[
            Key {
                name: "with",
                form: Form::String,
                need: Need::Required,
                about: "The prompt or stream that they meet",
            },
            key("temperature", POSITIVE, Literal::Number(0.1), "What cosines are divided by"),
        ],
        ascending: &[],
    },
    Kind {
        name: "classify",
        about: "A scorer tells the class of a row",
        keys: &[
            key("noise", NOT_NEGATIVE, Literal::Number(0.0), "Deviation of noise added to the input"),
            key("shift", Form::integer_from(0), Literal::Integer(0), "Largest random shift along the last two axes"),
        ],
        ascending: &[],
    },
];

const DENSITY: Key = key(
    "density",
    Form::Choice(&["uniform", "importance", "logit-normal"]),
    Literal::Word("uniform"),
    "Where times are drawn: evenly; where the likelihood weighs much, the loss being corrected for it; in the middle",
);

static HEADS: &[Kind] = &[
    Kind {
        name: "mlp",
        about: "A hidden layer over all features; of maps, over the mean of each channel; of tokens, over their mean",
        keys: &[key("width", COUNT, Literal::Integer(128), "Width of the hidden layer")],
        ascending: &[],
    },
    Kind {
        name: "conv",
        about: "Two convolutions, from a map of features to a map of the same size",
        keys: &[key("width", COUNT, Literal::Integer(64), "Channels between them")],
        ascending: &[],
    },
];

static TIMES: &[Kind] = &[
    Kind {
        name: "subset-shared",
        about: "A random subset of streams is given clean, the others share one noise level",
        keys: &[
            key("p_cond", Form::FRACTION, Literal::Number(0.5), "Probability that some streams are given"),
            key("p_absent", Form::FRACTION, Literal::Number(0.0), "Probability that some given streams are left out"),
            key("per", Form::Choice(&["sample", "batch"]), Literal::Word("sample"), "For whom the subset is drawn"),
            DENSITY,
        ],
        ascending: &[],
    },
    Kind { name: "independent", about: "A noise level per stream", keys: &[DENSITY], ascending: &[] },
    Kind {
        name: "shared-all",
        about: "One noise level for all streams",
        keys: &[
            key(
                "per",
                Form::Choice(&["sample", "batch"]),
                Literal::Word("sample"),
                "For whom the level is drawn; with a contrast of what streams show, for the batch, or rows are told apart \
                  by their levels",
            ),
            DENSITY,
        ],
        ascending: &[],
    },
    Kind {
        name: "alternating",
        about: "Patterns in turn of what is noisy, clean and absent, a noise level per stream",
        keys: &[
            Key {
                name: "patterns",
                form: Form::List(&Form::Names(&Form::Choice(&["noisy", "clean", "absent"]))),
                need: Need::Required,
                about: "Each stream -> its state; streams that a pattern does not name are absent",
            },
            key(
                "per",
                Form::Choice(&["sample", "batch"]),
                Literal::Word("sample"),
                "What takes turns: rows, so that losses are summed at each step, or steps",
            ),
            DENSITY,
        ],
        ascending: &[],
    },
];

static OPTIMIZERS: &[Kind] = &[Kind {
    name: "adamw",
    about: "Adam with decoupled weight decay",
    keys: &[
        key("lr", POSITIVE, Literal::Number(1.0e-3), "Highest learning rate"),
        key("warmup", UPDATES, Literal::Integer(0), "Steps over which the rate rises"),
        key("decay", Form::Choice(&["constant", "cosine"]), Literal::Word("constant"), "The rate after that"),
        key("weight_decay", NOT_NEGATIVE, Literal::Number(0.0), "Weight decay"),
        key("clip", NOT_NEGATIVE, Literal::Number(1.0), "Largest norm of the gradient; 0 for no limit"),
    ],
    ascending: &[],
}];

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Schedule => "schedule",
            Family::Sampler => "sampler",
            Family::Guidance => "guidance",
            Family::Network => "network",
            Family::Part => "network of a part",
            Family::Head => "network of a head",
            Family::Objective => "objective",
            Family::Times => "time law",
            Family::Optimizer => "optimizer",
        }
    }

    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Family::Schedule => SCHEDULES,
            Family::Sampler => SAMPLERS,
            Family::Guidance => GUIDANCES,
            Family::Network => NETWORKS,
            // All but the last two, which are made of them.
            Family::Part => &NETWORKS[..NETWORKS.len() - 2],
            Family::Head => HEADS,
            Family::Objective => OBJECTIVES,
            Family::Times => TIMES,
            Family::Optimizer => OPTIMIZERS,
        }
    }

    /// The kind that holds when none is written; an objective, a network and a guidance must be written.
    pub fn default_kind(self) -> Option<&'static Kind> {
        match self {
            Family::Objective | Family::Network | Family::Part | Family::Guidance => None,
            _ => self.kinds().first(),
        }
    }
}
