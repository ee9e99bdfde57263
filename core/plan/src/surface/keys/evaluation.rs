//! Keys of an evaluation.

use anyflow_config::{
    EvaluationOptions, Field, Given, Guidance, Key, Keyed, Mapping, Sampler, ScoreTaskOptions, TaskOptions, ValueForm,
    defaulted, joined, json, optional, required,
};

use super::pipeline::OBSERVE;
use super::{
    ABSENT, ALONG, CONDITION, DENOISER_CHOICE, DRAWS, FORMAT, GUIDANCE, MODEL_PATH, NAME, NAMES, SAMPLER, SOURCES,
    TABLE, TEMPLATES, WORDS,
};

static EVALUATION_NAMES: &[Key] = &[
    FORMAT,
    NAME,
    MODEL_PATH,
    SOURCES,
    required("data", ValueForm::Mapping(&TABLE), "Held-out rows; `class` is the true class"),
    required("judges", ValueForm::Names(&ValueForm::Mapping(&JUDGE)), "Independent classifiers, by stream"),
    optional(
        "reference",
        ValueForm::Names(&ValueForm::String),
        "Training rows: stream -> `source.column`. Their Frechet distance from the held-out rows is the floor; for \
             other streams the floor is the distance between two halves of the held-out rows",
    ),
    DENOISER_CHOICE,
    SAMPLER,
    GUIDANCE,
    defaulted(
        "given",
        Given::FORM,
        || json(Given::default()),
        "Noise level at which the network sees observed streams, unless a task overrides it",
    ),
    optional("tasks", ValueForm::Names(&ValueForm::OneOf(&[&TASK, &SCORING])), "Tasks by name"),
    defaulted(
        "subsets",
        ValueForm::Flag,
        || json(false),
        "Add a task for all judged streams together, and one for each proper subset of them as observed streams",
    ),
    optional(
        "conflicts",
        ValueForm::Names(&ValueForm::Mapping(&CONFLICT)),
        "Mixtures of two prompts of different classes, by name: weights (1 - a, a) for a from 0 to 1",
    ),
    optional(
        "variants",
        ValueForm::Names(&ValueForm::Mapping(&VARIANT)),
        "Variants to compare, by name. The thresholds of the tasks apply to the first one only",
    ),
];
static EVALUATION_KEYS: [Key; EVALUATION_NAMES.len() + EvaluationOptions::KEYS.len()] =
    joined(EVALUATION_NAMES, EvaluationOptions::KEYS);

/// An evaluation.
pub(crate) static EVALUATION: Mapping = Mapping { name: "evaluation", keys: &EVALUATION_KEYS };

/// A variant of an evaluation.
pub(crate) static VARIANT: Mapping = Mapping {
    name: "variant",
    keys: &[
        optional(
            "model",
            ValueForm::String,
            "Another model file, relative to this file, with the same streams and codecs",
        ),
        optional(
            "weights",
            ValueForm::OneOrMore(&ValueForm::String),
            "Weight files that replace the checkpoint, relative to this file: whole models or finished stages",
        ),
        optional(
            "codecs",
            ValueForm::Names(&ValueForm::Use),
            "Codecs that read observed streams instead of the model's, by stream",
        ),
        optional("denoiser", ValueForm::String, "Denoiser; by default that of the evaluation"),
        optional("sampler", Sampler::FORM, "Sampler; by default that of the evaluation"),
        optional(
            "given",
            Given::FORM,
            "Noise level at which the network sees observed streams; by default that of the task",
        ),
        optional(
            "guidance",
            Guidance::FORM,
            "Guidance of every task that it applies to, instead of the task's; by default that of the task",
        ),
    ],
};

/// A judge of an evaluation.
pub(crate) static JUDGE: Mapping = Mapping {
    name: "judge",
    keys: &[
        required("score", ValueForm::Use, "Module that scores, or the stream's codec if its array is the scores"),
        optional("weights", ValueForm::String, "File with its weights, relative to this file"),
    ],
};

/// A plane of a task, a part of which is hidden.
pub(crate) static PLANE: Mapping = Mapping {
    name: "plane",
    keys: &[
        required("from", ValueForm::String, "Stream of the data"),
        optional(
            "hide",
            ValueForm::String,
            "Stream of the data with a mask of one channel. Where the mask is above 0.5, the module sees the middle of the range",
        ),
    ],
};

/// A conflict of an evaluation.
pub(crate) static CONFLICT: Mapping = Mapping {
    name: "conflict",
    keys: &[
        required("generate", NAMES, "Streams to generate and judge"),
        required("between", NAMES, "Two prompts; the second is made from a row of another class"),
        ALONG,
        ABSENT,
        GUIDANCE,
    ],
};

static TASK_NAMES: &[Key] = &[
    required("generate", NAMES, "Streams to generate and judge"),
    optional(
        "observe",
        ValueForm::Either(&[NAMES, OBSERVE]),
        "Streams observed from the data: a list, or stream -> stream of the data, or a mapping with a mask to observe it \
             in part (in-painting)",
    ),
    optional(
        "start",
        ValueForm::Names(&ValueForm::String),
        "Initial values for a sampler that starts late (SDEdit): stream -> stream of the data",
    ),
    optional("condition", CONDITION, "Prompts made from the data: prompt -> weight"),
    optional(
        "planes",
        ValueForm::Names(&ValueForm::Or(&ValueForm::String, &ValueForm::Mapping(&PLANE))),
        "What is concatenated to the channels of the diffused streams: stream -> stream of the data, or a mapping that hides \
             a part of it. Guidance keeps it",
    ),
    ALONG,
    ABSENT,
    GUIDANCE,
    optional(
        "given",
        Given::FORM,
        "Noise level at which the network sees observed streams; by default that of the evaluation",
    ),
];
static TASK_KEYS: [Key; TASK_NAMES.len() + TaskOptions::KEYS.len()] = joined(TASK_NAMES, TaskOptions::KEYS);

/// A task of an evaluation.
pub(crate) static TASK: Mapping = Mapping { name: "task", keys: &TASK_KEYS };

static SCORING_NAMES: &[Key] = &[
    required("score", ValueForm::String, "Stream to predict and to compare with the embedding of each class"),
    required("observe", NAMES, "Streams observed from the data"),
    optional(
        "classes",
        WORDS,
        "Class names, in the order of `class`. Without them the task is retrieval: each row must find its own value \
             among those of all rows, and the value its row",
    ),
    TEMPLATES,
    DRAWS,
];
static SCORING_KEYS: [Key; SCORING_NAMES.len() + ScoreTaskOptions::KEYS.len()] =
    joined(SCORING_NAMES, ScoreTaskOptions::KEYS);

/// A task of an evaluation that predicts classes, or matches rows, by the predicted x0 of a stream.
pub(crate) static SCORING: Mapping = Mapping { name: "score task", keys: &SCORING_KEYS };
