//! Keys of a model.

use super::{FORMAT, NAME, NAMES};
use crate::surface::form::{Form, Literal, Mapping, defaulted, optional, required};
use crate::surface::kinds::Family;

const SIZE: Form = Form::Integer { minimum: 1, maximum: 1 << 32 };
const AMOUNT: Form = Form::Number { minimum: 0.0, maximum: 1_000.0, above: false };

/// A model.
pub(crate) static MODEL: Mapping = Mapping {
    name: "model",
    keys: &[
        FORMAT,
        NAME,
        optional(
            "checkpoint",
            Form::String,
            "File with the weights, relative to this file; a training does without it",
        ),
        optional(
            "from",
            Form::String,
            "Model file to start from, relative to this file. The other keys of this file change that model",
        ),
        optional("streams", Form::Names(&Form::Mapping(&STREAM)), "Streams by name; required without `from`"),
        optional("prompts", Form::Names(&Form::Mapping(&PROMPT)), "Prompts by name"),
        optional("denoisers", Form::Names(&Form::Mapping(&DENOISER)), "Denoisers by name"),
        optional(
            "heads",
            Form::Names(&Form::Mapping(&HEAD)),
            "Auxiliary streams that a head predicts from a denoiser's features, by name",
        ),
    ],
};

/// A stream of a model.
pub(crate) static STREAM: Mapping = Mapping {
    name: "stream",
    keys: &[
        required("codec", Form::Use, "Codec: cells <-> array"),
        optional("module", Form::Use, "Module: array <-> latent. Without one the array is the latent"),
        required("latent", Form::List(&SIZE), "Shape of the latent"),
        optional("schedule", Form::Kind(Family::Schedule), "Noise schedule; by default that of its denoiser"),
        optional(
            "aggregate",
            Form::Names(&Form::Mapping(&AGGREGATE)),
            "Auxiliary streams whose embeddings are added into this stream while it is diffused, by name",
        ),
    ],
};

/// An embedding that is added into a stream.
pub(crate) static AGGREGATE: Mapping = Mapping {
    name: "aggregate",
    keys: &[
        required("weight", AMOUNT, "Weight w of the embedding in the sum"),
        defaulted(
            "law",
            Form::Choice(&["start", "bump"]),
            Literal::Word("start"),
            "When the embedding is added: `start` before the first noising step, `bump` mid-process only",
        ),
        defaulted(
            "dropout",
            Form::FRACTION,
            Literal::Number(0.3),
            "Probability that training leaves the embedding out of a row, so that a head cannot copy it",
        ),
    ],
};

/// A head of a model.
pub(crate) static HEAD: Mapping = Mapping {
    name: "head",
    keys: &[
        required("reads", Form::String, "Features to use: `denoiser.site`, for example `digits.middle`"),
        defaulted("network", Form::Kind(Family::Head), Literal::Kind(Family::Head), "Layers of the head"),
        required("loss", Form::Choice(&["cross-entropy", "mse"]), "Loss; `cross-entropy` for a class"),
        defaulted("weight", AMOUNT, Literal::Number(0.1), "Weight of its loss relative to the denoising loss"),
        defaulted(
            "embedding_weight",
            Form::FRACTION,
            Literal::Number(1.0),
            "Weight in its loss of rows into which its own embedding is added; other rows have weight 1",
        ),
    ],
};

/// A prompt of a model.
pub(crate) static PROMPT: Mapping = Mapping {
    name: "prompt",
    keys: &[
        required("codec", Form::Use, "Codec: cells -> array"),
        required("module", Form::Use, "Module: array -> tokens"),
        required("tokens", Form::List(&SIZE), "Shape of the module's output: [tokens, features]"),
    ],
};

/// A denoiser of a model.
pub(crate) static DENOISER: Mapping = Mapping {
    name: "denoiser",
    keys: &[
        required("over", NAMES, "Streams to denoise"),
        optional("prompts", NAMES, "Prompts it attends to; all have the same shape"),
        required("network", Form::Kind(Family::Network), "Network"),
        defaulted(
            "predict",
            Form::Choice(&["eps", "x0", "v", "flow"]),
            Literal::Word("x0"),
            "Output of the network: noise, clean latent, v, or flow velocity",
        ),
        defaulted("schedule", Form::Kind(Family::Schedule), Literal::Kind(Family::Schedule), "Noise schedule"),
        defaulted(
            "precision",
            Form::Choice(&["f32", "bf16"]),
            Literal::Word("f32"),
            "Number format of the network's matrix products",
        ),
    ],
};
