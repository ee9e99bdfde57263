//! Roles of streams in a diffusion (generated, observed, marginalized, absent), and the choice of its denoiser.

use anyflow_config::{Guidance, Sampling};

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::{Given, Task};
use crate::problem::{Hint, Problem, problems};
use crate::source::{Span, SpannedString};
use crate::spec::unknown;

problems! {
    /// What can be wrong with the streams of a diffusion.
    pub(crate) enum DiffusionProblem {
        /// No denoiser of the model has all the streams that a node or task names.
        /// Example: `diffuse: [x, y]` with one denoiser over `x` and another over `y`.
        /// Cure: Name streams of one denoiser, or add a denoiser over all of them to the model.
        #[error("no denoiser of the model has all the streams {}{hint}", .streams.join(", "))]
        NoDenoiser { streams: Vec<String>, hint: Hint },
        /// A node or task generates an auxiliary stream, which only a head can predict, and it has none.
        /// Example: `diffuse: [label]`, where `label` is only added into another stream (`aggregate`).
        /// Cure: Observe the stream, list it under `absent`, or add a head to the model.
        #[error("stream `{stream}` has no head to predict it; observe it, or list it under `absent`")]
        NoHead { stream: String },
    }
}

/// A diffusion whose streams and denoiser are known.
#[derive(Clone, Debug)]
pub(crate) struct Diffusion {
    pub denoiser: String,
    pub lists: StreamLists,
    /// Generated streams that are observed in part.
    pub partly: Vec<String>,
    /// Prompts, by the reference as written, with weights.
    pub condition: Vec<(String, f64)>,
    pub sampler: Sampling,
    pub guidance: Option<Guidance>,
    pub given: Given,
    pub seed: u64,
}

/// The streams of a denoiser by role, and the prompts.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamLists {
    pub generate: Vec<String>,
    pub observe: Vec<String>,
    pub marginalize: Vec<String>,
    pub absent: Vec<String>,
    pub prompts: Vec<String>,
}

impl StreamLists {
    /// Everything that guidance can point towards.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.observe.iter().chain(&self.prompts).map(String::as_str)
    }

    /// The streams that are sampled.
    pub fn generated(&self) -> impl Iterator<Item = &String> {
        self.generate.iter().chain(&self.marginalize)
    }

    /// The lists of a resolved task.
    pub fn of(task: &Task) -> StreamLists {
        StreamLists {
            generate: task.generate.clone(),
            observe: task.observe.clone(),
            marginalize: task.marginalize.clone(),
            absent: task.absent.clone(),
            prompts: task.condition.keys().cloned().collect(),
        }
    }
}

/// The lists as written: key and streams.
pub(crate) type Written<'s> = [(&'static str, Vec<&'s SpannedString>); 4];

/// The denoiser: the named one, or the only one that has all these streams.
pub(crate) fn choose_denoiser(
    named: Option<&SpannedString>,
    streams: &[&SpannedString],
    owner: Span,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<String> {
    if let Some(name) = named {
        if model.denoisers.contains_key(&name.value) {
            return Some(name.value.clone());
        }
        unknown("denoiser", name, model.denoisers.keys().map(String::as_str), report);
        return None;
    }
    let is_over = |over: &[String]| streams.iter().all(|stream| over.contains(&stream.value));
    let mut fitting = model.denoisers.iter().filter(|(_, (over, _))| is_over(over)).map(|(name, _)| name.clone());
    let first = fitting.next();
    let rest = fitting.collect::<Vec<_>>();
    match first {
        Some(name) if rest.is_empty() => Some(name),
        Some(name) => {
            let candidates = [vec![name], rest].concat();
            let remedy = "name one with `denoiser`".into();
            report.error(owner, Problem::Ambiguous { what: "the denoiser".into(), candidates, remedy });
            None
        }
        None if !model.denoisers_are_known() => None,
        None => {
            let known = model.denoisers.iter().map(|(name, (over, _))| format!("{name} over {}", over.join(" + ")));
            let hint = Hint { suggestion: None, known: known.collect() };
            let streams = streams.iter().map(|stream| stream.value.clone()).collect();
            report.error(owner, DiffusionProblem::NoDenoiser { streams, hint });
            None
        }
    }
}

/// Refuses unknown streams and streams in two lists; `true` if all are known.
pub(crate) fn known_streams(written: &Written, model: &ModelGraph, report: &mut Report) -> bool {
    let mut good = true;
    let mut seen: Vec<(&str, &SpannedString)> = Vec::new();
    for (word, streams) in written {
        for stream in streams {
            if !model.streams.contains_key(&stream.value) {
                unknown("stream", stream, model.streams.keys().map(String::as_str), report);
                good = false;
            } else if let Some((first, text)) = seen.iter().find(|(_, text)| text.value == stream.value) {
                let problem = Problem::Duplicate { what: "stream".into(), name: stream.value.clone() };
                report.error_with(stream.span, problem, text.span, format!("first given here, in `{first}`"));
                good = false;
            } else {
                seen.push((word, stream));
            }
        }
    }
    good
}

/// Puts every stream of the denoiser in one list. Streams that are not named are marginalized, or absent if they cannot be
/// generated.
pub(crate) fn resolve_lists(
    written: &Written,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<StreamLists> {
    let (over, _) = model.denoisers.get(denoiser)?;
    let named = written.iter().flat_map(|(_, streams)| streams);
    for stream in named.filter(|stream| model.streams.contains_key(&stream.value) && !over.contains(&stream.value)) {
        let owner = format!("denoiser `{denoiser}`");
        let what = "stream".into();
        let hint = Hint::among(&stream.value, over.iter().map(String::as_str));
        report.error(stream.span, Problem::NotThere { owner, what, name: stream.value.clone(), hint });
    }
    let list = |index: usize| written[index].1.iter().map(|stream| stream.value.clone()).collect::<Vec<_>>();
    let generate = list(0);
    let observe = list(1);
    let marginalize = list(2);
    let absent = list(3);
    let mut lists = StreamLists { generate, observe, marginalize, absent, prompts: Vec::new() };
    for stream in over {
        if !written.iter().any(|(_, streams)| streams.iter().any(|named| named.value == *stream)) {
            let list = if model.is_only_given(denoiser, stream) { &mut lists.absent } else { &mut lists.marginalize };
            list.push(stream.clone());
        }
    }
    let generated = written[0].1.iter().chain(&written[2].1);
    for stream in generated.filter(|stream| model.is_only_given(denoiser, &stream.value)) {
        report.error(stream.span, DiffusionProblem::NoHead { stream: stream.value.clone() });
    }
    Some(lists)
}
