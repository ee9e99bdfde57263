//! Keys of a pipeline.

use anyflow_config::{Dtype, Field, Given, Key, Mapping, ValueForm, defaulted, json, optional, required};

use super::{
    ABSENT, ALONG, CLASSES, CONDITION, DENOISER_CHOICE, DRAWS, FORMAT, GUIDANCE, MODEL_PATH, NAME, NAMES, SAMPLER,
    SAMPLING_SEED, TEMPLATES, WORDS,
};

/// A pipeline.
pub(crate) static PIPELINE: Mapping = Mapping {
    name: "pipeline",
    keys: &[
        FORMAT,
        NAME,
        MODEL_PATH,
        optional(
            "inputs",
            ValueForm::Names(&ValueForm::Mapping(&INPUT)),
            "Columns to read, by the names that nodes use",
        ),
        required(
            "nodes",
            ValueForm::Names(&ValueForm::OneOf(&[
                &ENCODE,
                &DECODE,
                &EMBED,
                &DIFFUSE,
                &SCORER_NODE,
                &SCORE,
                &PAIR_NODE,
                &USE,
            ])),
            "Nodes of the graph, by name",
        ),
        required(
            "outputs",
            ValueForm::Names(&ValueForm::Or(&ValueForm::String, &ValueForm::Mapping(&OUTPUT))),
            "Columns to write: column -> node or input; latents and tokens become lists of numbers",
        ),
    ],
};

/// An input of a pipeline.
pub(crate) static INPUT: Mapping = Mapping {
    name: "input",
    keys: &[
        required("modality", ValueForm::String, "Modality of its cells"),
        optional("column", ValueForm::String, "Column of the dataset; by default the input's name"),
        optional(
            "value",
            ValueForm::Any,
            "Cell of every row, in place of a column: a text, a number, or a list of numbers. It is read once",
        ),
    ],
};

/// An output whose number type is chosen.
pub(crate) static OUTPUT: Mapping = Mapping {
    name: "output",
    keys: &[
        required(
            "from",
            ValueForm::String,
            "Node, `node.stream` or `node.port` with latents, tokens, vectors, features or scores",
        ),
        defaulted("dtype", Dtype::FORM, || json(Dtype::F32), "Number type of the column's lists"),
    ],
};

const STREAM: Key = optional("stream", ValueForm::String, "Stream; needed if several use the component");

/// A node that encodes.
pub(crate) static ENCODE: Mapping = Mapping {
    name: "encode",
    keys: &[
        required("encode", ValueForm::String, "Module that makes the latent, or codec for a stream without a module"),
        required("from", ValueForm::String, "Input or node with the cells to encode"),
        STREAM,
        optional(
            "hide",
            ValueForm::String,
            "Node that encodes a mask of one channel. Where the mask is above 0.5, the module sees the middle of the range",
        ),
    ],
};

/// A node that decodes.
pub(crate) static DECODE: Mapping = Mapping {
    name: "decode",
    keys: &[
        required("decode", ValueForm::String, "Module that decodes the latent, or codec for a stream without a module"),
        required("from", ValueForm::String, "Node, or `node.stream`, with the latent to decode"),
        STREAM,
    ],
};

/// A node that makes a prompt.
pub(crate) static EMBED: Mapping = Mapping {
    name: "embed",
    keys: &[
        required("embed", ValueForm::String, "Module that makes the prompt"),
        required("from", ValueForm::String, "Input or node with the cells to embed"),
        optional("prompt", ValueForm::String, "Prompt; needed if several use the module"),
    ],
};

