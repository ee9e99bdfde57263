//! Rule: the parts of a network can attend to what they must, and name sites of the networks that they read.

use anyflow_config::network::{Architecture, DualStream, FeatureReading, Part};
use anyflow_config::{Network, SiteSpec};

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::{CodeEntry, Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, ModelSpec, unknown};

problems! {
    /// What can be wrong with networks that attend to prompts or to other streams.
    pub(crate) enum ReadsProblem {
        /// A network reads the features of a network that reads another one, or itself.
        /// Example: `reads: {x: {stream: y}, y: {stream: z}}`.
        /// Cure: Read a network that reads none.
        #[error("`{reader}` cannot read `{trunk}`, because `{trunk}` reads another stream")]
        ChainedReads { reader: String, trunk: String },
        /// A network of a kind that cannot attend to other streams is coupled, or has `reads`.
        /// Example: `reads` of a part of kind `unet-mlp`.
        /// Cure: Use another kind of network for this part.
        #[error("`parts.{reader}`: a `{kind}` cannot attend to another stream; use another network")]
        CannotRead { reader: String, kind: &'static str },
        /// A denoiser has prompts, and a network of a kind that cannot attend to them.
        /// Example: `prompts: [words]` with `network: {kind: unet-mlp}`.
        /// Cure: Use another kind of network, or remove `prompts`.
        #[error("denoiser `{denoiser}` has prompts, but a `{kind}` cannot attend to them; use another network")]
        CannotReadPrompts { denoiser: String, kind: &'static str },
    }
}

pub(super) struct Reads;

impl Rule for Reads {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        for denoiser in &spec.denoisers {
            if let Some(network) = &denoiser.network {
                check(network, denoiser, model, report);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ReadsProblem::codes()
    }
}

/// Checks the parts of a network, and `reads`, if it has any.
fn check(network: &Network, spec: &DenoiserSpec, model: &ModelGraph, report: &mut Report) {
    let prompted = !spec.prompts.is_empty();
    for part in network.parts().into_iter().filter(|part| !part.part.can_attend()) {
        let kind = part.part.name();
        match part.stream {
            Some(stream) if part.reads_streams => {
                report.error(spec.name.span, ReadsProblem::CannotRead { reader: stream.to_string(), kind });
            }
            _ if part.reads_prompt && prompted => {
                let denoiser = spec.name.value.clone();
                report.error(spec.name.span, ReadsProblem::CannotReadPrompts { denoiser, kind });
            }
            _ => {}
        }
    }
    if let Network::DualStream(dual) = network {
        dual.reads.iter().for_each(|(reader, reading)| check_reading(reader, reading, dual, spec, model, report));
    }
}

fn check_reading(
    reader: &str,
    reading: &FeatureReading,
    DualStream { parts, reads }: &DualStream,
    spec: &DenoiserSpec,
    model: &ModelGraph,
    report: &mut Report,
) {
    let trunk = reading.stream.as_str();
    for stream in [reader, trunk].into_iter().filter(|stream| !parts.contains_key(*stream)) {
        let name = SpannedString::new(stream.to_string(), spec.name.span);
        unknown("part", &name, parts.keys().map(String::as_str), report);
    }
    if reads.contains_key(trunk) {
        let problem = ReadsProblem::ChainedReads { reader: reader.to_string(), trunk: trunk.to_string() };
        report.error(spec.name.span, problem);
    }
    if let (Some(part), Some(shape)) = (parts.get(trunk), model.shape(trunk)) {
        check_sites(part, shape, reading, spec, report);
    }
}

/// Checks the sites in a network over a stream of this shape; a shape that the network cannot take is reported elsewhere.
fn check_sites(trunk: &Part, shape: &[i64], reading: &FeatureReading, spec: &DenoiserSpec, report: &mut Report) {
    if trunk.needs(shape, shape).is_some() {
        return;
    }
    let sites = trunk.sites(&[shape]);
    let known: Vec<String> = sites.iter().map(|spec| spec.site.to_string()).collect();
    if reading.sites.is_empty() {
        let wanted = format!("at least one site of `{}` ({})", reading.stream, known.join(", "));
        report.error(spec.name.span, Problem::WrongCount { what: "`sites`".into(), wanted, found: 0 });
    }
    for name in reading.sites.iter().filter(|name| SiteSpec::named(&sites, name).is_none()) {
        let owner = format!("the network of `{}`", reading.stream);
        let hint = Hint::among(name, known.iter().map(String::as_str));
        report.error(spec.name.span, Problem::NotThere { owner, what: "site".into(), name: name.clone(), hint });
    }
}
