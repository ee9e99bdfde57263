//! Prompts with a vector, of several encoders side by side, and of numbers.

use anyflow_plan::Source;
use anyflow_plan::descriptor::{AxisDescriptor, AxisSize, PortDescriptor, Role, RoleDescriptor};
use anyflow_plan::plan::{ArrayMaker, Job, Op, RunPlan, StreamRole};

use crate::bench::{Case, catalog, snapshot, text};

const MODEL: &str = r#"anyflow: 1
name: joined
checkpoint: weights/joined.safetensors
streams:
  image: {codec: image/gray, latent: [1, 28, 28]}
prompts:
  one: {codec: {use: text/words, vocabulary: ["", zero, one], length: 2}, module: text/prompt, tokens: [2, 64]}
  two: {codec: {use: text/words, vocabulary: ["", two], length: 3}, module: text/prompt, tokens: [2, 32], vector: [32]}
  both: {features: [one, two], tokens: [2, 96], absent: {tokens: 0.0}}
  sizes: {vector: [6]}
denoisers:
  image: {over: [image], prompts: [both], vectors: {from: [two.pooled, sizes], waves: 32}, network: {kind: unet, block_out_channels: [32, 64]}}
"#;
const PIPELINE: &str = "anyflow: 1
name: joined
model: model.yaml
inputs: {text: {modality: text}, avoided: {modality: text}, size: {modality: numbers}}
nodes:
  told: {embed: both, from: text}
  without: {embed: both, from: avoided}
  framed: {embed: sizes, from: size}
  alone: {embed: two, from: text}
  made: {diffuse: [image], condition: {told: 1.0, framed: 1.0}, guidance: {kind: cfg, scale: 2.0, instead: {told: without}}}
  picture: {decode: image, from: made.image}
outputs: {image: picture, vector: alone.pooled}
";

fn case() -> Case {
    let mut catalog = catalog();
    let modules = &mut catalog.plugins["text"].0.modules;
    let prompt = modules.iter_mut().find(|module| module.id == "prompt").unwrap();
    let input = prompt.roles[0].input.clone();
    let axes = vec![AxisDescriptor { name: "feature".into(), size: AxisSize::Parameter("features".into()) }];
    let output = PortDescriptor { dtype: "f32".into(), axes, range: None };
    prompt.roles.push(RoleDescriptor { role: Role::Pool, input, output });
    let [main, model] = [("pipeline.yaml", PIPELINE), ("model.yaml", MODEL)]
        .map(|(name, text)| Source::new(format!("mld/{name}"), text));
    Case { main, model, others: Vec::new(), catalog, overrides: Vec::new() }
}

fn plan(case: &Case) -> RunPlan {
    let (job, warnings) = case.compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
    assert_eq!(warnings, []);
    let Job::Run(plan) = job else { panic!("no run") };
    plan
}

#[test]
fn a_prompt_of_several_brings_their_vectors() {
    let plan = plan(&case());
    snapshot("plan-joined", &text(&Job::Run(plan.clone())));
    let diffusion = plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap();
    let condition = |from: &str, instead: Option<&str>| StreamRole::Condition {
        from: [(from.to_string(), 1.0)].into(),
        instead: instead.map(String::from),
    };
    assert_eq!(diffusion.streams.0["both"], condition("told", Some("without")));
    assert_eq!(diffusion.streams.0["two.pooled"], condition("told.two.pooled", Some("without.two.pooled")));
    assert_eq!(diffusion.streams.0["sizes"], condition("framed", None));
    let round: Job = serde_json::from_str(&serde_json::to_string(&Job::Run(plan.clone())).unwrap()).unwrap();
    assert_eq!(round, Job::Run(plan));
}

