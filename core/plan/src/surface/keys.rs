//! The table of mappings: every key of the four kinds of files.

use crate::surface::form::{Form, Key, Literal, Mapping, Need};
use crate::surface::kinds::Family;

/// Version of the file format that this program reads.
pub(crate) const VERSION: u32 = 1;

const NAMES: Form = Form::List(&Form::String);
const WORDS: Form = Form::Either(&[Form::String, NAMES]);
const SEED: Form = Form::Integer { minimum: 0, maximum: u64::MAX as i128 };
const SIZE: Form = Form::Integer { minimum: 1, maximum: 1 << 32 };
const COUNT: Form = Form::integer_from(1);

const fn must(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, need: Need::Required, about }
}

const fn may(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, need: Need::Optional, about }
}

const fn or(name: &'static str, form: Form, default: Literal, about: &'static str) -> Key {
    Key { name, form, need: Need::Default(default), about }
}

const FORMAT: Key =
    must("anyflow", Form::Integer { minimum: VERSION as i128, maximum: VERSION as i128 }, "Version of the file format");
const NAME: Key = must("name", Form::String, "Name, for people");
const MODEL_PATH: Key = must("model", Form::String, "The model's file, relative to this one");
static SOURCE_FORMS: [Form; 2] = [Form::OneOrMore(&Form::String), Form::Mapping(&GENERATED)];
static SOURCE: Form = Form::Either(&SOURCE_FORMS);
const SOURCES: Key = must(
    "sources",
    Form::Names(&SOURCE),
    "Datasets by name: files relative to the data folder, which is this file's own unless the command names one, or \
     what is generated into the output folder",
);
const ABSENT: Key = may("absent", NAMES, "Streams that take no part");
const GUIDANCE: Key =
    may("guidance", Form::Kind(Family::Guidance), "Strengthens what is given, or what is generated together");
const WEIGHT: Form = Form::Number { minimum: 0.0, maximum: 1_000_000.0, above: true };
const CONDITION: Form = Form::Names(&WEIGHT);
const GIVEN: Form = Form::Choice(&["clean", "noised"]);
const ALONG: Key = may("along", NAMES, "Streams generated along and dropped; the default for streams not named");

/// A pipeline.
pub(crate) static PIPELINE: Mapping = Mapping {
    keys: &[
        FORMAT,
        NAME,
        MODEL_PATH,
        may("inputs", Form::Names(&Form::Mapping(&INPUT)), "Columns that are read, by the names nodes know them by"),
        must(
            "nodes",
            Form::Names(&Form::OneOf(&[&ENCODE, &DECODE, &EMBED, &DIFFUSE, &SCORE])),
            "What is done, by name",
        ),
        must("outputs", Form::Names(&Form::String), "Columns that are written: column -> node or input"),
    ],
    later: &[],
};

/// An input of a pipeline.
pub(crate) static INPUT: Mapping = Mapping {
    keys: &[
        must("modality", Form::String, "Its modality"),
        may("column", Form::String, "Column of the dataset; the input's name if not given"),
    ],
    later: &[],
};

const STREAM_KEY: Key = may("stream", Form::String, "The stream, where several use the component");
const LATER_NODES: &[&str] = &["align", "map"];

/// A node that encodes.
pub(crate) static ENCODE: Mapping = Mapping {
    keys: &[
        must("encode", Form::String, "Module (or codec, for a stream without one) that makes the latent"),
        must("from", Form::String, "Input, or node whose cells are encoded"),
        STREAM_KEY,
    ],
    later: LATER_NODES,
};

/// A node that decodes.
pub(crate) static DECODE: Mapping = Mapping {
    keys: &[
        must("decode", Form::String, "Module (or codec, for a stream without one) that reads the latent"),
        must("from", Form::String, "Node, or `node.stream`, whose latent is decoded"),
        STREAM_KEY,
    ],
    later: LATER_NODES,
};

