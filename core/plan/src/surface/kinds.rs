//! The kinds of configurable things: schedules, samplers, networks, objectives, ... To add one, add it here and in the
//! engine, which deserializes the output of [`fill`](super::fill::fill) (`tag = "kind"`, kebab-case names, snake_case
//! keys).

mod guidance;
mod head;
mod network;
mod objective;
mod optimizer;
mod sampler;
mod schedule;
mod times;

use crate::surface::form::{Form, Key, Literal, Need};

/// A family of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Schedule,
    Sampler,
    Guidance,
    Network,
    /// The network of one stream inside a `coupled` or `dual-stream` network.
    Part,
    Head,
    Objective,
    /// Distributions of training times.
    Times,
    Optimizer,
}

/// One kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// Keys of this kind alone.
    pub keys: &'static [Key],
    /// Defaults of the family's shared keys that differ from kind to kind.
    pub defaults: &'static [(&'static str, Literal)],
    /// Pairs of keys of which the first must not be larger; `a.b` is key `b` of the mapping at `a`.
    pub ascending: &'static [(&'static str, &'static str)],
}

/// A kind without keys, to build others from.
const PLAIN: Kind = Kind { name: "", about: "", keys: &[], defaults: &[], ascending: &[] };

const COUNT: Form = Form::Integer { minimum: 1, maximum: 100_000 };
const POSITIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: true };
const NOT_NEGATIVE: Form = Form::Number { minimum: 0.0, maximum: f64::INFINITY, above: false };

impl Family {
    /// Every family once. [`Family::Part`] is missing, since its kinds are those of [`Family::Network`].
    pub const ALL: [Family; 8] = [
        Family::Schedule,
        Family::Sampler,
        Family::Guidance,
        Family::Network,
        Family::Head,
        Family::Objective,
        Family::Times,
        Family::Optimizer,
    ];

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Family::Schedule => "schedule",
            Family::Sampler => "sampler",
            Family::Guidance => "guidance",
            Family::Network => "network",
            Family::Part => "network of a part",
            Family::Head => "network of a head",
            Family::Objective => "objective",
            Family::Times => "time distribution",
            Family::Optimizer => "optimizer",
        }
    }

    /// The first part of the names of its keys, as in `sampler.ddim.eta`.
    pub fn path(self) -> &'static str {
        match self {
            Family::Part => Family::Network.path(),
            Family::Head => "head-network",
            Family::Times => "times",
            family => family.name(),
        }
    }

    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Family::Schedule => schedule::KINDS,
            Family::Sampler => sampler::KINDS,
            Family::Guidance => guidance::KINDS,
            Family::Network => network::KINDS,
            Family::Part => network::parts(),
            Family::Head => head::KINDS,
            Family::Objective => objective::KINDS,
            Family::Times => times::KINDS,
            Family::Optimizer => optimizer::KINDS,
        }
    }

    /// Keys that all kinds of the family have.
    pub fn shared(self) -> &'static [Key] {
        match self {
            Family::Sampler => sampler::SHARED,
            _ => &[],
        }
    }

    /// All keys of a kind: the shared ones with the kind's defaults, then its own.
    pub fn keys(self, kind: &Kind) -> Vec<Key> {
        let shared = self.shared().iter().map(|key| {
            let default = kind.defaults.iter().find(|(name, _)| *name == key.name);
            Key { need: default.map_or(key.need, |(_, literal)| Need::Default(*literal)), ..*key }
        });
        shared.chain(kind.keys.iter().copied()).collect()
    }

    /// Pairs of keys of a kind of which the first must not be larger.
    pub fn ascending(self, kind: &Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
        let shared = match self {
            Family::Sampler => sampler::ASCENDING,
            _ => &[],
        };
        shared.iter().chain(kind.ascending).copied()
    }

    /// The kind to use if none is written. Guidance, networks and objectives have no default.
    pub fn default_kind(self) -> Option<&'static Kind> {
        match self {
            Family::Objective | Family::Network | Family::Part | Family::Guidance => None,
            _ => self.kinds().first(),
        }
    }
}
