//! A model whose names are resolved.

use anyflow_config::{PartKind, Sampling, ScheduleConfig};
use indexmap::IndexMap;

use crate::component::Found;
use crate::descriptor::{CodecDescriptor, ModuleDescriptor};
use crate::error::Report;
use crate::plan::{Checkpoint, DenoiserConfig, Model, PairConfig, PromptConfig, Stream, Type};
use crate::source::Span;
use crate::spec::SamplerSpec;

/// A model whose names are resolved. Parts with errors are `None`, so that references to them cause no further errors.
pub(crate) struct ModelGraph<'a> {
    pub name: String,
    pub path: String,
    pub license: Option<String>,
    /// `None` if it is wrong or not written.
    pub checkpoint: Option<Checkpoint>,
    pub has_checkpoint: bool,
    /// The start of the file.
    pub span: Span,
    pub streams: IndexMap<String, StreamNode<'a>>,
    pub prompts: IndexMap<String, PromptNode<'a>>,
    /// Denoiser -> its streams, including auxiliary streams, and its part of the plan.
    pub denoisers: IndexMap<String, (Vec<String>, Option<DenoiserConfig>)>,
    /// Denoiser -> the sampler of diffusions that name none.
    pub samplers: IndexMap<String, SamplerSpec>,
    /// Scorers that compare two prompts.
    pub scorers: IndexMap<String, Option<PairConfig>>,
}

/// Streams by name.
pub(super) type Streams<'a> = IndexMap<String, StreamNode<'a>>;

/// The latent of a stream, if it has no errors.
pub(super) fn latent<'s>(streams: &'s Streams, name: &str) -> Option<&'s [i64]> {
    Some(&streams.get(name)?.plan.as_ref()?.latent)
}

/// A stream.
pub(crate) struct StreamNode<'a> {
    /// The component by which pipelines name it: its module, or its codec if it has no module.
    pub component: Option<String>,
    /// Its codec, as written.
    pub codec: Option<String>,
    pub codec_descriptor: Option<&'a CodecDescriptor>,
    pub module: Option<Found<'a, ModuleDescriptor>>,
    pub has_module: bool,
    pub plan: Option<Stream>,
}

/// A prompt.
pub(crate) struct PromptNode<'a> {
    /// Its module, as written; one that is made of others, or of numbers, has none.
    pub component: Option<String>,
    pub codec_descriptor: Option<&'a CodecDescriptor>,
    pub plan: Option<PromptConfig>,
}

impl PromptNode<'_> {
    /// The cells that it reads, as far as they are known.
    pub fn cells(&self) -> Option<Type> {
        let planned = self.plan.as_ref().map(|plan| plan.cells().clone());
        planned.or_else(|| self.codec_descriptor.map(Type::cells))
    }
}

impl StreamNode<'_> {
    /// True if its components exist.
    pub fn is_found(&self) -> bool {
        self.codec_descriptor.is_some() && self.has_module == self.module.is_some()
    }
}