/// A node that makes a prompt.
pub(crate) static EMBED: Mapping = Mapping {
    keys: &[
        must("embed", Form::String, "Module that makes the prompt"),
        must("from", Form::String, "Input, or node whose cells are embedded"),
        may("prompt", Form::String, "The prompt, where several use the module"),
    ],
    later: LATER_NODES,
};

/// A node that generates.
pub(crate) static DIFFUSE: Mapping = Mapping {
    keys: &[
        must("diffuse", NAMES, "Streams to generate"),
        may(
            "observe",
            Form::Names(&Form::Or(&Form::String, &Form::Mapping(&OBSERVED))),
            "Streams that are given: stream -> node with its latent; or, in part, with a mask",
        ),
        or(
            "given",
            GIVEN,
            Literal::Word("clean"),
            "How the network sees streams that are given: clean, at time 0, or noised, at the time of the others",
        ),
        may("condition", CONDITION, "Prompts: node -> weight; they are mixed by their shares in the sum of weights"),
        GUIDANCE,
        ALONG,
        ABSENT,
        may("denoiser", Form::String, "The denoiser, where several are over these streams"),
        or("sampler", Form::Kind(Family::Sampler), Literal::Kind(Family::Sampler), "How noise is removed"),
        or("seed", SEED, Literal::Integer(0), "Seed of the noise"),
    ],
    later: &["schedule"],
};

const CLASSES: &str = "Classes by name; what stands for one is made of it by `templates`";
const TEMPLATES: Key = may(
    "templates",
    NAMES,
    "Cells that stand for a class, {} being its name; their mean counts; the name itself if not given",
);
const DRAWS: Key = or(
    "draws",
    Form::Integer { minimum: 1, maximum: 1024 },
    Literal::Integer(2),
    "How often the stream is recovered, from other noise; their mean counts",
);

/// A node that tells classes by what it recovers of a stream.
pub(crate) static SCORE: Mapping = Mapping {
    keys: &[
        must("score", Form::String, "Stream that is recovered and compared with what stands for each class"),
        must("observe", Form::Names(&Form::String), "Streams that are given: stream -> node with its latent"),
        must("classes", WORDS, CLASSES),
        TEMPLATES,
        DRAWS,
        may("denoiser", Form::String, "The denoiser, where several are over these streams"),
        or("sampler", Form::Kind(Family::Sampler), Literal::Kind(Family::Sampler), "How noise is removed"),
        or("seed", SEED, Literal::Integer(0), "Seed of the noise"),
    ],
    later: LATER_NODES,
};

/// A stream that is given in part; it is generated as well.
pub(crate) static OBSERVED: Mapping = Mapping {
    keys: &[
        must("from", Form::String, "Node with its latent"),
        may("mask", Form::String, "Node with a value of the same shape: above 0.5 where elements are given"),
    ],
    later: &[],
};

/// A model.
pub(crate) static MODEL: Mapping = Mapping {
    keys: &[
        FORMAT,
        NAME,
        may("checkpoint", Form::String, "File with the weights, relative to this one"),
        may(
            "from",
            Form::String,
            "Model file to start from, relative to this one; the keys beside it change that model",
        ),
        may("streams", Form::Names(&Form::Mapping(&STREAM)), "What is diffused, by name; required without `from`"),
        may("prompts", Form::Names(&Form::Mapping(&PROMPT)), "What only conditions, by name"),
        may("denoisers", Form::Names(&Form::Mapping(&DENOISER)), "Networks over streams, by name"),
        may(
            "heads",
            Form::Names(&Form::Mapping(&HEAD)),
            "Streams that are read from a denoiser's features in place of being diffused, by name",
        ),
    ],
    later: &["aligners", "couplings", "aggregates"],
};

/// An encoding that is added into a stream.
pub(crate) static AGGREGATE: Mapping = Mapping {
    keys: &[
        must("weight", AMOUNT, "How much of it: w of the law"),
        or(
            "law",
            Form::Choice(&["start", "drip", "bump"]),
            Literal::Word("start"),
            "When: at once before the first noise, the same amount in every step, or in the middle of the process alone",
        ),
        or(
            "dropout",
            Form::FRACTION,
            Literal::Number(0.3),
            "Probability that training leaves it out of a row, so that a head cannot just read it back",
        ),
    ],
    later: &["module"],
};

