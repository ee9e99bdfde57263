//! Training objectives.

use super::{Family, Kind, NOT_NEGATIVE, PLAIN, POSITIVE};
use crate::surface::form::{Form, Key, Literal, Mapping, defaulted, optional, required};

const SHIFT: Key = defaulted(
    "shift",
    Form::integer_from(0),
    Literal::Integer(0),
    "Data augmentation: largest random shift along the last two axes",
);

static CONTRAST: Mapping = Mapping {
    name: "objective.denoise.contrast",
    keys: &[
        defaulted("weight", NOT_NEGATIVE, Literal::Number(1.0), "Weight of the contrastive loss"),
        defaulted("temperature", POSITIVE, Literal::Number(0.07), "Temperature: divisor of the cosines"),
        optional(
            "stream",
            Form::String,
            "Stream whose predicted x0 is compared with the true latents; by default the tokens of coupled streams are \
             compared",
        ),
    ],
};

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "reconstruct",
        about: "Reconstruction: the stream's module autoencodes its input",
        keys: &[
            defaulted("loss", Form::Choice(&["l1-l2", "mse", "cross-entropy"]), Literal::Word("l1-l2"), "Loss"),
            defaulted(
                "noise",
                NOT_NEGATIVE,
                Literal::Number(0.0),
                "Noise on the latent, in units of its standard deviation",
            ),
            SHIFT,
        ],
        ..PLAIN
    },
    Kind {
        name: "statistics",
        about: "Mean and standard deviation of the latents of every stream; trains nothing",
        keys: &[
            optional("streams", Form::List(&Form::String), "Streams to measure; by default all"),
            defaulted(
                "per",
                Form::Choice(&["coordinate", "stream"]),
                Literal::Word("coordinate"),
                "One mean and standard deviation per latent coordinate, or one for the whole stream",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "denoise",
        about: "Denoising: a denoiser predicts the noise, or what it hides",
        keys: &[
            defaulted(
                "times",
                Form::Kind(Family::Times),
                Literal::Kind(Family::Times),
                "Distribution of training times (noise levels)",
            ),
            defaulted(
                "weight",
                Form::Choice(&["uniform", "likelihood"]),
                Literal::Word("uniform"),
                "Weight of the error by time: uniform, or the weight of the likelihood bound",
            ),
            defaulted(
                "denoise_weight",
                NOT_NEGATIVE,
                Literal::Number(1.0),
                "Weight of the denoising loss relative to the losses of heads; with 0, only heads are trained",
            ),
            optional(
                "streams",
                Form::List(&Form::String),
                "Streams of the denoiser to train; the others are absent. By default all",
            ),
            optional(
                "contrast",
                Form::Mapping(&CONTRAST),
                "Contrastive loss (InfoNCE) between coupled streams, or on the predicted x0 of one stream",
            ),
            optional(
                "p_uncond",
                Form::FRACTION,
                "For a denoiser with prompts: probability that a row is trained without a prompt, which guidance needs; by \
                 default 0.1. Every other row gets one prompt",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "contrast",
        about: "Symmetric contrastive loss (InfoNCE): embeddings of one row attract, those of different rows repel",
        keys: &[
            required("with", Form::String, "Prompt or stream on the other side of the loss"),
            defaulted("temperature", POSITIVE, Literal::Number(0.1), "Temperature: divisor of the cosines"),
        ],
        ..PLAIN
    },
    Kind {
        name: "classify",
        about: "Classification: a scorer predicts the class of a row",
        keys: &[
            defaulted("noise", NOT_NEGATIVE, Literal::Number(0.0), "Standard deviation of noise added to the input"),
            SHIFT,
        ],
        ..PLAIN
    },
];
