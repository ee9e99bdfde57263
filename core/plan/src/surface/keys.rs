//! The mappings with fixed keys: every key of the four kinds of files.

mod evaluation;
mod model;
mod pipeline;
mod training;

pub(crate) use evaluation::{CONFLICT, EVALUATION, JUDGE, PLANE, SCORING, TASK, VARIANT};
pub(crate) use model::{DENOISER, MODEL, PROMPT, STREAM, WEIGHTS_PART};
pub(crate) use pipeline::{
    DECODE, DIFFUSE, EMBED, ENCODE, INPUT, OBSERVED, OUTPUT, PAIR_NODE, PIPELINE, SCORE, SCORER_NODE, USE,
};
pub(crate) use training::{GENERATED, SCORER, STAGE, TABLE, TRAINING};

use anyflow_config::{Field, Guidance, Key, Sampler, ValueForm, defaulted, json, optional, required};

/// Version of the file format that this program reads.
pub(crate) const VERSION: u32 = 1;

const NAMES: ValueForm = ValueForm::List(&ValueForm::String);
/// Names, or a text file with one per line.
const WORDS: ValueForm = ValueForm::Either(&[ValueForm::String, NAMES]);
const SEED_FORM: ValueForm = ValueForm::Integer { minimum: 0, maximum: u64::MAX as i128 };
const COUNT: ValueForm = ValueForm::integer_from(1);

const FORMAT: Key = required(
    "anyflow",
    ValueForm::Integer { minimum: VERSION as i128, maximum: VERSION as i128 },
    "Version of the file format",
);
const NAME: Key = required("name", ValueForm::String, "Name, shown to people");
const MODEL_PATH: Key = required("model", ValueForm::String, "Path of the model file, relative to this file");

static SOURCE_FORMS: [ValueForm; 2] = [ValueForm::OneOrMore(&ValueForm::String), ValueForm::Described(&GENERATED)];
static SOURCE: ValueForm = ValueForm::Either(&SOURCE_FORMS);
const SOURCES: Key = required(
    "sources",
    ValueForm::Names(&SOURCE),
    "Datasets by name: one or several files, relative to the data folder (`--data`, by default the folder of this file), \
     or a generated dataset",
);

const SAMPLER: Key = optional(
    "sampler",
    Sampler::FORM,
    "Sampler; by default that of the denoiser, or else `ddim`. Keys without `kind`, or with the same, change that one",
);
const SAMPLING_SEED: Key = optional(
    "seed",
    SEED_FORM,
    "Seed of the noise. By default it is 0 for the first node that draws noise, and made from the name for each other node",
);
const DENOISER_CHOICE: Key =
    optional("denoiser", ValueForm::String, "Denoiser; needed if several of the model have these streams");
const ABSENT: Key = optional("absent", NAMES, "Streams to exclude");
const ALONG: Key = optional(
    "marginalize",
    NAMES,
    "Streams to marginalize: they are sampled jointly and discarded. This is the default for streams that are not named",
);
const GUIDANCE: Key = optional(
    "guidance",
    Guidance::FORM,
    "Guidance towards the conditions (`cfg`) or between jointly generated streams (`joint`)",
);
const WEIGHT: ValueForm = ValueForm::Number { minimum: 0.0, maximum: 1_000_000.0, above: true };
const CONDITION: ValueForm = ValueForm::Names(&WEIGHT);

const CLASSES: &str = "Class names; `templates` turns each name into the cells to compare with";
const TEMPLATES: Key = optional(
    "templates",
    NAMES,
    "Cells that describe a class, with `{}` in place of its name. Their embeddings are averaged. By default the cell is \
     the name alone",
);
const DRAWS: Key = defaulted(
    "samples",
    ValueForm::Integer { minimum: 1, maximum: 1024 },
    || json(2),
    "Number of predictions of the stream from different noise; their mean is compared",
);