/// A head of a model.
pub(crate) static HEAD: Mapping = Mapping {
    keys: &[
        must("reads", Form::String, "Whose features, and where: denoiser.site"),
        or("network", Form::Kind(Family::Head), Literal::Kind(Family::Head), "The layers"),
        must("loss", Form::Choice(&["cross-entropy", "mse", "cosine"]), "How far off counts; a class by cross-entropy"),
        or("weight", AMOUNT, Literal::Number(0.1), "Of its loss beside that of denoising"),
        or(
            "own",
            Form::FRACTION,
            Literal::Number(1.0),
            "Weight in its loss of rows that its own code is added into, beside 1",
        ),
    ],
    later: &[],
};

const AMOUNT: Form = Form::Number { minimum: 0.0, maximum: 1_000.0, above: false };

/// A stream of a model.
pub(crate) static STREAM: Mapping = Mapping {
    keys: &[
        must("codec", Form::Use, "Cells to arrays and back"),
        may("module", Form::Use, "Arrays to latents and back; without one the array is the latent"),
        must("latent", Form::List(&SIZE), "Shape of the latent"),
        may("schedule", Form::Kind(Family::Schedule), "How noise grows with time; as its denoiser says if not given"),
        may(
            "aggregate",
            Form::Names(&Form::Mapping(&AGGREGATE)),
            "Streams whose encodings are added into this one as it is diffused, by name",
        ),
    ],
    later: &["from"],
};

/// A prompt of a model.
pub(crate) static PROMPT: Mapping = Mapping {
    keys: &[
        must("codec", Form::Use, "Cells to arrays"),
        must("module", Form::Use, "Arrays to tokens"),
        must("tokens", Form::List(&SIZE), "Shape of what the module makes: how many tokens, how many features each"),
    ],
    later: &[],
};

/// A denoiser of a model.
pub(crate) static DENOISER: Mapping = Mapping {
    keys: &[
        must("over", NAMES, "Its streams"),
        may("prompts", NAMES, "Prompts that it reads; they are of one shape"),
        must("network", Form::Kind(Family::Network), "The network"),
        or("predict", Form::Choice(&["eps", "x0", "v", "flow"]), Literal::Word("x0"), "What the network gives"),
        or("schedule", Form::Kind(Family::Schedule), Literal::Kind(Family::Schedule), "How noise grows with time"),
        or("precision", Form::Choice(&["f32", "bf16"]), Literal::Word("f32"), "In what the network multiplies"),
    ],
    later: &["couple", "sites", "reads"],
};

/// A training.
pub(crate) static TRAINING: Mapping = Mapping {
    keys: &[
        FORMAT,
        NAME,
        MODEL_PATH,
        or("seed", SEED, Literal::Integer(0), "Seed of everything"),
        may("start", Form::String, "File with weights to start from, relative to this one; the others start fresh"),
        may("fresh", NAMES, "Streams, denoisers and scorers that start fresh though `start` has their weights"),
        may(
            "take",
            Form::Names(&Form::Mapping(&TAKEN)),
            "Parts that start as parts of other files, by name: streams.NAME, denoisers.NAME ...",
        ),
        SOURCES,
        must("data", Form::Names(&Form::Mapping(&TABLE)), "Tables made of the sources, by name"),
        may("scorers", Form::Names(&Form::Mapping(&SCORER)), "Classifiers that are trained beside the model"),
        must("stages", Form::List(&Form::Mapping(&STAGE)), "What is trained, in order"),
    ],
    later: &[],
};

/// A part of a model that a training takes from a file.
pub(crate) static TAKEN: Mapping = Mapping {
    keys: &[
        must("from", Form::String, "File with weights, relative to this one"),
        may("part", Form::String, "What it is called there: prompts.NAME, scorers.NAME ...; the same if not given"),
    ],
    later: &[],
};

