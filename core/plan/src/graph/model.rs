//! The model with its components attached and its shapes inferred.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::reads;
use crate::compile::Catalog;
use crate::component::{self, Placed};
use crate::descriptor::{CodecDescriptor, ModuleDescriptor, Role};
use crate::error::Report;
use crate::graph::companions;
use crate::infer::{End, Solver};
use crate::plan::{Companion, Component, Denoiser, Model, Prompt, Stream, Type};
use crate::problem::Problem;
use crate::source::{Source, Span, SpannedString};
use crate::spec::{DenoiserSpec, ModelSpec, StreamSpec, Use, unknown};

/// A model whose names are resolved. Parts with errors are `None`, so that what refers to them is not blamed.
pub(crate) struct ModelGraph<'a> {
    pub name: String,
    pub path: String,
    pub checkpoint: Option<String>,
    /// Where the file begins.
    pub span: Span,
    pub streams: IndexMap<String, StreamNode<'a>>,
    pub prompts: IndexMap<String, PromptNode<'a>>,
    /// Denoiser -> its streams, companions among them, and what the plan says of it.
    pub denoisers: IndexMap<String, (Vec<String>, Option<Denoiser>)>,
}

/// A stream.
pub(crate) struct StreamNode<'a> {
    /// The component that pipelines name it by: its module, or its codec if it has none.
    pub component: Option<String>,
    /// Its codec, as written.
    pub codec: Option<String>,
    pub codec_descriptor: Option<&'a CodecDescriptor>,
    pub module: Option<(Placed<'a>, &'a ModuleDescriptor)>,
    pub has_module: bool,
    pub plan: Option<Stream>,
}

/// A prompt.
pub(crate) struct PromptNode<'a> {
    /// Its module, as written.
    pub component: Option<String>,
    pub codec_descriptor: Option<&'a CodecDescriptor>,
    pub plan: Option<Prompt>,
}

impl StreamNode<'_> {
    /// Whether its components exist.
    pub fn is_found(&self) -> bool {
        self.codec_descriptor.is_some() && self.has_module == self.module.is_some()
    }
}

impl ModelGraph<'_> {
    /// Whether all denoisers are over streams that exist.
    pub fn denoisers_are_known(&self) -> bool {
        self.denoisers.values().flat_map(|(over, _)| over).all(|stream| self.streams.contains_key(stream))
    }

    /// Whether a stream of a denoiser is only ever given to it: a companion without a head.
    pub fn is_only_given(&self, denoiser: &str, stream: &str) -> bool {
        let plan = self.denoisers.get(denoiser).and_then(|(_, plan)| plan.as_ref());
        plan.and_then(|plan| plan.companions.get(stream)).is_some_and(|companion| companion.head.is_none())
    }

    /// Whether a stream of a denoiser is never diffused.
    pub fn is_companion(&self, denoiser: &str, stream: &str) -> bool {
        let plan = self.denoisers.get(denoiser).and_then(|(_, plan)| plan.as_ref());
        plan.is_some_and(|plan| plan.companions.contains_key(stream))
    }

    /// Whether there is a stream or a prompt of this name.
    pub fn has(&self, name: &str) -> bool {
        self.streams.contains_key(name) || self.prompts.contains_key(name)
    }

    /// The plan's model, when nothing in it is wrong.
    pub fn plan(&self) -> Option<Model> {
        let streams = self.streams.iter().map(|(name, stream)| Some((name.clone(), stream.plan.clone()?)));
        let prompts = self.prompts.iter().map(|(name, prompt)| Some((name.clone(), prompt.plan.clone()?)));
        let denoisers = self.denoisers.iter().map(|(name, (_, denoiser))| Some((name.clone(), denoiser.clone()?)));
        Some(Model {
            name: self.name.clone(),
            source: self.path.clone(),
            checkpoint: self.checkpoint.clone(),
            streams: streams.collect::<Option<_>>()?,
            prompts: prompts.collect::<Option<_>>()?,
            denoisers: denoisers.collect::<Option<_>>()?,
        })
    }
}

