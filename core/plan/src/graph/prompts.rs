//! Prompts of a model: finds their components and infers their shapes.

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::component::{self, Found};
use crate::descriptor::{CellKind, CodecDescriptor, ModuleDescriptor, Role};
use crate::error::Report;
use crate::graph::PromptNode;
use crate::infer::{CODEC, MODULE, Solver};
use crate::plan::{EncodedPrompt, Form, JoinedPrompt, NumbersPrompt, PromptConfig, Type};
use crate::problem::{Problem, problems};
use crate::spec::{PromptSpec, unknown};

problems! {
    /// What can be wrong with a prompt.
    pub(crate) enum PromptProblem {
        /// A prompt is neither encoded by a module, nor made of other prompts, nor numbers.
        /// Example: `prompts: {words: {codec: PLUGIN/words, tokens: [4, 64]}}`, without a module.
        /// Cure: Write `codec` and `module` with `tokens`, `vector` or both; or `features` with `tokens`; or `vector` alone,
        /// for numbers of a column.
        #[error(
            "prompt `{prompt}` has {found}; write `codec` and `module` with `tokens` or `vector`, `features` with `tokens`, \
             or `vector` alone"
        )]
        PromptForm { prompt: String, found: String },
        /// A prompt names one in `features` that no module encodes to tokens.
        /// Example: `features: [words, sizes]`, where `sizes` has only a `vector`.
        /// Cure: Name prompts with a module and `tokens`.
        #[error("`features` of prompt `{prompt}` cannot have `{part}`, which has no tokens of a module")]
        PromptPart { prompt: String, part: String },
    }
}

/// The modality of inputs with numbers that no codec reads.
const NUMBERS: &str = "numbers";

/// Resolves the prompts of a model.
pub(super) fn resolve_prompts<'a>(
    specs: &[PromptSpec],
    catalog: &'a Catalog,
    report: &mut Report,
) -> IndexMap<String, PromptNode<'a>> {
    let mut prompts: IndexMap<String, PromptNode> =
        specs.iter().map(|spec| (spec.name.value.clone(), prompt(spec, catalog, report))).collect();
    for spec in specs.iter().filter(|spec| is_joined(spec)) {
        let plan = joined(spec, specs, &prompts, report).map(PromptConfig::Joined);
        prompts[&spec.name.value].plan = plan;
    }
    prompts
}

fn is_joined(spec: &PromptSpec) -> bool {
    has(spec, &["features", "tokens"], &["absent"])
}

/// True if all `needed` keys are written, and none but these and the `allowed` ones.
fn has(spec: &PromptSpec, needed: &[&str], allowed: &[&str]) -> bool {
    let is_known = |key: &String| needed.contains(&key.as_str()) || allowed.contains(&key.as_str());
    needed.iter().all(|key| spec.keys.iter().any(|known| known == key)) && spec.keys.iter().all(is_known)
}

fn prompt<'a>(spec: &PromptSpec, catalog: &'a Catalog, report: &mut Report) -> PromptNode<'a> {
    let component = spec.module.as_ref().map(|used| used.component.value.clone());
    let bare = PromptNode { component, codec_descriptor: None, plan: None };
    if is_joined(spec) {
        return bare;
    }
    if has(spec, &["vector"], &[]) {
        return PromptNode { plan: numbers(spec, report).map(PromptConfig::Numbers), ..bare };
    }
    let outputs = spec.keys.iter().any(|key| key == "tokens" || key == "vector");
    if !has(spec, &["codec", "module"], &["tokens", "vector", "absent"]) || !outputs {
        let keys: Vec<String> = spec.keys.iter().map(|key| format!("`{key}`")).collect();
        let found = if keys.is_empty() { "no keys".into() } else { keys.join(", ") };
        report.error(spec.name.span, PromptProblem::PromptForm { prompt: spec.name.value.clone(), found });
        return bare;
    }
    let codec = spec.codec.as_ref().and_then(|used| component::codec(used, catalog, report));
    let module = spec.module.as_ref().and_then(|used| component::module(used, catalog, report));
    let both = codec.as_ref().zip(module.as_ref());
    let plan = both.and_then(|(codec, module)| encoded(spec, codec, module, report));
    let plan = plan.map(|plan| PromptConfig::Encoded(Box::new(plan)));
    PromptNode { codec_descriptor: codec.as_ref().map(|codec| codec.descriptor), plan, ..bare }
}