/// A table of a training or evaluation.
pub(crate) static TABLE: Mapping = Mapping {
    keys: &[
        must(
            "columns",
            Form::Names(&Form::String),
            "Where the cells of each stream and prompt come from: its name -> source.column",
        ),
        may("join", Form::String, "Column on which rows of several sources are matched"),
        may("class", Form::String, "Where the class of a row comes from: source.column"),
        may("classes", WORDS, "The words of that column in the order of their classes; not given, it holds numbers"),
    ],
    later: &[],
};

/// A source that is generated.
pub(crate) static GENERATED: Mapping = Mapping {
    keys: &[
        must(
            "generate",
            Form::Choice(&["glyphs", "captions"]),
            "What is generated: digits as pictures, sounds, words and labels; or digits in colour with captions",
        ),
        must("rows", COUNT, "How many rows"),
        or("seed", SEED, Literal::Integer(0), "Seed of everything in them; take another one to test than to train"),
        may(
            "shapes",
            Form::String,
            "Of captions: a source of files with the shapes of digits; drawn ones if not given",
        ),
        may(
            "combinations",
            Form::Choice(&["all", "seen", "held-out"]),
            "Of captions: which pairs of digit and colour there are; all if not given",
        ),
    ],
    later: &[],
};

/// A scorer of a training.
pub(crate) static SCORER: Mapping = Mapping {
    keys: &[
        must("stream", Form::String, "Stream whose arrays it sees"),
        must("score", Form::Use, "Module that scores, or the stream's codec where its array is the scores"),
    ],
    later: &[],
};

/// A stage of a training.
pub(crate) static STAGE: Mapping = Mapping {
    keys: &[
        NAME,
        may("train", Form::OneOrMore(&Form::String), "Stream, denoiser, scorer or prompts that are trained"),
        must("objective", Form::Kind(Family::Objective), "What it learns"),
        must("data", Form::String, "Table that it reads"),
        may("steps", COUNT, "Optimizer steps; needed wherever something is trained"),
        or("batch", COUNT, Literal::Integer(256), "Rows a step"),
        may(
            "keep",
            Form::List(&COUNT),
            "Steps after which the weights are kept in a file of their own, stages/INDEX-NAME-STEP.safetensors",
        ),
        may("micro_batch", COUNT, "Rows a network call; gradients add up to those of the batch, which is the default"),
        or("optimizer", Form::Kind(Family::Optimizer), Literal::Kind(Family::Optimizer), "How weights change"),
        may(
            "weights",
            NAMES,
            "Of a denoiser, the weights that are trained, by name, with * for any characters; all if not given",
        ),
        or("ema", EMA, Literal::Number(0.0), "Decay of the moving average of the weights; 0 for none"),
    ],
    later: &["frozen"],
};

const EMA: Form = Form::Number { minimum: 0.0, maximum: 0.999_999, above: false };

/// An evaluation.
pub(crate) static EVALUATION: Mapping = Mapping {
    keys: &[
        FORMAT,
        NAME,
        MODEL_PATH,
        SOURCES,
        must("data", Form::Mapping(&TABLE), "The held-out rows; `class` is the truth"),
        must("judges", Form::Names(&Form::Mapping(&JUDGE)), "Who tells the class, by stream"),
        may(
            "reference",
            Form::Names(&Form::String),
            "Rows a model was trained on, stream -> source.column: their Frechet distance from the held-out rows is the \
             floor; of other streams it is that of the halves of the held-out rows",
        ),
        may("denoiser", Form::String, "The denoiser, where several are over the streams asked for"),
        or("sampler", Form::Kind(Family::Sampler), Literal::Kind(Family::Sampler), "How noise is removed"),
        GUIDANCE,
        or(
            "given",
            GIVEN,
            Literal::Word("clean"),
            "How the network sees streams that are given, where a task does not say",
        ),
        or("rows", COUNT, Literal::Integer(1000), "Rows a task"),
        may("seeds", Form::List(&SEED), "Seeds; figures are given with their spread; [0] if not given"),
        may("tasks", Form::Names(&Form::OneOf(&[&TASK, &SCORING])), "What is asked, by name"),
        or(
            "subsets",
            Form::Flag,
            Literal::Flag(false),
            "Ask also for all judged streams together, and for the others given each proper subset of them",
        ),
        may(
            "similarity",
            Form::Names(&Form::String),
            "Prompts that read what is generated, stream -> prompt: their mean cosine tells how well streams that are \
             generated together fit",
        ),
        or(
            "independent",
            Form::Flag,
            Literal::Flag(false),
            "Ask tasks that generate several streams for each of them by itself as well, from the same noise",
        ),
        may(
            "conflicts",
            Form::Names(&Form::Mapping(&CONFLICT)),
            "Mixtures of two prompts of different classes, by name: weights (1 - a, a) for a from 0 to 1",
        ),
        may(
            "variants",
            Form::Names(&Form::Mapping(&VARIANT)),
            "What is compared, by name; only the first is held to what tasks ask for",
        ),
    ],
    later: &[],
};

