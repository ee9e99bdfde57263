//! Words that published models brought: a sampler that belongs to a denoiser, and inputs with a value.

use anyflow_config::{Sampler, Sampling};
use anyflow_plan::plan::{Job, RunPlan};
use serde_json::json;

use crate::bench::{Case, catalog, file, snapshot, text};

const DENOISER: &str = "image: {over: [image], prompts: [words, picture], ";
const MADE: &str = "made: {diffuse: [image], ";

fn prompted() -> Case {
    let [main, model] = ["words-and-picture-to-image", "model"].map(|name| file(&format!("prompted/{name}.yaml")));
    Case { main, model, others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
}

fn planned(case: &Case) -> RunPlan {
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    plan
}

fn sampling(case: &Case) -> Sampling {
    planned(case).steps.iter().find_map(|step| step.op.diffusion()).unwrap().sampler.clone()
}

/// The pipeline on a model whose denoiser has a sampler.
fn sampled(own: &str) -> Case {
    let denoiser = format!("{DENOISER}schedule: {{kind: discrete}}, predict: eps, sampler: {own}, ");
    prompted().edit_model(DENOISER, &denoiser)
}

#[test]
fn a_node_has_the_sampler_of_its_denoiser() {
    let own = "{kind: ddim, steps: 30, eta: 0.5, spacing: {law: leading, offset: 1, stride: floor}}";
    let inherited = sampling(&sampled(own));
    assert_eq!((inherited.sampler.name(), inherited.steps), ("ddim", 30));
    let spacing = inherited.spacing.clone().unwrap();
    assert_eq!(spacing.offset, 1);

    let with = |written: &str| sampling(&sampled(own).edit(MADE, &format!("{MADE}sampler: {written}, ")));
    assert_eq!(with("{steps: 4}"), Sampling { steps: 4, ..inherited.clone() });
    assert_eq!(with("{kind: ddim, steps: 4}"), Sampling { steps: 4, ..inherited.clone() }, "the same kind");
    let moved = with("{spacing: {offset: 2}}").spacing.unwrap();
    assert_eq!((moved.offset, moved.law, moved.stride), (2, spacing.law, spacing.stride));
    assert_eq!(with("{kind: euler, steps: 7}"), Sampling::new(Sampler::Euler(Default::default()), 7), "alone");
    let set = sampled(own).set("made.sampler.steps=9");
    assert_eq!(sampling(&set), Sampling { steps: 9, ..inherited });
    assert_eq!(sampling(&prompted()).sampler.name(), "ddim", "without any sampler");
}

#[test]
fn the_sampler_of_a_denoiser_is_checked_with_the_model() {
    sampled("{kind: ddim, steps: 2000, spacing: {law: trailing}}").check("error-sampler-of-denoiser");
    sampled("{kind: ddim, stepz: 20}").check("error-sampler-of-denoiser-key");
    sampled("{kind: ddim, eta: 0.5}")
        .edit(MADE, &format!("{MADE}sampler: {{eta: 2}}, "))
        .check("error-sampler-changed");
}

#[test]
fn an_input_with_a_value_needs_no_column() {
    let constant =
        |value: &str| prompted().edit("text: {modality: text}", &format!("text: {{modality: text, {value}}}"));
    let outputs = "outputs: {image: picture, text: text}";
    let case = constant("value: zero").edit(outputs, "outputs: {image: picture}");
    let plan = planned(&case);
    assert_eq!(plan.inputs.keys().collect::<Vec<_>>(), ["image"]);
    assert_eq!(plan.constants["text"].cell, json!("zero"));
    snapshot("plan-constant", &text(&Job::Run(plan)));
    constant("value: zero").check("error-constant-output");
    constant("value: 3").edit(outputs, "outputs: {image: picture}").check("error-constant-form");
    constant("column: words, value: zero").edit(outputs, "outputs: {image: picture}").check("error-constant-column");
    let image = ("image: {modality: image}", "image: {modality: image, value: x.png}");
    prompted().edit(image.0, image.1).check("error-constant-cells");
}