fn encoded(
    spec: &PromptSpec,
    codec: &Found<CodecDescriptor>,
    module: &Found<ModuleDescriptor>,
    report: &mut Report,
) -> Option<EncodedPrompt> {
    let descriptor = codec.descriptor;
    let placed = &module.placed;
    let mut solver = Solver::default();
    let array = solver.port(CODEC, &codec.placed, &descriptor.array, "the array");
    component::same_modality(codec, module, report);
    for (key, role, shape) in [("tokens", Role::Embed, &spec.tokens), ("vector", Role::Pool, &spec.vector)] {
        if !spec.keys.iter().any(|written| written == key) {
            continue;
        }
        let (sizes, span) = shape.as_ref()?;
        let written = solver.shape(&format!("the {key} of prompt `{}`", spec.name.value), *span, sizes);
        let component = &placed.component;
        let (input, output) = component::need_role(module.descriptor, role, component, component.span, report)?;
        let word = component::word(role);
        let input = solver.port(MODULE, placed, input, &format!("the input to {word}"));
        let output = solver.port(MODULE, placed, output, &format!("the output of {word}"));
        solver.unify(&array, &input, report);
        solver.unify(&written, &output, report);
    }
    solver.settle(CODEC, &codec.placed);
    solver.settle(MODULE, placed);
    let of_module = solver.component(MODULE, placed, report);
    let of_codec = solver.component(CODEC, &codec.placed, report);
    let array = Type::array(&descriptor.modality, &descriptor.array, solver.sizes(&array)?);
    let size = |shape: &Option<(Vec<i64>, _)>| shape.as_ref().and_then(|(sizes, _)| sizes.first().copied());
    Some(EncodedPrompt {
        modality: descriptor.modality.clone(),
        codec: of_codec,
        cells: Type::cells(descriptor),
        array,
        module: of_module,
        tokens: spec.tokens.as_ref().map(|(sizes, _)| sizes.clone()),
        vector: size(&spec.vector),
        absent: spec.absent.clone(),
    })
}

fn numbers(spec: &PromptSpec, report: &mut Report) -> Option<NumbersPrompt> {
    let (sizes, span) = spec.vector.as_ref()?;
    let [numbers] = sizes.as_slice() else {
        let what = format!("`vector` of prompt `{}`", spec.name.value);
        report.error(*span, Problem::WrongCount { what, wanted: "one size".into(), found: sizes.len() });
        return None;
    };
    let form = Form::Cells { cell: CellKind::List(1), feature: "List(Value(float32))".into() };
    Some(NumbersPrompt { numbers: *numbers, cells: Type { modality: NUMBERS.into(), form } })
}

/// A prompt of others: as many tokens as each of them, and their features.
fn joined(
    spec: &PromptSpec,
    specs: &[PromptSpec],
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> Option<JoinedPrompt> {
    let (sizes, span) = spec.tokens.as_ref()?;
    let mut parts: Vec<(&str, &EncodedPrompt, &[i64])> = Vec::new();
    let mut good = true;
    for name in &spec.features {
        let Some(node) = prompts.get(&name.value) else {
            unknown("prompt", name, prompts.keys().map(String::as_str), report);
            good = false;
            continue;
        };
        let encoded = node.plan.as_ref().and_then(PromptConfig::encoded);
        match encoded.and_then(|plan| Some((name.value.as_str(), plan, plan.tokens.as_deref()?))) {
            Some(part) => parts.push(part),
            None => {
                good = false;
                // A wrong prompt was reported.
                let is_joined = specs.iter().any(|other| other.name.value == name.value && is_joined(other));
                if node.plan.is_some() || is_joined {
                    let problem =
                        PromptProblem::PromptPart { prompt: spec.name.value.clone(), part: name.value.clone() };
                    report.error(name.span, problem);
                }
            }
        }
    }
    let [(first, plan, shape), ..] = *parts.as_slice() else { return None };
    let mut misfits: Vec<(&'static str, String, String)> = Vec::new();
    for (name, other, other_shape) in &parts[1..] {
        if other.cells != plan.cells {
            let reads = |name: &str, cells: &Type| format!("prompt `{name}` reads {cells}");
            misfits.push(("cells", reads(name, &other.cells), reads(first, &plan.cells)));
        }
        if other_shape.first() != shape.first() {
            let is = |name: &str, shape: &[i64]| format!("prompt `{name}` is {shape:?}");
            misfits.push(("tokens", is(name, other_shape), is(first, shape)));
        }
    }
    let features: i64 = parts.iter().filter_map(|(_, _, shape)| shape.last()).sum();
    let made: Vec<i64> = shape.first().copied().into_iter().chain([features]).collect();
    if good && misfits.is_empty() && *sizes != made {
        let one = format!("prompt `{}` is {sizes:?}", spec.name.value);
        misfits.push(("tokens", one, format!("its features side by side are {made:?}")));
    }
    good &= misfits.is_empty();
    for (what, one, other) in misfits {
        report.error(*span, Problem::Mismatch { what, one, other });
    }
    good.then(|| JoinedPrompt {
        modality: plan.modality.clone(),
        features: spec.features.iter().map(|name| name.value.clone()).collect(),
        cells: plan.cells.clone(),
        tokens: made,
        absent: spec.absent.clone(),
    })
}
