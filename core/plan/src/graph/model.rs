//! Resolves a model: finds its components and infers its shapes.

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::component::{self, Found};
use crate::descriptor::{CodecDescriptor, ModuleDescriptor, Role};
use crate::error::Report;
use crate::graph::companions::{self, Auxiliary};
use crate::graph::model_graph::Streams;
use crate::graph::pairs::resolve_pairs;
use crate::graph::prompts::resolve_prompts;
use crate::graph::vectors::resolve_vectors;
use crate::graph::{ModelGraph, PromptNode, StreamNode, parts};
use crate::infer::{CODEC, End, MODULE, Solver};
use crate::plan::{Component, DenoiserConfig, Stream, Type};
use crate::problem::Problem;
use crate::source::{Source, SpannedString};
use crate::spec::{DenoiserSpec, ModelSpec, StreamSpec, Use, unknown};

/// Resolves a model.
pub(crate) fn resolve_model<'a>(
    spec: &ModelSpec,
    source: &Source,
    catalog: &'a Catalog,
    report: &mut Report,
) -> ModelGraph<'a> {
    let streams: IndexMap<_, _> =
        spec.streams.iter().map(|spec| (spec.name.value.clone(), stream(spec, catalog, report))).collect();
    let prompts = resolve_prompts(&spec.prompts, catalog, report);
    let denoisers: IndexMap<_, _> = spec
        .denoisers
        .iter()
        .map(|denoiser_spec| {
            let auxiliary = companions::of_denoiser(denoiser_spec, spec, &streams, report);
            (denoiser_spec.name.value.clone(), denoiser(denoiser_spec, auxiliary, &streams, &prompts, report))
        })
        .collect();
    companions::check(spec, &streams, report);
    let samplers = spec.denoisers.iter().map(|denoiser| (denoiser.name.value.clone(), denoiser.sampler.clone()));
    let scorers = resolve_pairs(spec, &prompts, report);
    ModelGraph {
        samplers: samplers.collect(),
        name: spec.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        path: source.path.clone(),
        span: spec.span,
        license: spec.license.as_ref().map(|license| license.value.clone()),
        checkpoint: parts::checkpoint(spec, source, report),
        has_checkpoint: spec.has_checkpoint,
        denoisers,
        scorers,
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
        codec_descriptor: codec.as_ref().map(|codec| codec.descriptor),
        module,
        has_module: spec.has_module,
        plan,
    }
}

fn infer(
    spec: &StreamSpec,
    codec: &Found<CodecDescriptor>,
    module: Option<&Found<ModuleDescriptor>>,
    report: &mut Report,
) -> Option<Stream> {
    let (sizes, span) = spec.latent.as_ref()?;
    let descriptor = codec.descriptor;
    let mut solver = Solver::default();
    let array = solver.port(CODEC, &codec.placed, &descriptor.array, "the array");
    let latent = solver.shape(&format!("the latent of stream `{}`", spec.name.value), *span, sizes);
    match module {
        Some(module) => {
            let roles = module.descriptor;
            if encoding(roles).is_none() && component::role(roles, Role::Decode).is_none() {
                let component = &module.placed.component;
                component::need_role(roles, Role::Encode, component, component.span, report)?;
            }
            component::same_modality(codec, module, report);
            attach(&mut solver, module, &array, &latent, report);
        }
        None => solver.unify(&array, &latent, report),
    }
    solver.settle(CODEC, &codec.placed);
    let by = module.and_then(|module| encoding(module.descriptor)).unwrap_or(Role::Encode);
    let module = module.map(|module| {
        solver.settle(MODULE, &module.placed);
        solver.component(MODULE, &module.placed, report)
    });
    let codec = solver.component(CODEC, &codec.placed, report);
    let array = Type::array(&descriptor.modality, &descriptor.array, solver.sizes(&array)?);
    let modality = descriptor.modality.clone();
    let cells = Type::cells(descriptor);
    let latent = sizes.clone();
    let schedule = spec.schedule.clone();
    Some(Stream { modality, codec, cells, array, module, by, latent, schedule })
}

/// The role by which a module makes a latent from an array: `encode`, or, for modules that cannot decode, `embed` or
/// `features`.
pub(crate) fn encoding(module: &ModuleDescriptor) -> Option<Role> {
    let has = |role: &Role| component::role(module, *role).is_some();
    let roles = if has(&Role::Decode) { &[Role::Encode][..] } else { &[Role::Encode, Role::Embed, Role::Features] };
    roles.iter().copied().find(has)
}

/// A codec that reads the cells of a stream instead of its own codec, and produces arrays of the same shape; errors are
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

/// Unifies the ports of a module with the array of the codec and with the latent, in both directions.
fn attach(solver: &mut Solver, module: &Found<ModuleDescriptor>, array: &End, latent: &End, report: &mut Report) {
    let placed = &module.placed;
    let by = encoding(module.descriptor);
    for role in module.descriptor.roles.iter().filter(|role| Some(role.role) == by || role.role == Role::Decode) {
        let word = component::word(role.role);
        let input = solver.port(MODULE, placed, &role.input, &format!("the input to {word}"));
        let output = solver.port(MODULE, placed, &role.output, &format!("the output of {word}"));
        let (at_array, at_latent) = if Some(role.role) == by { (input, output) } else { (output, input) };
        solver.unify(array, &at_array, report);
        solver.unify(latent, &at_latent, report);
    }
}

fn denoiser(
    spec: &DenoiserSpec,
    auxiliary: Auxiliary,
    streams: &Streams,
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> (Vec<String>, Option<DenoiserConfig>) {
    for name in spec.over.iter().filter(|name| !streams.contains_key(&name.value)) {
        unknown("stream", name, streams.keys().map(String::as_str), report);
    }
    for name in spec.prompts.iter().filter(|name| !prompts.contains_key(&name.value)) {
        unknown("prompt", name, prompts.keys().map(String::as_str), report);
    }
    for name in spec.planes.iter().filter(|name| !streams.contains_key(&name.value)) {
        unknown("stream", name, streams.keys().map(String::as_str), report);
    }
    let vectors = spec.vectors.as_ref().map(|written| resolve_vectors(spec, written, prompts, report));
    let over: Vec<String> = spec.over.iter().map(|name: &SpannedString| name.value.clone()).collect();
    if over.is_empty() {
        let what = format!("`over` of denoiser `{}`", spec.name.value);
        report.error(spec.name.span, Problem::WrongCount { what, wanted: "at least one stream".into(), found: 0 });
    }
    let plan = || {
        Some(DenoiserConfig {
            over: over.clone(),
            companions: auxiliary.plan?,
            prompts: spec.prompts.iter().map(|name| name.value.clone()).collect(),
            planes: spec.planes.iter().map(|name| name.value.clone()).collect(),
            vectors,
            network: spec.network.clone()?,
            predict: spec.predict?,
            schedule: spec.schedule.clone()?,
            precision: spec.precision?,
        })
    };
    let plan = plan();
    (over.into_iter().chain(auxiliary.names).collect(), plan)
}
