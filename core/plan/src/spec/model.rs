//! A model as written.

mod prompt;

use anyflow_config::{
    Mapped, Network, PairScorer, Parameterization, Precision, Sampling, ScheduleConfig, TimeVectors, ValueForm,
};
use serde_json::Value as Json;

use crate::compile::FileKind;
use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::{Span, SpannedString};
use crate::spec::companions::{aggregates, heads};
use crate::spec::network::sizes_fit;
use crate::spec::parts::{CheckpointSpec, checkpoint};
use crate::spec::{AggregateSpec, HeadSpec, SamplerSpec, check_name, check_unique, open};
use crate::surface::{self, Fields, Reader};
use crate::yaml::{Content, Entry, Node};

pub(crate) use prompt::PromptSpec;
use prompt::prompt;

/// A model file.
#[derive(Debug)]
pub(crate) struct ModelSpec {
    pub name: Option<SpannedString>,
    pub license: Option<SpannedString>,
    pub checkpoint: Option<CheckpointSpec>,
    /// A checkpoint is written, even if it could not be read.
    pub has_checkpoint: bool,
    pub span: Span,
    pub streams: Vec<StreamSpec>,
    pub prompts: Vec<PromptSpec>,
    pub denoisers: Vec<DenoiserSpec>,
    pub heads: Vec<HeadSpec>,
    /// Scorers that compare two prompts; `None` for one that could not be read.
    pub scorers: Vec<(SpannedString, Option<PairScorer>)>,
}

/// A stream. Values that could not be read are `None` and were reported.
#[derive(Debug)]
pub(crate) struct StreamSpec {
    pub name: SpannedString,
    pub codec: Option<Use>,
    pub module: Option<Use>,
    /// A module is written, even if it could not be read.
    pub has_module: bool,
    pub latent: Option<(Vec<i64>, Span)>,
    /// Its own schedule; by default that of its denoiser.
    pub schedule: Option<ScheduleConfig>,
    /// Auxiliary streams that are added into it.
    pub aggregates: Vec<AggregateSpec>,
}

/// A denoiser.
#[derive(Debug)]
pub(crate) struct DenoiserSpec {
    pub name: SpannedString,
    pub over: Vec<SpannedString>,
    pub prompts: Vec<SpannedString>,
    pub planes: Vec<SpannedString>,
    pub vectors: Option<TimeVectors>,
    pub network: Option<Network>,
    pub predict: Option<Parameterization>,
    pub schedule: Option<ScheduleConfig>,
    pub precision: Option<Precision>,
    /// Empty if it is wrong, which was reported.
    pub sampler: SamplerSpec,
}

/// `plugin/component`, with parameters if it is written as a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub component: SpannedString,
    pub parameters: Vec<Entry>,
}

/// Reads a model.
pub(crate) fn model(root: &Node, report: &mut Report) -> Option<ModelSpec> {
    let fields = open(root, FileKind::Model, &surface::MODEL, report)?;
    if fields.entry("streams").is_none() && fields.entry("prompts").is_none() {
        let problem = Problem::MissingKey { key: "streams".into(), within: fields.within.clone() };
        report.error(root.span, problem);
    }
    let streams: Vec<_> = fields.names("streams", report).iter().map(|entry| stream(entry, report)).collect();
    let prompts: Vec<_> = fields.names("prompts", report).iter().map(|entry| prompt(entry, report)).collect();
    let names = streams.iter().map(|spec| &spec.name).chain(prompts.iter().map(|spec| &spec.name));
    check_unique("stream or prompt", names, report);
    let denoisers: Vec<_> = fields.names("denoisers", report).iter().map(|entry| denoiser(entry, report)).collect();
    Some(ModelSpec {
        name: fields.text("name", report),
        license: fields.text("license", report),
        checkpoint: checkpoint(&fields, report),
        has_checkpoint: fields.entry("checkpoint").is_some(),
        span: root.span,
        streams,
        prompts,
        denoisers,
        heads: heads(&fields, report),
        scorers: fields.names("scorers", report).iter().map(|entry| scorer(entry, report)).collect(),
    })
}