/// A node that generates.
pub(crate) static DIFFUSE: Mapping = Mapping {
    name: "diffuse",
    keys: &[
        required("diffuse", NAMES, "Streams to generate"),
        optional(
            "observe",
            OBSERVE,
            "Observed streams: stream -> node with its latent, or a mapping with a mask to observe it in part (in-painting)",
        ),
        optional(
            "start",
            ValueForm::Names(&ValueForm::String),
            "Initial values for a sampler that starts late (SDEdit): stream -> node with its latent",
        ),
        defaulted(
            "given",
            Given::FORM,
            || json(Given::default()),
            "Noise level at which the network sees observed streams: `clean` (time 0), or `noised` (the time of the \
             generated streams)",
        ),
        optional("condition", CONDITION, "Prompts: node -> weight. Prompts are mixed in proportion to their weights"),
        optional(
            "planes",
            ValueForm::Names(&ValueForm::String),
            "What is concatenated to the channels of the diffused streams: stream -> node with its latent. Guidance keeps it",
        ),
        GUIDANCE,
        ALONG,
        ABSENT,
        DENOISER_CHOICE,
        SAMPLER,
        SAMPLING_SEED,
    ],
};

/// Observed streams with their values.
pub(super) const OBSERVE: ValueForm =
    ValueForm::Names(&ValueForm::Or(&ValueForm::String, &ValueForm::Mapping(&OBSERVED)));

/// A stream that is observed in part; it is generated as well.
pub(crate) static OBSERVED: Mapping = Mapping {
    name: "observe",
    keys: &[
        required("from", ValueForm::String, "Node with the latent; in a task, a stream of the data"),
        optional(
            "mask",
            ValueForm::String,
            "Node with a value of the same shape; in a task, a stream of the data. Elements above 0.5 are observed",
        ),
    ],
};

/// A node that classifies by the predicted x0 of a stream. Its own key comes first, since other nodes have `score` too.
pub(crate) static SCORE: Mapping = Mapping {
    name: "score",
    keys: &[
        required("observe", ValueForm::Names(&ValueForm::String), "Observed streams: stream -> node with its latent"),
        required("score", ValueForm::String, "Stream to predict and to compare with the embedding of each class"),
        required("classes", WORDS, CLASSES),
        TEMPLATES,
        DRAWS,
        DENOISER_CHOICE,
        SAMPLER,
        SAMPLING_SEED,
    ],
};

/// A node that a trained scorer judges. Its own key comes first, since `score` is also a key of a node that classifies by
/// generating.
pub(crate) static SCORER_NODE: Mapping = Mapping {
    name: "score.trained",
    keys: &[
        optional(
            "weights",
            ValueForm::String,
            "File with the weights of the module, relative to this file; they have the name of the stream, as those of a judge",
        ),
        required(
            "score",
            ValueForm::Use,
            "Trained module that scores, or the codec of a stream whose array is the scores. `NODE.label` is the best class, \
             `NODE.scores` the log-probabilities of all classes",
        ),
        required("from", ValueForm::String, "Input or node with the cells to score"),
        optional(
            "stream",
            ValueForm::String,
            "Stream whose codec reads the cells; needed if several have the modality",
        ),
        optional(
            "classes",
            WORDS,
            "Names of the classes in the order of their numbers; `label` is a number without them",
        ),
    ],
};

/// A node that compares the vectors of two prompts.
pub(crate) static PAIR_NODE: Mapping = Mapping {
    name: "score.pair",
    keys: &[
        required(
            "score",
            ValueForm::String,
            "Scorer of the model, which compares two prompts. `NODE.score` is the score of the row with `against`; \
             `NODE.label` the best class, and `NODE.scores` the score of each class",
        ),
        required("from", ValueForm::String, "Input or node with the cells of its first prompt"),
        optional("against", ValueForm::String, "Input or node with the cells of its second prompt"),
        optional("classes", WORDS, CLASSES),
        TEMPLATES,
    ],
};

/// A node that stands for the nodes of another pipeline.
pub(crate) static USE: Mapping = Mapping {
    name: "use",
    keys: &[
        required(
            "use",
            ValueForm::String,
            "Pipeline to use as a part of this one, relative to this file. `NODE.COLUMN` reads one of its outputs. It runs on \
             the model of this pipeline",
        ),
        optional(
            "inputs",
            ValueForm::Names(&ValueForm::String),
            "What each of its inputs reads: input -> input or node of this pipeline",
        ),
        optional(
            "with",
            ValueForm::Names(&ValueForm::Any),
            "Changes of its nodes: node -> keys that replace those of the file",
        ),
    ],
};