/// Resolves a model.
pub(crate) fn resolve_model<'a>(
    spec: &ModelSpec,
    source: &Source,
    catalog: &'a Catalog,
    report: &mut Report,
) -> ModelGraph<'a> {
    let streams: IndexMap<_, _> =
        spec.streams.iter().map(|spec| (spec.name.value.clone(), stream(spec, catalog, report))).collect();
    let prompts: IndexMap<_, _> =
        spec.prompts.iter().map(|spec| (spec.name.value.clone(), prompt(spec, catalog, report))).collect();
    let denoisers: IndexMap<_, _> = spec
        .denoisers
        .iter()
        .map(|denoiser_spec| {
            let companions = companions::of_denoiser(denoiser_spec, spec, &streams, report);
            (denoiser_spec.name.value.clone(), denoiser(denoiser_spec, companions, &streams, &prompts, report))
        })
        .collect();
    companions::check(spec, &streams, report);
    ModelGraph {
        name: spec.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        path: source.path.clone(),
        span: spec.span,
        checkpoint: spec.checkpoint.as_ref().map(|path| source.beside(&path.value)),
        denoisers,
        streams,
        prompts,
    }
}

fn stream<'a>(spec: &StreamSpec, catalog: &'a Catalog, report: &mut Report) -> StreamNode<'a> {
    let codec = spec.codec.as_ref().and_then(|used| component::codec(used, catalog, report));
    let module = spec.module.as_ref().and_then(|used| component::module(used, catalog, report));
    let name = |text: &Option<crate::spec::Use>| text.as_ref().map(|used| used.component.value.clone());
    let complete = spec.has_module == module.is_some();
    let plan = codec.as_ref().filter(|_| complete).and_then(|codec| infer(spec, codec, module.as_ref(), report));
    StreamNode {
        component: if spec.has_module { name(&spec.module) } else { name(&spec.codec) },
        codec: name(&spec.codec),
        codec_descriptor: codec.as_ref().map(|(_, descriptor)| *descriptor),
        module,
        has_module: spec.has_module,
        plan,
    }
}

/// Key of the codec in an inference.
const CODEC: &str = "codec";
/// Key of the module in an inference.
const MODULE: &str = "module";

fn infer(
    spec: &StreamSpec,
    (codec, descriptor): &(Placed, &CodecDescriptor),
    module: Option<&(Placed, &ModuleDescriptor)>,
    report: &mut Report,
) -> Option<Stream> {
    let (sizes, span) = spec.latent.as_ref()?;
    let mut solver = Solver::default();
    let array = solver.port(CODEC, codec, &descriptor.array, "the array");
    let latent = solver.shape(&format!("the latent of stream `{}`", spec.name.value), *span, sizes);
    match module {
        Some((placed, module)) => {
            if encoding(module).is_none() && component::role(module, Role::Decode).is_none() {
                component::need_role(module, Role::Encode, &placed.component, placed.component.span, report)?;
            }
            same_modality(codec, descriptor, placed, module, report);
            attach(&mut solver, placed, module, &array, &latent, report);
        }
        None => solver.unify(&array, &latent, report),
    }
    solver.settle(CODEC, codec);
    let by = module.and_then(|(_, module)| encoding(module)).unwrap_or(Role::Encode);
    let module = module.map(|(placed, _)| {
        solver.settle(MODULE, placed);
        solver.component(MODULE, placed, report)
    });
    let codec = solver.component(CODEC, codec, report);
    let array = Type::array(&descriptor.modality, &descriptor.array, solver.sizes(&array)?);
    let modality = descriptor.modality.clone();
    let (cells, latent, schedule) = (Type::cells(descriptor), sizes.clone(), spec.schedule.clone());
    Some(Stream { modality, codec, cells, array, module, by, latent, schedule })
}

/// What a module does to make a latent of an array: it encodes, or else embeds, or else extracts features, as modules do
/// that have no way back.
pub(crate) fn encoding(module: &ModuleDescriptor) -> Option<Role> {
    let plays = |role: &Role| component::role(module, *role).is_some();
    let ways = if plays(&Role::Decode) { &[Role::Encode][..] } else { &[Role::Encode, Role::Embed, Role::Features] };
    ways.iter().copied().find(plays)
}

