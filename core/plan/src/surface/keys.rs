//! The mappings with fixed keys: every key of the four kinds of files.

mod evaluation;
mod model;
mod pipeline;
mod training;

pub(crate) use evaluation::{CONFLICT, EVALUATION, JUDGE, SCORING, TASK, VARIANT};
pub(crate) use model::{AGGREGATE, DENOISER, HEAD, MODEL, PROMPT, STREAM};
pub(crate) use pipeline::{DECODE, DIFFUSE, EMBED, ENCODE, INPUT, OBSERVED, PIPELINE, SCORE};
pub(crate) use training::{GENERATED, SCORER, STAGE, TABLE, TAKEN, TRAINING};

use crate::surface::form::{Form, Key, Literal, defaulted, optional, required};
use crate::surface::kinds::Family;

/// Version of the file format that this program reads.
pub(crate) const VERSION: u32 = 1;

const NAMES: Form = Form::List(&Form::String);
/// Names, or a text file with one per line.
const WORDS: Form = Form::Either(&[Form::String, NAMES]);
const SEED_FORM: Form = Form::Integer { minimum: 0, maximum: u64::MAX as i128 };
const COUNT: Form = Form::integer_from(1);

const FORMAT: Key = required(
    "anyflow",
    Form::Integer { minimum: VERSION as i128, maximum: VERSION as i128 },
    "Version of the file format",
);
const NAME: Key = required("name", Form::String, "Name, shown to people");
const MODEL_PATH: Key = required("model", Form::String, "Path of the model file, relative to this file");

static SOURCE_FORMS: [Form; 2] = [Form::OneOrMore(&Form::String), Form::Mapping(&GENERATED)];
static SOURCE: Form = Form::Either(&SOURCE_FORMS);
const SOURCES: Key = required(
    "sources",
    Form::Names(&SOURCE),
    "Datasets by name: one or several files, relative to the data folder (`--data`, by default the folder of this file), \
     or a generated dataset",
);

const SAMPLER: Key =
    defaulted("sampler", Form::Kind(Family::Sampler), Literal::Kind(Family::Sampler), "Sampler of the denoiser");
const SAMPLING_SEED: Key = defaulted("seed", SEED_FORM, Literal::Integer(0), "Seed of the noise");
const DENOISER_CHOICE: Key =
    optional("denoiser", Form::String, "Denoiser; needed if several of the model have these streams");
const ABSENT: Key = optional("absent", NAMES, "Streams to exclude");
const ALONG: Key = optional(
    "marginalize",
    NAMES,
    "Streams to marginalize: they are sampled jointly and discarded. This is the default for streams that are not named",
);
const GUIDANCE: Key = optional(
    "guidance",
    Form::Kind(Family::Guidance),
    "Guidance towards the conditions (`cfg`) or between jointly generated streams (`joint`)",
);
const WEIGHT: Form = Form::Number { minimum: 0.0, maximum: 1_000_000.0, above: true };
const CONDITION: Form = Form::Names(&WEIGHT);
const GIVEN: Form = Form::Choice(&["clean", "noised"]);

const CLASSES: &str = "Class names; `templates` turns each name into the cells to compare with";
const TEMPLATES: Key = optional(
    "templates",
    NAMES,
    "Cells that describe a class, with `{}` in place of its name. Their embeddings are averaged. By default the cell is \
     the name alone",
);
const DRAWS: Key = defaulted(
    "samples",
    Form::Integer { minimum: 1, maximum: 1024 },
    Literal::Integer(2),
    "Number of predictions of the stream from different noise; their mean is compared",
);
