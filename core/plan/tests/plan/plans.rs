//! Every file of `tests/files` compiles without a warning; the printed plan is a snapshot.

use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Form, Job, Op, RunPlan, Stage, StreamRole};
use anyflow_plan::{FileKind, Format, explain, kind_of, model_paths};
use serde_json::json;

use crate::bench::{Case, file, names, snapshot, text, told};

#[test]
fn every_file_compiles() {
    for name in names() {
        if name == "model.yaml" {
            assert_eq!(kind_of(&file(&name)).unwrap(), FileKind::Model);
            continue;
        }
        let case = Case::of(&name);
        assert_eq!(model_paths(&case.main).unwrap()[0], "mld/model.yaml", "{name}");
        let (job, warnings) = case.compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
        assert_eq!(warnings, [], "{name}");
        snapshot(&format!("plan-{}", name.trim_end_matches(".yaml")), &text(&job));
    }
}

#[test]
fn plans_survive_serialization() {
    for name in names().iter().filter(|name| *name != "model.yaml") {
        let (job, _) = Case::of(name).compile().unwrap();
        let json = explain(&job, Format::Json);
        assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), job, "{name}");
    }
}

fn run_plan(case: &Case) -> RunPlan {
    match case.compile().map_err(|errors| errors.render(&[&case.main], false)) {
        Ok((Job::Run(plan), _)) => plan,
        other => panic!("no run: {other:?}"),
    }
}

#[test]
fn parameters_are_inferred_from_shapes() {
    let case = Case::of("joint.yaml").edit_model("codec: image/gray", "codec: {use: image/rgb, height: 32}");
    let plan = run_plan(&case);
    let module = plan.model.streams["image"].module.clone().unwrap().parameters;
    assert_eq!(module, serde_json::json!({"channel": 3, "height": 32, "width": 28, "latent": 24, "hidden": 256}));
    let words = plan.model.streams["text"].module.clone().unwrap().parameters;
    assert_eq!((&words["words"], &words["length"], &words["latent"]), (&11.into(), &4.into(), &16.into()));
}

#[test]
fn a_codec_follows_its_module_where_nothing_else_is_said() {
    let case = Case::of("joint.yaml")
        .edit_model("{use: audio/log-mel, bands: 40, frames: 32}", "{use: audio/log-mel, frames: 32}")
        .edit_model("{use: audio/autoencoder, hidden: 256}", "{use: audio/autoencoder, bands: 64}");
    assert_eq!(run_plan(&case).model.streams["audio"].codec.parameters["bands"], 64);
}

#[test]
fn what_follows_from_a_diffusion_is_a_plan_of_its_own() {
    let plan = run_plan(&Case::of("joint.yaml"));
    let diffusion = plan.steps.iter().position(|step| step.op.diffusion().is_some()).unwrap();
    let after = anyflow_plan::after(&plan, diffusion).unwrap();
    assert!(after.inputs.is_empty() && after.steps.iter().all(|step| step.op.diffusion().is_none()));
    assert_eq!(after.outputs, plan.outputs);
    let Op::Diffuse { to, .. } = &plan.steps[diffusion].op else { panic!("a diffusion") };
    for latent in to.values() {
        let value = &after.values[latent];
        let reader = &after.steps[value.last_use.unwrap()];
        assert!(value.made_by.is_none() && matches!(&reader.op, Op::Module { .. } | Op::WriteCells { .. }));
    }
    // Nothing is made of the values of the last step.
    assert_eq!(anyflow_plan::after(&plan, plan.steps.len()), None);
}

#[test]
fn inputs_pass_through() {
    let case =
        Case::of("image-to-audio.yaml").edit("outputs: {audio: sound}", "outputs: {audio: sound, seen: picture}");
    assert_eq!(run_plan(&case).outputs["seen"], "picture");
}

#[test]
fn latents_become_lists_of_numbers() {
    let outputs = "outputs: {audio: sound, embedding: seen, again: seen, drawn: joint.audio}";
    let plan = run_plan(&Case::of("image-to-audio.yaml").edit("outputs: {audio: sound}", outputs));
    let written: Vec<&str> = plan.outputs.values().map(String::as_str).collect();
    assert_eq!(written, ["sound", "seen.numbers", "seen.numbers", "joint.audio.numbers"]);
    let steps = plan.steps.iter().filter(|step| matches!(step.op, Op::WriteNumbers { .. }));
    assert_eq!(steps.map(|step| step.node.as_str()).collect::<Vec<_>>(), ["seen", "joint"], "once each");
    let Form::Cells { cell, feature } = &plan.values["seen.numbers"].kind.form else { panic!("no cells") };
    assert_eq!((*cell, feature.as_str()), (CellKind::List(1), "List(Value(float32))"));
    let life = &plan.values["seen"];
    assert_eq!(life.last_use, plan.values["seen.numbers"].made_by, "the latent lives until it is written");
}

#[test]
fn nodes_may_come_in_any_order() {
    let case = Case::of("image-to-audio.yaml")
        .edit("  seen: {encode: image/autoencoder, from: picture}\n", "")
        .edit("outputs:", "  seen: {encode: image/autoencoder, from: picture}\noutputs:");
    let nodes: Vec<String> = run_plan(&case).steps.into_iter().map(|step| step.node).collect();
    assert_eq!(nodes, ["seen", "seen", "joint", "sound", "sound"]);
}