/// The codec that reads the cells of a stream in place of its own, giving arrays of the same form; what is wrong is
/// reported.
pub(crate) fn read_by(
    used: &Use,
    name: &SpannedString,
    own: &Stream,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<Component> {
    let codec = component::codec(used, catalog, report)?;
    let (shape, _) = own.array.elements()?;
    let spec = StreamSpec {
        name: name.clone(),
        codec: Some(used.clone()),
        module: None,
        has_module: false,
        latent: Some((shape.to_vec(), used.component.span)),
        schedule: None,
        aggregates: Vec::new(),
    };
    infer(&spec, &codec, None, report).map(|stream| stream.codec)
}

fn prompt<'a>(spec: &StreamSpec, catalog: &'a Catalog, report: &mut Report) -> PromptNode<'a> {
    let codec = spec.codec.as_ref().and_then(|used| component::codec(used, catalog, report));
    let module = spec.module.as_ref().and_then(|used| component::module(used, catalog, report));
    let plan =
        codec.as_ref().zip(module.as_ref()).and_then(|(codec, module)| infer_prompt(spec, codec, module, report));
    PromptNode {
        component: spec.module.as_ref().map(|used| used.component.value.clone()),
        codec_descriptor: codec.as_ref().map(|(_, descriptor)| *descriptor),
        plan,
    }
}

fn infer_prompt(
    spec: &StreamSpec,
    (codec, descriptor): &(Placed, &CodecDescriptor),
    (placed, module): &(Placed, &ModuleDescriptor),
    report: &mut Report,
) -> Option<Prompt> {
    let (sizes, span) = spec.latent.as_ref()?;
    let mut solver = Solver::default();
    let array = solver.port(CODEC, codec, &descriptor.array, "the array");
    let tokens = solver.shape(&format!("the tokens of prompt `{}`", spec.name.value), *span, sizes);
    let (input, output) = component::need_role(module, Role::Embed, &placed.component, placed.component.span, report)?;
    same_modality(codec, descriptor, placed, module, report);
    let (input, output) = (
        solver.port(MODULE, placed, input, "the input to embed"),
        solver.port(MODULE, placed, output, "the output of embed"),
    );
    solver.unify(&array, &input, report);
    solver.unify(&tokens, &output, report);
    solver.settle(CODEC, codec);
    solver.settle(MODULE, placed);
    let (of_module, of_codec) = (solver.component(MODULE, placed, report), solver.component(CODEC, codec, report));
    let array = Type::array(&descriptor.modality, &descriptor.array, solver.sizes(&array)?);
    Some(Prompt {
        modality: descriptor.modality.clone(),
        codec: of_codec,
        cells: Type::cells(descriptor),
        array,
        module: of_module,
        tokens: sizes.clone(),
    })
}

/// Lets a module meet the codec on one side and the latent on the other, in both directions.
fn attach(
    solver: &mut Solver,
    placed: &Placed,
    module: &ModuleDescriptor,
    array: &End,
    latent: &End,
    report: &mut Report,
) {
    let by = encoding(module);
    for role in module.roles.iter().filter(|role| Some(role.role) == by || role.role == Role::Decode) {
        let word = component::word(role.role);
        let input = solver.port(MODULE, placed, &role.input, &format!("the input to {word}"));
        let output = solver.port(MODULE, placed, &role.output, &format!("the output of {word}"));
        let (at_array, at_latent) = if Some(role.role) == by { (input, output) } else { (output, input) };
        solver.unify(array, &at_array, report);
        solver.unify(latent, &at_latent, report);
    }
}

fn same_modality(
    codec: &Placed,
    descriptor: &CodecDescriptor,
    placed: &Placed,
    module: &ModuleDescriptor,
    report: &mut Report,
) {
    if descriptor.modality != module.modality {
        let one = format!("{} is for {}", codec.label(), descriptor.modality);
        let other = format!("{} for {}", placed.label(), module.modality);
        let problem = Problem::Mismatch { what: "modalities", one, other };
        report.error_with(placed.component.span, problem, codec.component.span, "the codec");
    }
}

