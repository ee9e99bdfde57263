//! Keys of a model.

use anyflow_config::{
    AbsentPrompt, Aggregation, Field, Head, Mapping, Network, PairScorer, Parameterization, Precision, Sampler,
    ScheduleConfig, TimeVectors, ValueForm, defaulted, json, optional, required,
};

use super::{FORMAT, NAME, NAMES};

const SIZE: ValueForm = ValueForm::Integer { minimum: 1, maximum: 1 << 32 };

/// A model.
pub(crate) static MODEL: Mapping = Mapping {
    name: "model",
    keys: &[
        FORMAT,
        NAME,
        optional(
            "checkpoint",
            ValueForm::Or(&ValueForm::String, &ValueForm::Names(&ValueForm::Mapping(&WEIGHTS_PART))),
            "File with the weights, relative to this file; or, for published weights, prefix of weights \
             (`streams.NAME.module.encoder`, ...) -> file. A training does without it",
        ),
        optional(
            "license",
            ValueForm::String,
            "License of the weights, as their authors publish it; a run writes it into its output",
        ),
        optional(
            "from",
            ValueForm::String,
            "Model file to start from, relative to this file. The other keys of this file change that model",
        ),
        optional(
            "streams",
            ValueForm::Names(&ValueForm::Mapping(&STREAM)),
            "Streams by name; required without `from` and `prompts`",
        ),
        optional("prompts", ValueForm::Names(&ValueForm::Mapping(&PROMPT)), "Prompts by name"),
        optional("denoisers", ValueForm::Names(&ValueForm::Mapping(&DENOISER)), "Denoisers by name"),
        optional("scorers", ValueForm::Names(&PairScorer::FORM), "Scorers that compare two prompts, by name"),
        optional(
            "heads",
            ValueForm::Names(&Head::FORM),
            "Auxiliary streams that a head predicts from a denoiser's features, by name",
        ),
    ],
};

/// A part of a model whose weights are in a file of their own.
pub(crate) static WEIGHTS_PART: Mapping = Mapping {
    name: "weights",
    keys: &[
        required(
            "from",
            ValueForm::String,
            "File with weights (safetensors or PyTorch), index of several files, or folder of a published model, relative to \
             this file",
        ),
        optional(
            "part",
            ValueForm::String,
            "Name of the part in that file (`prompts.NAME`, ...), empty for the whole file; by default the same name, or with \
             `map` the whole file",
        ),
        optional(
            "map",
            ValueForm::String,
            "Key map, which turns the names in the file into those of the model: built in (`unet-2d`, `autoencoder-kl`, ...) or \
             a file, relative to this file. `streams.NAME` and `prompts.NAME` then stand for their modules",
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
            ValueForm::Names(&Aggregation::FORM),
            "Auxiliary streams whose embeddings are added into this stream while it is diffused, by name",
        ),
    ],
};

/// A prompt of a model.
pub(crate) static PROMPT: Mapping = Mapping {
    name: "prompt",
    keys: &[
        optional("codec", ValueForm::Use, "Codec: cells -> array"),
        optional("module", ValueForm::Use, "Module: array -> tokens, vector, or both"),
        optional("tokens", ValueForm::List(&SIZE), "Shape of the tokens: [tokens, features]"),
        optional(
            "vector",
            ValueForm::List(&SIZE),
            "Size of the vector of the whole: [features]. Denoisers attend to a vector without `tokens` as to one token. \
             Without a module these are numbers of a column",
        ),
        optional(
            "features",
            NAMES,
            "Prompts whose tokens are side by side in this one, in place of `codec` and `module`; all read the same cells",
        ),
        optional(
            "absent",
            AbsentPrompt::FORM,
            "What a row without a prompt shows the denoiser, as published models were trained; by default no tokens",
        ),
    ],
};

/// A denoiser of a model.
pub(crate) static DENOISER: Mapping = Mapping {
    name: "denoiser",
    keys: &[
        required("over", NAMES, "Streams to denoise"),
        optional("prompts", NAMES, "Prompts it attends to; all have the same shape"),
        optional(
            "planes",
            NAMES,
            "Streams whose latents are concatenated to the channels of the diffused ones, such as what a mask leaves of \
             them. They are never diffused",
        ),
        optional("vectors", TimeVectors::FORM, "Vectors that join the embedding of the time"),
        required("network", Network::FORM, "Network"),
        defaulted(
            "predict",
            Parameterization::FORM,
            || json(Parameterization::X0),
            "Output of the network: noise, clean latent, v, or flow velocity",
        ),
        defaulted("schedule", ScheduleConfig::FORM, || json(ScheduleConfig::default()), "Noise schedule"),
        optional(
            "sampler",
            Sampler::FORM,
            "Sampler of pipelines and evaluations that name none. They may change some of its keys",
        ),
        defaulted(
            "precision",
            Precision::FORM,
            || json(Precision::F32),
            "Number format of the network's matrix products",
        ),
    ],
};
