//! Keys of a model.

use anyflow_config::{
    Field, HeadLayers, Mapping, NetworkConfig, Parameterization, Precision, ScheduleConfig, ValueForm, defaulted, json,
    optional, required,
};

use super::{FORMAT, NAME, NAMES};

const SIZE: ValueForm = ValueForm::Integer { minimum: 1, maximum: 1 << 32 };
const AMOUNT: ValueForm = ValueForm::Number { minimum: 0.0, maximum: 1_000.0, above: false };

/// A model.
pub(crate) static MODEL: Mapping = Mapping {
    name: "model",
    keys: &[
        FORMAT,
        NAME,
        optional(
            "checkpoint",
            ValueForm::String,
            "File with the weights, relative to this file; a training does without it",
        ),
        optional(
            "from",
            ValueForm::String,
            "Model file to start from, relative to this file. The other keys of this file change that model",
        ),
        optional("streams", ValueForm::Names(&ValueForm::Mapping(&STREAM)), "Streams by name; required without `from`"),
        optional("prompts", ValueForm::Names(&ValueForm::Mapping(&PROMPT)), "Prompts by name"),
        optional("denoisers", ValueForm::Names(&ValueForm::Mapping(&DENOISER)), "Denoisers by name"),
        optional(
            "heads",
            ValueForm::Names(&ValueForm::Mapping(&HEAD)),
            "Auxiliary streams that a head predicts from a denoiser's features, by name",
        ),
    ],
};

/// A stream of a model.
pub(crate) static STREAM: Mapping = Mapping {
    name: "stream",
    keys: &[
        required("codec", ValueForm::Use, "Codec: cells <-> array"),
        optional("module", ValueForm::Use, "Module: array <-> latent. Without one the array is the latent"),
        required("latent", ValueForm::List(&SIZE), "Shape of the latent"),
        optional("schedule", ScheduleConfig::FORM, "Noise schedule; by default that of its denoiser"),
        optional(
            "aggregate",
            ValueForm::Names(&ValueForm::Mapping(&AGGREGATE)),
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
            ValueForm::Choice(&["start", "bump"]),
            || json("start"),
            "When the embedding is added: `start` before the first noising step, `bump` mid-process only",
        ),
        defaulted(
            "dropout",
            ValueForm::FRACTION,
            || json(0.3),
            "Probability that training leaves the embedding out of a row, so that a head cannot copy it",
        ),
    ],
};

/// A head of a model.
pub(crate) static HEAD: Mapping = Mapping {
    name: "head",
    keys: &[
        required("reads", ValueForm::String, "Features to use: `denoiser.site`, for example `digits.middle`"),
        defaulted("network", HeadLayers::FORM, || json(HeadLayers::default()), "Layers of the head"),
        required("loss", ValueForm::Choice(&["cross-entropy", "mse"]), "Loss; `cross-entropy` for a class"),
        defaulted("weight", AMOUNT, || json(0.1), "Weight of its loss relative to the denoising loss"),
        defaulted(
            "embedding_weight",
            ValueForm::FRACTION,
            || json(1.0),
            "Weight in its loss of rows into which its own embedding is added; other rows have weight 1",
        ),
    ],
};

/// A prompt of a model.
pub(crate) static PROMPT: Mapping = Mapping {
    name: "prompt",
    keys: &[
        required("codec", ValueForm::Use, "Codec: cells -> array"),
        required("module", ValueForm::Use, "Module: array -> tokens"),
        required("tokens", ValueForm::List(&SIZE), "Shape of the module's output: [tokens, features]"),
    ],
};

/// A denoiser of a model.
pub(crate) static DENOISER: Mapping = Mapping {
    name: "denoiser",
    keys: &[
        required("over", NAMES, "Streams to denoise"),
        optional("prompts", NAMES, "Prompts it attends to; all have the same shape"),
        required("network", NetworkConfig::FORM, "Network"),
        defaulted(
            "predict",
            Parameterization::FORM,
            || json(Parameterization::X0),
            "Output of the network: noise, clean latent, v, or flow velocity",
        ),
        defaulted("schedule", ScheduleConfig::FORM, || json(ScheduleConfig::default()), "Noise schedule"),
        defaulted(
            "precision",
            Precision::FORM,
            || json(Precision::F32),
            "Number format of the network's matrix products",
        ),
    ],
};