#[test]
fn streams_are_generated_along_unless_absent() {
    let case = Case::of("image-to-audio.yaml").edit("observe: {image: seen}", "observe: {image: seen}, absent: [text]");
    let plan = run_plan(&case);
    let diffuse = plan.steps.into_iter().find_map(|step| match step.op {
        Op::Diffuse { diffusion, to } => Some((diffusion.streams.0, to)),
        _ => None,
    });
    let (streams, to) = diffuse.unwrap();
    assert_eq!(to.into_iter().collect::<Vec<_>>(), [("audio".to_string(), "joint.audio".to_string())]);
    assert_eq!([&streams["label"], &streams["text"]], [&StreamRole::Marginalize, &StreamRole::Absent]);
}

#[test]
fn values_live_from_their_maker_to_their_last_reader() {
    let plan = run_plan(&Case::of("image-to-audio.yaml"));
    let life = |id: &str| (plan.values[id].made_by, plan.values[id].last_use);
    assert_eq!(life("picture"), (None, Some(0)));
    assert_eq!(life("seen.array"), (Some(0), Some(1)));
    assert_eq!(life("seen"), (Some(1), Some(2)));
    assert_eq!(life("joint.audio"), (Some(2), Some(3)));
    assert_eq!(life("sound"), (Some(4), None));
}

fn columns(names: &[(&str, Option<CellKind>)]) -> Vec<(String, Option<CellKind>)> {
    names.iter().map(|(name, kind)| (name.to_string(), *kind)).collect()
}

/// What is said of a dataset, under the pipeline's text.
fn said_of_columns(case: &Case, columns: &[(String, Option<CellKind>)]) -> String {
    match anyflow_plan::check_inputs(&run_plan(case), &case.main, &case.overrides, columns) {
        Err(errors) => told(&errors, &[&case.main]),
        Ok(()) => "fine\n".into(),
    }
}

#[test]
fn columns_of_the_dataset_are_checked_before_the_start() {
    let case = Case::of("image-audio-to-label.yaml");
    let good = columns(&[("image", Some(CellKind::Bytes)), ("audio", Some(CellKind::Bytes)), ("id", None)]);
    assert_eq!(said_of_columns(&case, &good), "fine\n");
    let bad = columns(&[("imaeg", Some(CellKind::Bytes)), ("audio", Some(CellKind::Utf8)), ("id", None)]);
    snapshot("error-dataset-columns", &said_of_columns(&case, &bad));
}

#[test]
fn lists_are_told_by_their_depth() {
    let case = Case::of("image-audio-to-label.yaml");
    let bad = columns(&[("image", Some(CellKind::List(2))), ("audio", Some(CellKind::Bytes))]);
    let said = said_of_columns(&case, &bad);
    assert!(said.contains("lists of lists of numbers"), "{said}");
    let cell: CellKind = serde_json::from_str(r#"{"list": 2}"#).unwrap();
    assert_eq!(cell, CellKind::List(2));
}

#[test]
fn columns_that_are_not_written_are_sought_at_the_input_and_overrides_at_themselves() {
    let case = Case::of("image-audio-to-label.yaml").edit(", column: image", "").set("sound.column=waves");
    let bad = columns(&[("image", Some(CellKind::Bytes)), ("wave", Some(CellKind::Bytes))]);
    snapshot("error-dataset-columns-elsewhere", &said_of_columns(&case, &bad));
}

/// A denoiser may be trained by itself on streams that are trained already.
#[test]
fn a_training_that_starts_from_weights_may_have_one_stage() {
    let yaml = file("train.yaml").text;
    let (head, stages) = yaml.split_once("stages:\n").unwrap();
    let diffusion = &stages[stages.find("  - name: diffusion").unwrap()..];
    let mut case = Case::of("train.yaml").set("diffusion.micro_batch=64");
    case.main.text = format!("{}start: digits.safetensors\nstages:\n{diffusion}", only_tuples(head));
    let (job, warnings) = case.compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[&case.main], false)));
    assert_eq!(warnings, []);
    snapshot("plan-train-start", &text(&job));
}

/// Without the tables that only the autoencoders read.
fn only_tuples(head: &str) -> String {
    let unused = ["  pictures:", "  recordings:", "  words:"];
    let kept = head.lines().filter(|line| unused.iter().all(|table| !line.starts_with(table)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_plan_has_no_objective_that_cannot_train_its_part() {
    let stage = |part: &str, objective: &str| {
        let train = json!({part: {"name": "x", "objective": {"kind": objective}}});
        serde_json::from_value::<Stage>(json!({"name": "s", "train": train, "data": "rows", "steps": 5}))
    };
    let trained = stage("denoiser", "denoise").unwrap();
    assert_eq!((trained.options.steps(), trained.train.objective().name()), (5, "denoise"));
    let error = stage("stream", "denoise").unwrap_err().to_string();
    assert!(error.contains("unknown objective of a stream \"denoise\""), "{error}");
    assert!(stage("nothing", "classify").is_err());
}
