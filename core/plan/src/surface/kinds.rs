//! The table of kinds: schedules, samplers, networks, objectives, time laws, optimizers. To add one, add it here and in
//! the engine, which deserialises what [`fill`] makes (`tag = "kind"`, kebab-case names, snake_case keys).

use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::Span;
use crate::surface::form::{Form, Key, Literal, Need};
use crate::yaml::{Content, Entry, Node};

/// What kinds there are kinds of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Schedule,
    Sampler,
    Network,
    Objective,
    Times,
    Optimizer,
}

/// One kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    pub keys: &'static [Key],
    /// Pairs of keys of which the first must be smaller.
    pub ascending: &'static [(&'static str, &'static str)],
}

const fn key(name: &'static str, form: Form, default: Literal, about: &'static str) -> Key {
    Key { name, form, need: Need::Default(default), about }
}

const COUNT: Form = Form::Integer { minimum: 1, maximum: 100_000 };
const POSITIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: true };
const NOT_NEGATIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: false };
const UPDATES: Form = Form::integer_from(0);

static SCHEDULES: &[Kind] = &[
    Kind {
        name: "vp-linear",
        about: "Variance preserving, noise rate linear in time",
        keys: &[
            key("beta_min", POSITIVE, Literal::Number(0.1), "Noise rate at time 0"),
            key("beta_max", POSITIVE, Literal::Number(20.0), "Noise rate at time 1"),
        ],
        ascending: &[("beta_min", "beta_max")],
    },
    Kind {
        name: "cosine",
        about: "Variance preserving, signal a squared cosine of time",
        keys: &[key(
            "offset",
            Form::Number { minimum: 0.0, maximum: 0.5, above: false },
            Literal::Number(0.008),
            "Shift away from time 0",
        )],
        ascending: &[],
    },
];

static SAMPLERS: &[Kind] = &[
    Kind {
        name: "ddim",
        about: "DDIM; with eta 1 it is ancestral",
        keys: &[
            key("steps", COUNT, Literal::Integer(50), "Network calls a row"),
            key("eta", Form::FRACTION, Literal::Number(0.0), "Share of fresh noise a step"),
        ],
        ascending: &[],
    },
    Kind {
        name: "euler-maruyama",
        about: "The reverse stochastic equation in equal steps of time",
        keys: &[key("steps", COUNT, Literal::Integer(250), "Network calls a row")],
        ascending: &[],
    },
];

static NETWORKS: &[Kind] = &[Kind {
    name: "residual-mlp",
    about: "Residual multilayer perceptron over all latents side by side, modulated by the times",
    keys: &[
        key("width", Form::Integer { minimum: 1, maximum: 65_536 }, Literal::Integer(256), "Units of a block"),
        key("blocks", Form::Integer { minimum: 1, maximum: 1_024 }, Literal::Integer(4), "Residual blocks"),
    ],
    ascending: &[],
}];

static OBJECTIVES: &[Kind] = &[
    Kind {
        name: "reconstruct",
        about: "A stream's module gives back what it was given",
        keys: &[key(
            "loss",
            Form::Choice(&["l1-l2", "mse", "cross-entropy"]),
            Literal::Word("l1-l2"),
            "How the difference is measured",
        )],
        ascending: &[],
    },
    Kind {
        name: "statistics",
        about: "Mean and deviation of every stream's latents; trains nothing",
        keys: &[],
        ascending: &[],
    },
    Kind {
        name: "denoise",
        about: "A denoiser predicts what the noise hides",
        keys: &[
            key("times", Form::Kind(Family::Times), Literal::Kind(Family::Times), "Law of the noise levels"),
            key("scale", Form::Flag, Literal::Flag(true), "Scale the loss by the share of coordinates that are noisy"),
        ],
        ascending: &[],
    },
    Kind {
        name: "classify",
        about: "A scorer tells the class of a row",
        keys: &[
            key("noise", NOT_NEGATIVE, Literal::Number(0.0), "Deviation of noise added to the input"),
            key("shift", Form::integer_from(0), Literal::Integer(0), "Largest random shift along the last two axes"),
        ],
        ascending: &[],
    },
];

static TIMES: &[Kind] = &[
    Kind {
        name: "subset-shared",
        about: "A random subset of streams is given clean, the others share one noise level",
        keys: &[
            key("p_cond", Form::FRACTION, Literal::Number(0.5), "Probability that some streams are given"),
            key("p_absent", Form::FRACTION, Literal::Number(0.0), "Probability that a stream is left out"),
            key("per", Form::Choice(&["sample", "batch"]), Literal::Word("sample"), "For whom the subset is drawn"),
        ],
        ascending: &[],
    },
    Kind { name: "independent", about: "A noise level per stream", keys: &[], ascending: &[] },
    Kind { name: "shared-all", about: "One noise level for all streams", keys: &[], ascending: &[] },
];