/// A variant of an evaluation.
pub(crate) static VARIANT: Mapping = Mapping {
    keys: &[
        may("model", Form::String, "Another model's file, relative to this one, with the same streams and codecs"),
        may(
            "weights",
            Form::OneOrMore(&Form::String),
            "Files, relative to this one, with weights in place of those of the checkpoint: whole models or finished stages",
        ),
        may(
            "codecs",
            Form::Names(&Form::Use),
            "How the cells of streams that are given are read, in place of the model's codec, by stream",
        ),
        may("denoiser", Form::String, "The denoiser; that of the evaluation if not given"),
        may("sampler", Form::Kind(Family::Sampler), "How noise is removed; as in the evaluation if not given"),
        may("given", GIVEN, "How the network sees streams that are given; as the tasks say if not given"),
    ],
    later: &[],
};

/// A judge of an evaluation.
pub(crate) static JUDGE: Mapping = Mapping {
    keys: &[
        must("score", Form::Use, "Module that scores, or the stream's codec where its array is the scores"),
        may("weights", Form::String, "File with its weights, relative to this one"),
    ],
    later: &[],
};

/// A conflict of an evaluation.
pub(crate) static CONFLICT: Mapping = Mapping {
    keys: &[
        must("generate", NAMES, "Streams that are generated and judged"),
        must("between", NAMES, "Two prompts; the second is made of a row of another class"),
        ALONG,
        ABSENT,
        GUIDANCE,
    ],
    later: &[],
};

/// A task of an evaluation.
pub(crate) static TASK: Mapping = Mapping {
    keys: &[
        must("generate", NAMES, "Streams that are generated and judged"),
        may("observe", NAMES, "Streams that are given from the data"),
        may(
            "start",
            Form::Names(&Form::String),
            "Streams that begin from rows of others, where the sampler begins late: stream -> stream of the data",
        ),
        may("condition", CONDITION, "Prompts that are made from the data: prompt -> weight"),
        ALONG,
        ABSENT,
        GUIDANCE,
        may("given", GIVEN, "How the network sees streams that are given"),
        may("at_least", Form::FRACTION, "Least coherence of the first variant; below it the evaluation fails"),
        may(
            "nearest_at_least",
            Form::FRACTION,
            "Least share of rows of the first variant that are nearest to their own, by perceptual distance where the judge \
             gives one, else in its features; below it the evaluation fails",
        ),
    ],
    later: &[],
};

/// A task of an evaluation that tells classes, or rows, by what is recovered of a stream.
pub(crate) static SCORING: Mapping = Mapping {
    keys: &[
        must("score", Form::String, "Stream that is recovered and compared with what stands for each class"),
        must("observe", NAMES, "Streams that are given from the data"),
        may(
            "classes",
            WORDS,
            "Classes by name, in the order of `class`; without them each row is to find its own value among those of all \
             rows, and the value its row",
        ),
        TEMPLATES,
        DRAWS,
        may("at_least", Form::FRACTION, "Least share that the first variant tells; below it the evaluation fails"),
    ],
    later: &[],
};