impl ModelGraph<'_> {
    /// The names of its parts of a kind.
    pub fn names(&self, part: PartKind) -> Vec<&str> {
        match part {
            PartKind::Stream => self.streams.keys().map(String::as_str).collect(),
            PartKind::Prompt => self.prompts.keys().map(String::as_str).collect(),
        }
    }

    /// True if the streams of all denoisers exist.
    pub fn denoisers_are_known(&self) -> bool {
        self.denoisers.values().flat_map(|(over, _)| over).all(|stream| self.streams.contains_key(stream))
    }

    /// True if the denoiser cannot generate the stream: an auxiliary stream without a head.
    pub fn is_only_given(&self, denoiser: &str, stream: &str) -> bool {
        let plan = self.denoisers.get(denoiser).and_then(|(_, plan)| plan.as_ref());
        plan.and_then(|plan| plan.companions.get(stream)).is_some_and(|companion| companion.head.is_none())
    }

    /// True for an auxiliary stream of the denoiser, which is never diffused.
    pub fn is_companion(&self, denoiser: &str, stream: &str) -> bool {
        let plan = self.denoisers.get(denoiser).and_then(|(_, plan)| plan.as_ref());
        plan.is_some_and(|plan| plan.companions.contains_key(stream))
    }

    /// The streams that the denoiser diffuses, without auxiliary streams.
    pub fn diffused(&self, denoiser: &str) -> Vec<String> {
        let over = self.denoisers.get(denoiser).into_iter().flat_map(|(over, _)| over);
        over.filter(|stream| !self.is_companion(denoiser, stream)).cloned().collect()
    }

    /// The streams whose latents are concatenated to the channels of the denoiser.
    pub fn planes(&self, denoiser: &str) -> &[String] {
        let plan = self.denoisers.get(denoiser).and_then(|(_, plan)| plan.as_ref());
        plan.map_or(&[], |plan| plan.planes.as_slice())
    }

    /// The schedules of the streams that the denoiser diffuses, of those without errors.
    pub fn schedules(&self, denoiser: &str) -> Vec<(String, &ScheduleConfig)> {
        let Some((_, Some(plan))) = self.denoisers.get(denoiser) else { return Vec::new() };
        let own = |name: &String| self.streams.get(name)?.plan.as_ref()?.schedule.as_ref();
        let streams = self.diffused(denoiser).into_iter();
        streams
            .map(|name| (own(&name).unwrap_or(&plan.schedule), name))
            .map(|(schedule, name)| (name, schedule))
            .collect()
    }

    /// The sampler of a diffusion of the denoiser; a wrong one is reported.
    pub fn sampler(&self, denoiser: &str, written: &SamplerSpec, owner: Span, report: &mut Report) -> Option<Sampling> {
        written.resolve(self.samplers.get(denoiser)?, owner, report)
    }

    /// Everything that guidance of the denoiser can point towards: its streams and prompts.
    pub fn conditions(&self, denoiser: &str) -> Vec<&str> {
        let Some((over, plan)) = self.denoisers.get(denoiser) else { return Vec::new() };
        let prompts = plan.iter().flat_map(|denoiser| &denoiser.prompts);
        over.iter().chain(prompts).map(String::as_str).collect()
    }

    /// The shape of a stream's latent, if nothing in the stream is wrong.
    pub fn shape(&self, stream: &str) -> Option<&[i64]> {
        latent(&self.streams, stream)
    }

    /// The prompts that a prompt is made of: those side by side in it, or itself.
    pub fn parts<'m>(&'m self, prompt: &'m str) -> Vec<&'m str> {
        match self.prompts.get(prompt).and_then(|node| node.plan.as_ref()) {
            Some(PromptConfig::Joined(joined)) => joined.features.iter().map(String::as_str).collect(),
            _ => vec![prompt],
        }
    }

    /// True if a part of it may have weights; a stream without a module has none.
    pub fn has_networks(&self) -> bool {
        let parts = self.prompts.len() + self.denoisers.len() + self.scorers.len();
        parts > 0 || self.streams.values().any(|stream| stream.has_module)
    }

    /// True if a stream or a prompt has this name.
    pub fn has(&self, name: &str) -> bool {
        self.streams.contains_key(name) || self.prompts.contains_key(name)
    }

    /// The plan's model, if nothing in it is wrong.
    pub fn plan(&self) -> Option<Model> {
        let streams = self.streams.iter().map(|(name, stream)| Some((name.clone(), stream.plan.clone()?)));
        let prompts = self.prompts.iter().map(|(name, prompt)| Some((name.clone(), prompt.plan.clone()?)));
        let denoisers = self.denoisers.iter().map(|(name, (_, denoiser))| Some((name.clone(), denoiser.clone()?)));
        let scorers = self.scorers.iter().map(|(name, scorer)| Some((name.clone(), scorer.clone()?)));
        Some(Model {
            name: self.name.clone(),
            source: self.path.clone(),
            license: self.license.clone(),
            checkpoint: self.checkpoint.clone(),
            streams: streams.collect::<Option<_>>()?,
            prompts: prompts.collect::<Option<_>>()?,
            denoisers: denoisers.collect::<Option<_>>()?,
            scorers: scorers.collect::<Option<_>>()?,
        })
    }
}
