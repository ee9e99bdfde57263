//! Joint diffusions: the role of every stream, and how it is sampled.

use anyflow_config::{Given, Guidance, Sampling};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A joint diffusion, of a node or of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diffusion {
    /// The denoiser.
    pub denoiser: String,
    /// The role of each stream.
    pub streams: Roles,
    /// Planes of the denoiser: stream -> its value, a value id in a run, an array of the task in an evaluation.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub planes: IndexMap<String, String>,
    /// `None` without guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance>,
    /// The sampler.
    pub sampler: Sampling,
    /// Seed of the noise.
    pub seed: u64,
}

impl Diffusion {
    /// The values that it reads.
    pub fn reads(&self) -> impl Iterator<Item = &str> {
        self.streams.reads().map(|read| read.from).chain(self.planes.values().map(String::as_str))
    }
}

/// The roles of a denoiser's streams and prompts, by name; first the generated streams, in the order of the file. A prompt
/// without a role is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(pub IndexMap<String, StreamRole>);

/// The role of a stream or prompt in a diffusion. `from`, `mask`, `start` and `instead` name the values: value ids in a run, streams
/// and prompts of the data in an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum StreamRole {
    /// Generated.
    Generate {
        /// Initial values for a sampler that starts late (SDEdit), as the stream's latent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<String>,
    },
    /// Generated where the mask is at most 0.5; elsewhere it ends at its observed value (in-painting).
    Inpaint {
        /// The observed value: a latent of the stream.
        from: String,
        /// A tensor with the shape of the latent.
        mask: String,
        /// True if the stream is no output.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        discarded: bool,
    },
    /// Sampled jointly and discarded.
    Marginalize,
    /// Observed as a whole.
    Observe {
        /// A latent of the stream.
        from: String,
        /// The noise level at which the network sees it.
        #[serde(default, skip_serializing_if = "Given::is_default")]
        given: Given,
    },
    /// A prompt that conditions.
    Condition {
        /// Tokens -> weight, above 0. Several tokens are mixed in proportion to their weights; the weight of the prompt is
        /// their sum.
        from: IndexMap<String, f64>,
        /// Tokens that take its place where guidance drops it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<String>,
    },
    /// Excluded.
    Absent,
}

/// A value that a role reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleValue<'r> {
    /// `observe`, `mask`, `start`, `condition`, `instead` or `planes`.
    pub key: &'static str,
    /// The stream or prompt.
    pub stream: &'r str,
    /// The name of the value.
    pub from: &'r str,
}

impl StreamRole {
    /// True if the stream is an output: it is generated, as a whole or in part, and not discarded.
    pub fn is_output(&self) -> bool {
        matches!(self, StreamRole::Generate { .. } | StreamRole::Inpaint { discarded: false, .. })
    }

    /// True if the stream is sampled, be it an output or not.
    pub fn is_sampled(&self) -> bool {
        matches!(self, StreamRole::Generate { .. } | StreamRole::Inpaint { .. } | StreamRole::Marginalize)
    }

    /// The role of a stream that is sampled, but no output. One with initial values keeps its role.
    pub fn discarded(self) -> StreamRole {
        match self {
            StreamRole::Generate { start: None } => StreamRole::Marginalize,
            StreamRole::Inpaint { from, mask, .. } => StreamRole::Inpaint { from, mask, discarded: true },
            role => role,
        }
    }

    /// True if guidance can point towards the stream or prompt.
    pub fn is_condition(&self) -> bool {
        matches!(self, StreamRole::Observe { .. } | StreamRole::Condition { .. })
    }

    /// The values that it reads, with their keys.
    fn reads(&self) -> Vec<(&'static str, &str)> {
        match self {
            StreamRole::Generate { start } => start.iter().map(|start| ("start", start.as_str())).collect(),
            StreamRole::Inpaint { from, mask, .. } => vec![("observe", from), ("mask", mask)],
            StreamRole::Observe { from, .. } => vec![("observe", from)],
            StreamRole::Condition { from, instead } => {
                let conditions = from.keys().map(|from| ("condition", from.as_str()));
                conditions.chain(instead.iter().map(|from| ("instead", from.as_str()))).collect()
            }
            StreamRole::Marginalize | StreamRole::Absent => Vec::new(),
        }
    }
}

impl Roles {
    /// The names of the streams and prompts whose role is as wanted.
    pub fn names(&self, is_wanted: impl Fn(&StreamRole) -> bool) -> impl Iterator<Item = &String> {
        self.0.iter().filter(move |(_, role)| is_wanted(role)).map(|(name, _)| name)
    }

    /// The outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &String> {
        self.names(StreamRole::is_output)
    }

    /// All values that the roles read.
    pub fn reads(&self) -> impl Iterator<Item = RoleValue<'_>> {
        self.0
            .iter()
            .flat_map(|(stream, role)| role.reads().into_iter().map(move |(key, from)| RoleValue { key, stream, from }))
    }

    /// Adds tokens to the condition of a prompt.
    pub fn condition(&mut self, prompt: String, tokens: String, weight: f64) {
        let fresh = || StreamRole::Condition { from: IndexMap::new(), instead: None };
        if let StreamRole::Condition { from, .. } = self.0.entry(prompt).or_insert_with(fresh) {
            from.insert(tokens, weight);
        }
    }

    /// Sets the value that takes the place of another in all that it conditions: a prompt, and in an evaluation also its
    /// vectors. `None` if it conditions nothing.
    pub fn replace_condition(&mut self, value: &str, by: &str) -> Option<()> {
        let mut replaced = None;
        for role in self.0.values_mut() {
            if let StreamRole::Condition { from, instead } = role
                && from.contains_key(value)
            {
                *instead = Some(by.to_string());
                replaced = Some(());
            }
        }
        replaced
    }

    /// Sets the noise level of all streams that are observed as a whole.
    pub fn set_given(&mut self, level: Given) {
        for role in self.0.values_mut() {
            if let StreamRole::Observe { given, .. } = role {
                *given = level;
            }
        }
    }

    /// These roles with one sampled stream; the others that would be sampled are absent.
    pub fn alone(&self, sampled: &str) -> Roles {
        let alone = |name: &String, role: &StreamRole| {
            if role.is_sampled() && name != sampled { StreamRole::Absent } else { role.clone() }
        };
        Roles(self.0.iter().map(|(name, role)| (name.clone(), alone(name, role))).collect())
    }
}