static OPTIMIZERS: &[Kind] = &[Kind {
    name: "adamw",
    about: "Adam with decoupled weight decay",
    keys: &[
        key("lr", POSITIVE, Literal::Number(1.0e-3), "Highest learning rate"),
        key("warmup", UPDATES, Literal::Integer(0), "Steps over which the rate rises"),
        key("decay", Form::Choice(&["constant", "cosine"]), Literal::Word("constant"), "The rate after that"),
        key("weight_decay", NOT_NEGATIVE, Literal::Number(0.0), "Weight decay"),
        key("clip", NOT_NEGATIVE, Literal::Number(1.0), "Largest norm of the gradient; 0 for no limit"),
    ],
    ascending: &[],
}];

impl Family {
    pub const ALL: [Family; 6] =
        [Family::Schedule, Family::Sampler, Family::Network, Family::Objective, Family::Times, Family::Optimizer];

    pub fn name(self) -> &'static str {
        match self {
            Family::Schedule => "schedule",
            Family::Sampler => "sampler",
            Family::Network => "network",
            Family::Objective => "objective",
            Family::Times => "time law",
            Family::Optimizer => "optimizer",
        }
    }

    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Family::Schedule => SCHEDULES,
            Family::Sampler => SAMPLERS,
            Family::Network => NETWORKS,
            Family::Objective => OBJECTIVES,
            Family::Times => TIMES,
            Family::Optimizer => OPTIMIZERS,
        }
    }

    /// The kind that holds when none is written; an objective and a network must be written.
    pub fn default_kind(self) -> Option<&'static Kind> {
        match self {
            Family::Objective | Family::Network => None,
            _ => self.kinds().first(),
        }
    }
}

/// The default kind of a family with its defaults; an empty object where there is none.
pub(crate) fn defaults(family: Family) -> Json {
    family.default_kind().map_or_else(|| Json::Object(Map::new()), |kind| Json::Object(defaults_of(kind)))
}

/// A kind with nothing but defaults.
pub(crate) fn defaults_of(kind: &Kind) -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("kind".into(), Json::from(kind.name));
    for key in kind.keys {
        if let Need::Default(literal) = key.need {
            object.insert(key.name.into(), literal.json());
        }
    }
    object
}

/// Reads `{kind: ..., ...}`: refuses what the kind does not know, fills in what is not written.
pub(crate) fn fill(family: Family, node: Option<&Node>, owner: Span, report: &mut Report) -> Option<Json> {
    let Some(node) = node else { return Some(defaults(family)) };
    let Content::Mapping(entries) = &node.content else {
        Form::Kind(family).wrong(node, &format!("the {}", family.name()), report);
        return None;
    };
    let kind = chosen(family, entries, owner, report)?;
    let mut object = defaults_of(kind);
    let mut good = true;
    for entry in entries.iter().filter(|entry| entry.key.value != "kind") {
        match read_entry(family, kind, entry, report) {
            Some(value) => drop(object.insert(entry.key.value.clone(), value)),
            None => good = false,
        }
    }
    let good = good && ascends(family, kind, &object, node, report);
    good.then_some(Json::Object(object))
}

fn chosen(family: Family, entries: &[Entry], owner: Span, report: &mut Report) -> Option<&'static Kind> {
    let Some(entry) = entries.iter().find(|entry| entry.key.value == "kind") else {
        if family.default_kind().is_none() {
            report.error(owner, Problem::MissingKey { key: "kind".into(), within: format!("the {}", family.name()) });
        }
        return family.default_kind();
    };
    let Content::Text(name) = &entry.node.content else {
        Form::Text.wrong(&entry.node, &format!("`kind` of the {}", family.name()), report);
        return None;
    };
    let found = family.kinds().iter().find(|kind| kind.name == name);
    if found.is_none() {
        let hint = Hint::among(name, family.kinds().iter().map(|kind| kind.name));
        report.error(entry.node.span, Problem::UnknownName { what: family.name().into(), name: name.clone(), hint });
    }
    found
}

fn read_entry(family: Family, kind: &Kind, entry: &Entry, report: &mut Report) -> Option<Json> {
    let within = format!("{} `{}`", family.name(), kind.name);
    let Some(key) = kind.keys.iter().find(|key| key.name == entry.key.value) else {
        let hint = Hint::among(&entry.key.value, kind.keys.iter().map(|key| key.name));
        report.error(entry.key.span, Problem::UnknownKey { key: entry.key.value.clone(), within, hint });
        return None;
    };
    key.form.read(&entry.node, &format!("`{}` of {within}", key.name), report)
}

fn ascends(family: Family, kind: &Kind, object: &Map<String, Json>, node: &Node, report: &mut Report) -> bool {
    let number = |key: &str| object.get(key).and_then(Json::as_f64).unwrap_or(f64::NAN);
    let mut good = true;
    for (small, large) in kind.ascending {
        if number(small) >= number(large) {
            let what = format!("`{large}` of {} `{}`", family.name(), kind.name);
            let bound = format!("greater than `{small}` = {}", number(small));
            report.error(node.span, Problem::OutOfBounds { what, value: number(large).to_string(), bound });
            good = false;
        }
    }
    good
}