fn denoiser(
    spec: &DenoiserSpec,
    (beside, companions): (Vec<String>, Option<IndexMap<String, Companion>>),
    streams: &IndexMap<String, StreamNode>,
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> (Vec<String>, Option<Denoiser>) {
    for name in spec.over.iter().filter(|name| !streams.contains_key(&name.value)) {
        unknown("stream", name, streams.keys().map(String::as_str), report);
    }
    for name in spec.prompts.iter().filter(|name| !prompts.contains_key(&name.value)) {
        unknown("prompt", name, prompts.keys().map(String::as_str), report);
    }
    one_shape(spec, prompts, report);
    let over: Vec<String> = spec.over.iter().map(|name: &SpannedString| name.value.clone()).collect();
    if over.is_empty() {
        let what = format!("denoiser `{}`", spec.name.value);
        report.error(spec.name.span, Problem::Impossible { what, reason: "is over no stream".into() });
    }
    if let Some(network) = &spec.network {
        fit(network, spec, streams, report);
    }
    let plan = || {
        Some(Denoiser {
            over: over.clone(),
            companions: companions?,
            prompts: spec.prompts.iter().map(|name| name.value.clone()).collect(),
            network: spec.network.clone()?,
            predict: spec.predict.clone()?,
            schedule: spec.schedule.clone()?,
            precision: spec.precision.clone()?,
        })
    };
    let plan = plan();
    (over.into_iter().chain(beside).collect(), plan)
}

/// Prompts of one denoiser are mixed, so that they must be of one shape.
fn one_shape(spec: &DenoiserSpec, prompts: &IndexMap<String, PromptNode>, report: &mut Report) {
    let shape = |name: &SpannedString| prompts.get(&name.value)?.plan.as_ref().map(|plan| plan.tokens.clone());
    let mut shapes = spec.prompts.iter().filter_map(|name| Some((name, shape(name)?)));
    let Some((first, wanted)) = shapes.next() else { return };
    for (name, found) in shapes.filter(|(_, found)| *found != wanted) {
        let (one, other) =
            (format!("prompt `{}` is {found:?}", name.value), format!("prompt `{}` {wanted:?}", first.value));
        report.error(name.span, Problem::Mismatch { what: "tokens", one, other });
    }
}

/// Refuses streams that the network cannot read. Streams with errors of their own are not blamed.
fn fit(network: &Json, spec: &DenoiserSpec, streams: &IndexMap<String, StreamNode>, report: &mut Report) {
    reads::check(network, spec, report);
    match network["parts"].as_object() {
        None => fit_together(network, &spec.over, spec, streams, report),
        Some(parts) => {
            for stream in &spec.over {
                match parts.get(&stream.value) {
                    Some(part) => fit_together(part, std::slice::from_ref(stream), spec, streams, report),
                    None => {
                        let reason = format!("has no network for stream `{}` in `parts`", stream.value);
                        let what = format!("denoiser `{}`", spec.name.value);
                        report.error(stream.span, Problem::Impossible { what, reason });
                    }
                }
            }
            for stranger in parts.keys().filter(|part| !spec.over.iter().any(|stream| stream.value == **part)) {
                let reason = format!("has a network in `parts` for `{stranger}`, which it is not over");
                let what = format!("denoiser `{}`", spec.name.value);
                report.error(spec.name.span, Problem::Impossible { what, reason });
            }
        }
    }
}

/// Refuses streams that one network cannot read side by side.
fn fit_together(
    network: &Json,
    over: &[SpannedString],
    spec: &DenoiserSpec,
    streams: &IndexMap<String, StreamNode>,
    report: &mut Report,
) {
    let latent = |name: &SpannedString| Some(streams.get(&name.value)?.plan.as_ref()?.latent.as_slice());
    let known: Vec<_> = over.iter().filter_map(|name| Some((name, latent(name)?))).collect();
    let size = |shape: &[i64]| match *shape {
        [_, height, width] => Some((None, height, width)),
        [frames, _, height, width] => Some((Some(frames), height, width)),
        _ => None,
    };
    let patch = network["patch"].as_i64().unwrap_or(1).max(1);
    for (name, shape) in &known {
        let wanted = match network["kind"].as_str() {
            Some("unet") if network["temporal"] == true && shape.len() != 4 => {
                "with `temporal` are [frame, channel, height, width]".to_string()
            }
            Some("unet") if size(shape).is_none() || size(shape) != size(known[0].1) => {
                let first = format!("`{}` is {:?}", known[0].0.value, known[0].1);
                format!("are all [channel, height, width] or all [frame, channel, height, width], of one size; {first}")
            }
            Some("transformer")
                if size(shape).is_some_and(|(_, height, width)| height % patch != 0 || width % patch != 0) =>
            {
                format!("have a height and a width that `patch` = {patch} divides")
            }
            Some("transformer") if shape.is_empty() || shape.len() > 4 => "have one to four axes".to_string(),
            _ => continue,
        };
        let what = format!("denoiser `{}`", spec.name.value);
        let reason = format!("has a network whose streams {wanted}; `{}` is {shape:?}", name.value);
        report.error(name.span, Problem::Impossible { what, reason });
    }
}