/// Only the vector of `alone` is read, so nothing makes its tokens.
#[test]
fn only_what_is_read_is_made() {
    let plan = plan(&case());
    let made: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| step.node == "alone")
        .filter_map(|step| match &step.op {
            Op::Module { to, .. } => Some(to.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(made, ["alone.pooled"]);
}

#[test]
fn what_is_wrong_with_such_a_prompt_is_said() {
    let edited = |from: &str, to: &str| case().edit_model(from, to);
    edited("module: text/prompt, tokens: [2, 64]", "tokens: [2, 64]").check("error-prompt-form");
    edited("features: [one, two]", "features: [one, sizes]").check("error-prompt-part");
    edited("features: [one, two]", "features: [one, too]").check("error-prompt-part-unknown");
    edited("tokens: [2, 96]", "tokens: [2, 64]").check("error-prompt-joined");
    edited("tokens: [2, 64]", "tokens: [1, 64]").check("error-prompt-joined-tokens");
    edited("vector: [32]", "vector: [16]").check("error-prompt-vector");
    edited("vector: [6]", "vector: [2, 3]").check("error-prompt-numbers");
    edited("prompts: [both]", "prompts: [both, sizes]").check("error-prompt-of-numbers");
    edited("from: [two.pooled, sizes]", "from: [one.pooled, sizes]").check("error-vector-unknown");
    edited("{kind: unet, block_out_channels: [32, 64]}", "{kind: transformer}").check("error-vectors-not-taken");
    let coupled = "{kind: coupled, parts: {image: {kind: unet, block_out_channels: [32, 64]}}}";
    edited("{kind: unet, block_out_channels: [32, 64]}", coupled).check("error-vectors-not-taken-coupled");
    case().edit("alone.pooled", "told.pooled").check("error-no-vector");
    case()
        .edit("{told: 1.0, framed: 1.0}", "{alone.pooled: 1.0}")
        .edit(", instead: {told: without}", "")
        .check("error-vector-as-tokens");
}

/// The pipeline with nodes that compare prompts.
fn scored() -> Case {
    case()
        .edit_model("denoisers:", "scorers: {fit: {between: [two, two], scale: 2.0}}\ndenoisers:")
        .edit(
            "  picture: {decode",
            "  class: {score: fit, from: text, classes: [one, two], templates: [\"a {}\", \"{}\"]}\n  close: {score: fit, from: text, \
             against: avoided}\n  picture: {decode",
        )
        .edit("vector: alone.pooled", "vector: alone.pooled, label: class.label, scores: class.scores, fit: close.score")
}

#[test]
fn a_scorer_compares_with_a_column_or_with_classes() {
    let plan = plan(&scored());
    snapshot("plan-pairs", &text(&Job::Run(plan.clone())));
    let compared: Vec<&Op> =
        plan.steps.iter().map(|step| &step.op).filter(|op| matches!(op, Op::Compare { .. })).collect();
    let [Op::Compare { against: None, classes, label: Some(_), .. }, Op::Compare { against: Some(_), label: None, .. }] =
        compared.as_slice()
    else {
        panic!("{compared:?}")
    };
    assert_eq!(classes["one"], ["a one", "one"]);
}

#[test]
fn what_is_wrong_with_such_a_scorer_is_said() {
    let edited = |from: &str, to: &str| scored().edit(from, to);
    let model = |to: &str| scored().edit_model("between: [two, two]", to);
    model("between: [two]").check("error-pair-count");
    model("between: [two, too]").check("error-pair-unknown");
    model("between: [two, one]").check("error-pair-no-vector");
    edited(", against: avoided}", "}").check("error-pair-nothing");
    edited("score: fit, from: text, against", "score: fitt, from: text, against").check("error-pair-scorer");
    edited("fit: close.score", "fit: close.label").check("error-pair-port");
    edited("against: avoided", "against: size").check("error-pair-cells");
}

#[test]
fn vectors_and_prompts_of_several_are_not_in_trainings() {
    let training = "anyflow: 1\nname: t\nmodel: model.yaml\nsources: {rows: a.parquet}\ndata: {rows: {columns: {image: \
                    rows.image}}}\nstages:\n  - {name: s, train: image, objective: {kind: denoise}, data: rows, steps: 1}\n";
    let case = Case { main: Source::new("mld/train.yaml", training), ..case() };
    case.check("error-joined-trained");
    let alone = "prompts: [two], vectors: {from: [two.pooled], waves: 32}";
    case.edit_model("prompts: [both], vectors: {from: [two.pooled, sizes], waves: 32}", alone)
        .check("error-vectors-trained");
}

const EVALUATION: &str = "\
anyflow: 1
name: e
model: model.yaml
sources: {rows: a.parquet}
data: {columns: {image: rows.image, both: rows.text, avoided: rows.unwanted, sizes: rows.size}, class: rows.digit}
judges: {image: {score: image/classifier, weights: judges.safetensors}}
tasks:
  made:
    generate: [image]
    condition: {both: 1.0, sizes: 1.0}
    guidance: {kind: cfg, scale: 2.0, instead: {both: avoided}}
";

/// An evaluation whose table also has texts to avoid.
fn evaluation() -> Case {
    let main = Source::new("mld/eval.yaml", EVALUATION);
    let avoided = "  avoided: {features: [one, two], tokens: [2, 96]}\n  sizes:";
    Case { main, ..case() }.edit_model("  sizes:", avoided)
}

#[test]
fn a_task_makes_vectors_of_the_column_of_their_prompt() {
    let (job, warnings) = evaluation().compile().unwrap_or_else(|_| panic!("{}", evaluation().said()));
    assert_eq!(warnings, []);
    snapshot("plan-joined-evaluated", &text(&job));
    let Job::Eval(plan) = job else { panic!("no evaluation") };
    let condition = |from: &str, instead: Option<&str>| StreamRole::Condition {
        from: [(from.to_string(), 1.0)].into(),
        instead: instead.map(String::from),
    };
    let streams = &plan.tasks["made"].streams.0;
    assert_eq!(streams["both"], condition("both", Some("avoided")));
    assert_eq!(streams["two.pooled"], condition("both", Some("avoided")));
    assert_eq!(streams["sizes"], condition("sizes", None));
    let codec = |name: &str, part: &str| (format!("{name}.{part}"), ArrayMaker::Codec(part.to_string()));
    assert_eq!(plan.model.arrays("both"), [codec("both", "one"), codec("both", "two")].into());
    assert_eq!(plan.model.arrays("sizes"), [("sizes".to_string(), ArrayMaker::Numbers(6))].into());
    assert_eq!(plan.model.arrays("one"), [("one".to_string(), ArrayMaker::Codec("one".into()))].into());
}

#[test]
fn what_is_wrong_with_such_a_task_is_said() {
    let edited = |from: &str, to: &str| evaluation().edit(from, to);
    edited("{both: 1.0, sizes: 1.0}", "{one: 1.0, sizes: 1.0}").check("error-prompt-task-part");
    edited("instead: {both: avoided}", "instead: {both: one}").check("error-guidance-instead-joined");
    edited(", sizes: rows.size", "").check("error-vector-task-column");
    edited("tasks:", "similarity: {image: both}\ntasks:").check("error-similarity-prompt");
}
