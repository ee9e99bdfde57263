//! Keys of a training, and those it shares with evaluations: tables and generated sources.

use anyflow_config::{
    Field, Key, Keyed, Mapping, ObjectiveConfig, StageOptions, ValueForm, defaulted, joined, json, optional, required,
};

use super::model::WEIGHTS_PART;
use super::{COUNT, FORMAT, MODEL_PATH, NAME, NAMES, SEED_FORM, SOURCES, WORDS};

/// A training.
pub(crate) static TRAINING: Mapping = Mapping {
    name: "training",
    keys: &[
        FORMAT,
        NAME,
        MODEL_PATH,
        defaulted("seed", SEED_FORM, || json(0), "Seed of initialization, order of rows, noise and times"),
        optional("start", ValueForm::String, "File with weights to start from, relative to this file"),
        optional(
            "fresh",
            NAMES,
            "Streams, prompts, denoisers and scorers to initialize anew although `start` has their weights",
        ),
        optional(
            "take",
            ValueForm::Names(&ValueForm::Mapping(&WEIGHTS_PART)),
            "Parts to initialize from other files: `streams.NAME`, `denoisers.NAME`, ... -> file",
        ),
        SOURCES,
        required("data", ValueForm::Names(&ValueForm::Mapping(&TABLE)), "Tables made from the sources, by name"),
        optional(
            "scorers",
            ValueForm::Names(&ValueForm::Mapping(&SCORER)),
            "Classifiers to train next to the model, by name",
        ),
        required("stages", ValueForm::List(&ValueForm::Mapping(&STAGE)), "Stages, in order"),
    ],
};

/// A table of a training or evaluation.
pub(crate) static TABLE: Mapping = Mapping {
    name: "table",
    keys: &[
        required("columns", ValueForm::Names(&ValueForm::String), "Columns: stream or prompt -> `source.column`"),
        optional("join", ValueForm::String, "Column on which rows of several sources are joined"),
        optional("class", ValueForm::String, "Class of a row: `source.column`"),
        optional(
            "classes",
            WORDS,
            "Words of the `class` column, in the order of their class numbers; by default the column holds numbers",
        ),
    ],
};

/// A source that is generated. Each generator has keys of its own.
pub(crate) static GENERATED: Mapping = Mapping {
    name: "source",
    keys: &[
        required("generate", ValueForm::String, "Generator; each has keys of its own, under `source.GENERATOR`"),
        required("rows", COUNT, "Number of rows"),
        defaulted("seed", SEED_FORM, || json(0), "Seed of the rows; use different seeds for training and test"),
    ],
};

/// A scorer of a training.
pub(crate) static SCORER: Mapping = Mapping {
    name: "scorer",
    keys: &[
        required("stream", ValueForm::String, "Stream whose arrays it takes as input"),
        required("score", ValueForm::Use, "Module that scores, or the stream's codec if its array is the scores"),
    ],
};

static STAGE_NAMES: &[Key] = &[
    NAME,
    optional("train", ValueForm::OneOrMore(&ValueForm::String), "Stream, denoiser, scorer or prompts to train"),
    required("objective", ObjectiveConfig::FORM, "Objective"),
    required("data", ValueForm::String, "Table to read"),
];
static STAGE_KEYS: [Key; STAGE_NAMES.len() + StageOptions::KEYS.len()] = joined(STAGE_NAMES, StageOptions::KEYS);

/// A stage of a training.
pub(crate) static STAGE: Mapping = Mapping { name: "stage", keys: &STAGE_KEYS };