fn stream(entry: &Entry, report: &mut Report) -> StreamSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("stream `{}`", name.value);
    let mut spec = StreamSpec {
        name,
        codec: None,
        module: None,
        has_module: false,
        latent: None,
        schedule: None,
        aggregates: Vec::new(),
    };
    let Some(fields) = Fields::open(&entry.node, &surface::STREAM, within, spec.name.span, report) else {
        return spec;
    };
    spec.codec = used(&fields, "codec", report);
    spec.module = used(&fields, "module", report);
    spec.has_module = fields.entry("module").is_some();
    spec.latent = shape(&fields, "latent", report);
    spec.schedule = fields.value("schedule", report);
    spec.aggregates = aggregates(&fields, report);
    spec
}

/// A written shape.
fn shape(fields: &Fields, key: &str, report: &mut Report) -> Option<(Vec<i64>, Span)> {
    let entry = fields.entry(key)?;
    let sizes = fields.json(key, report)?;
    let sizes: Vec<i64> = sizes.value.as_array()?.iter().filter_map(Json::as_i64).collect();
    Some((sizes, entry.key.span))
}

fn scorer(entry: &Entry, report: &mut Report) -> (SpannedString, Option<PairScorer>) {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("scorer `{}`", name.value);
    let fields = Fields::open(&entry.node, PairScorer::MAPPING, within, name.span, report);
    let scorer = fields.and_then(|fields| fields.part(report));
    (name, scorer)
}

fn denoiser(entry: &Entry, report: &mut Report) -> DenoiserSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("denoiser `{}`", name.value);
    let mut spec = DenoiserSpec {
        name,
        over: Vec::new(),
        prompts: Vec::new(),
        planes: Vec::new(),
        vectors: None,
        network: None,
        predict: None,
        schedule: None,
        precision: None,
        sampler: SamplerSpec::default(),
    };
    let Some(fields) = Fields::open(&entry.node, &surface::DENOISER, within, spec.name.span, report) else {
        return spec;
    };
    spec.over = fields.texts("over", report);
    check_unique("stream", &spec.over, report);
    spec.prompts = fields.texts("prompts", report);
    check_unique("prompt", &spec.prompts, report);
    spec.planes = fields.texts("planes", report);
    check_unique("plane", &spec.planes, report);
    spec.vectors = fields.value("vectors", report);
    spec.predict = fields.value("predict", report);
    spec.precision = fields.value("precision", report);
    if fields.value::<Sampling>("sampler", report).is_some() {
        spec.sampler = SamplerSpec::read(&fields);
    }
    let network: Option<Network> = fields.value("network", report);
    spec.network = network.filter(|network| sizes_fit(&fields, network, !spec.prompts.is_empty(), report));
    spec.schedule = fields.value("schedule", report);
    spec
}

/// The component named by a key.
pub(crate) fn used(fields: &Fields, key: &str, report: &mut Report) -> Option<Use> {
    let entry = fields.entry(key)?;
    component_use(entry, &format!("`{key}` of {}", fields.within), report)
}

/// Reads `plugin/component` or `{use: plugin/component, ...}`.
pub(crate) fn component_use(entry: &Entry, what: &str, report: &mut Report) -> Option<Use> {
    match &entry.node.content {
        Content::String(text) => {
            let component = SpannedString::new(text.clone(), entry.node.span);
            Some(Use { component, parameters: Vec::new() })
        }
        Content::Mapping(entries) => {
            let Some(named) = entries.iter().find(|inner| inner.key.value == "use") else {
                missing_use(entry, entries, what, report);
                return None;
            };
            let component = crate::surface::text(&named.node, &format!("`use` of {what}"), report)?;
            let parameters = entries.iter().filter(|inner| inner.key.value != "use").cloned().collect();
            Some(Use { component, parameters })
        }
        _ => {
            ValueForm::Use.wrong(&entry.node, what, report);
            None
        }
    }
}

fn missing_use(entry: &Entry, entries: &[Entry], what: &str, report: &mut Report) {
    let hint = entries.iter().map(|inner| (&inner.key, Hint::among(&inner.key.value, ["use"])));
    match hint.into_iter().find(|(_, hint)| hint.suggestion.is_some()) {
        Some((key, hint)) => {
            let problem = Problem::UnknownKey { key: key.value.clone(), within: what.into(), hint };
            report.error(key.span, problem);
        }
        None => report.error(entry.key.span, Problem::MissingKey { key: "use".into(), within: what.into() }),
    }
}
