//! Nodes that a trained scorer judges.

use anyflow_plan::plan::{Form, Job, Op, RunPlan};

use crate::bench::{Case, snapshot, text};

const AUDIO: &str = "image-to-audio.yaml";
const NODE: &str = "  digit: {score: image/classifier, weights: ../w/judges.safetensors, from: picture}\n";

fn scored(node: &str) -> Case {
    Case::of(AUDIO)
        .edit("outputs: {audio: sound}", &format!("{node}outputs: {{label: digit.label, all: digit.scores}}"))
}

fn plan(case: &Case) -> RunPlan {
    let (job, _) = case.compile().map_err(|errors| errors.render(&[&case.main, &case.model], false)).unwrap();
    let Job::Run(plan) = job else { panic!("no run") };
    plan
}

#[test]
fn a_scorer_reads_cells_and_makes_a_class_and_scores() {
    let (job, _) = scored(NODE).compile().unwrap();
    snapshot("plan-scorer", &text(&job));
    let plan = plan(&scored(NODE));
    let scorer = &plan.scorers["digit"];
    assert_eq!((scorer.stream.as_str(), scorer.classes), ("image", 10));
    assert_eq!(scorer.checkpoint.as_deref(), Some("mld/../w/judges.safetensors"));
    let only = scored(NODE).edit(", all: digit.scores", "");
    let steps = self::plan(&only).steps;
    assert!(steps.iter().any(|step| matches!(&step.op, Op::Judge { label: Some(_), scores: None, .. })));
}

#[test]
fn a_scorer_reads_what_a_node_makes() {
    let node = NODE.replace("image/classifier", "audio/classifier").replace("from: picture", "from: sound");
    let plan = plan(&scored(&node));
    assert_eq!(plan.scorers["digit"].stream, "audio");
    assert!(plan.values["sound"].last_use.is_some());
    let without = serde_json::to_string(&self::plan(&Case::of(AUDIO))).unwrap();
    assert!(!without.contains("\"scorers\""), "a pipeline without scorers is the job that it was");
}

#[test]
fn classes_have_names_on_request() {
    let words = "zero, one, two, three, four, five, six, seven, eight, nine";
    let named = |words: &str| scored(&NODE.replace("from: picture", &format!("from: picture, classes: [{words}]")));
    let plan = plan(&named(words));
    assert!(plan.steps.iter().any(|step| matches!(&step.op, Op::Judge { names, .. } if names.len() == 10)));
    named("zero, one").check("error-scorer-names");
    named(&words.replace("nine", "zero")).check("error-scorer-names-twice");
}

#[test]
fn outputs_of_numbers_have_the_type_that_is_written() {
    let typed = |outputs: &str| scored(NODE).edit("outputs: {label: digit.label, all: digit.scores}", outputs);
    let outputs = "outputs: {features: {from: digit.features, dtype: f16}, same: digit.features, \
                   scores: {from: digit.scores, dtype: bf16}, latent: {from: joint.audio, dtype: f16}, \
                   whole: {from: joint.audio}, plain: joint.audio}";
    let plan = plan(&typed(outputs));
    let feature = |column: &str| match &plan.values[&plan.outputs[column]].kind.form {
        Form::Cells { feature, .. } => feature.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(feature("features"), "List(Value(float16), 64)");
    assert_eq!(feature("same"), "List(Value(float32), 64)");
    assert_eq!(feature("scores"), "List(Value(float32))", "Arrow has no bfloat16");
    assert_eq!(feature("latent"), "List(Value(float16))");
    assert_eq!(plan.outputs["whole"], plan.outputs["plain"]);
    snapshot("plan-dtypes", &text(&Job::Run(plan)));
    typed("outputs: {label: {from: digit.label, dtype: f16}}").check("error-dtype-of-cells");
    typed("outputs: {sound: {from: sound, dtype: f16}}").check("error-dtype-of-media");
    typed("outputs: {all: {from: digit.scores, dtype: float16}}").check("error-dtype-word");
    typed("outputs: {all: {dtype: f16}}").check("error-output-without-from");
    scored(&NODE.replace("image/classifier", "label/one-hot").replace(", weights: ../w/judges.safetensors", ""))
        .edit("from: picture", "from: picture, stream: label")
        .edit("digit.scores", "digit.features")
        .check("error-scorer-no-features");
}

#[test]
fn what_is_wrong_with_a_scorer_is_said() {
    let edited = |from: &str, to: &str| scored(NODE).edit(from, to);
    edited(", weights: ../w/judges.safetensors", "").check("error-scorer-weights");
    edited("image/classifier", "image/clasifier").check("error-scorer-unknown");
    edited("image/classifier", "image/autoencoder").check("error-scorer-autoencoder");
    edited("from: picture}\noutputs", "from: sound}\noutputs").check("error-scorer-cells");
    edited("from: picture}\noutputs", "from: joint.audio}\noutputs").check("error-scorer-latent");
    edited("from: picture}\noutputs", "from: picture, stream: imgae}\noutputs").check("error-scorer-stream-name");
    edited("digit.scores", "digit.logits").check("error-scorer-port");
    edited("digit.scores", "digit").check("error-scorer-no-port");
    edited("from: picture}\noutputs", "from: picture, templates: [a]}\noutputs").check("error-scorer-key");
}
