//! Values from the command line.

use anyflow_plan::plan::{Checkpoint, Job, RunPlan};
use anyflow_plan::{Override, ResolvedFile, Source, resolved_files};

use crate::bench::{Case, snapshot, told};

const AUDIO: &str = "image-to-audio.yaml";

fn sampler(case: &Case) -> (serde_json::Value, u64) {
    let (job, _) = case.compile().map_err(|errors| errors.render(&[&case.main], false)).unwrap();
    let Job::Run(plan) = job else { panic!("no run") };
    let diffusion = plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap();
    (serde_json::to_value(&diffusion.sampler).unwrap(), diffusion.seed)
}

#[test]
fn values_are_replaced() {
    let (json, seed) = sampler(&Case::of(AUDIO).set("joint.sampler.steps=20").set("joint.seed=9"));
    assert_eq!((json["steps"].as_i64(), seed), (Some(20), 9));
}

#[test]
fn another_kind_drops_the_keys_that_it_lacks_and_warns() {
    let case = Case::of(AUDIO).edit("steps: 50}", "steps: 50, eta: 0.5}").set("joint.sampler.kind=dpmpp-2m");
    let (json, _) = sampler(&case);
    assert_eq!((json["kind"].as_str(), json["steps"].as_i64(), json.get("eta")), (Some("dpmpp-2m"), Some(50), None));
    case.check("warning-dropped-key");
    // A key that neither kind has stays an error, and so does one that is set after the kind.
    for case in [
        Case::of(AUDIO).edit("steps: 50}", "steps: 50, etta: 0.5}").set("joint.sampler.kind=dpmpp-2m"),
        Case::of(AUDIO).set("joint.sampler.kind=dpmpp-2m").set("joint.sampler.eta=0.5"),
    ] {
        let text = case.compile().unwrap_err().to_string();
        assert!(text.contains("unknown key `et"), "{text}");
    }
}

#[test]
fn overrides_reach_the_model_that_a_file_names() {
    let Job::Train(plan) = Case::of("train.yaml").set("model.streams.text.latent=[7]").compile().unwrap().0 else {
        panic!("no training")
    };
    assert_eq!(plan.model.streams["text"].latent, [7]);
    let case = Case::of(AUDIO).set("model.denoisers.joint.schedule.kind=cosine");
    let Job::Run(plan) = case.compile().unwrap().0 else { panic!("no run") };
    assert_eq!(plan.model.denoisers["joint"].schedule.name(), "cosine");
    let text = Case::of(AUDIO).set("model.streams.txet.latent=[7]").compile().unwrap_err().to_string();
    assert!(text.contains("txet"), "{text}");
    let text = Case::of(AUDIO).set("model.steams.text.latent=[7]").compile().unwrap_err().to_string();
    assert!(text.contains("cannot override `steams.text.latent`: the model has no `steams`"), "{text}");
}

#[test]
fn mappings_are_made_where_there_are_none() {
    let case = Case::of(AUDIO).edit(", sampler: {kind: ddim, steps: 50}", "").set("joint.sampler.steps=20");
    assert_eq!(sampler(&case).0, serde_json::json!({"kind": "ddim", "steps": 20, "eta": 0.0}));
}

#[test]
fn the_last_of_several_wins() {
    assert_eq!(sampler(&Case::of(AUDIO).set("joint.seed=1").set("joint.seed=2")).1, 2);
}

#[test]
fn stages_and_keys_of_trainings() {
    let case = Case::of("train.yaml").set("diffusion.steps=10").set("seed=5").set("diffusion.optimizer.lr=2e-4");
    let Job::Train(plan) = case.compile().unwrap().0 else { panic!("no training") };
    let stage = plan.stages.iter().find(|stage| stage.name == "diffusion").unwrap();
    assert_eq!(
        (stage.options.steps(), plan.seed, serde_json::to_value(&stage.options.optimizer).unwrap()["lr"].as_f64()),
        (10, 5, Some(2e-4))
    );
    assert_eq!(
        (stage.options.batch, stage.options.micro_batch(), plan.start),
        (256, 256, None),
        "a call takes the whole batch"
    );
    let case = Case::of("train.yaml").edit("seed: 1\n", "seed: 1\nstart: weights/digits.safetensors\nfresh: [joint]\n");
    let case = case.set("diffusion.micro_batch=64");
    let Job::Train(plan) = case.compile().unwrap().0 else { panic!("no training") };
    let stage = plan.stages.iter().find(|stage| stage.name == "diffusion").unwrap();
    assert_eq!((stage.options.batch, stage.options.micro_batch()), (256, 64));
    assert_eq!(plan.start.as_deref(), Some("mld/weights/digits.safetensors"), "beside the file");
    assert_eq!(plan.fresh, ["joint"]);
}

#[test]
fn keys_and_tasks_of_evaluations() {
    let case = Case::of("eval.yaml").set("rows=50").set("seeds=[4]").set("tasks.joint.min_coherence=0.1");
    let Job::Eval(plan) = case.compile().unwrap().0 else { panic!("no evaluation") };
    assert_eq!(
        (plan.options.rows, plan.options.seeds, plan.tasks["joint"].options.min_coherence),
        (50, vec![4], Some(0.1))
    );
}

#[test]
fn wrong_paths() {
    Case::of(AUDIO).set("jiont.sampler.steps=20").check("error-override-node");
    Case::of(AUDIO).set("name=x").check("error-override-top");
    Case::of(AUDIO).set("joint.smapler.steps=20").check("error-override-key");
    Case::of(AUDIO).set("joint.seed.deep=1").check("error-override-too-deep");
}

#[test]
fn wrong_values() {
    Case::of(AUDIO).set("joint.seed=1").set("joint.sampler.steps=many").check("error-override-value");
    Case::of(AUDIO).set("joint.diffuse=[audio, nothing]").check("error-override-list");
}

#[test]
fn wrong_forms() {
    let said = |text: &str| told(&Override::parse(text).unwrap_err(), &[]);
    snapshot("error-override-form", &["joint.seed", "joint..seed=1", "joint.seed={"].map(said).join("\n"));
}

/// The plan of the files that `resolved_files` writes for a case, without the paths of its files.
fn resolved(case: &Case) -> RunPlan {
    let [pipeline, model] = resolved_files(&case.main, &case.model, &case.overrides, "/project").unwrap();
    let source = |file: ResolvedFile| Source::new(format!("/elsewhere/{}", file.name), file.text);
    let again = Case { main: source(pipeline), model: source(model), ..Case::of(AUDIO) };
    plan(&again)
}

fn plan(case: &Case) -> RunPlan {
    let (job, _) = case.compile().map_err(|errors| errors.render(&[&case.main, &case.model], false)).unwrap();
    let Job::Run(plan) = job else { panic!("no run") };
    plan
}

#[test]
fn resolved_files_plan_the_same_run() {
    let case = Case::of(AUDIO).set("joint.sampler={kind: ddim, steps: 7, eta: 1.0e-3}").set("joint.seed=3");
    let case = case.set("model.denoisers.joint.schedule.kind=cosine");
    let mut wanted = plan(&case);
    let found = resolved(&case);
    assert_eq!(found.model.checkpoint, Some(Checkpoint::File("/project/mld/weights/digits.safetensors".into())));
    assert_eq!(found.model.denoisers["joint"].schedule.name(), "cosine");
    wanted.source.clone_from(&found.source);
    wanted.model.source.clone_from(&found.model.source);
    wanted.model.checkpoint.clone_from(&found.model.checkpoint);
    assert_eq!(found, wanted);
}

#[test]
fn resolved_files_contain_what_they_include() {
    let words = "zero\n08\nyes\nnull\n";
    let main =
        Source::new("mld/small/classes.yaml", "anyflow: 1\nnodes: {a: {classes: words.txt}}\nmodel: model.yaml\n");
    let main = Source { includes: vec![Source::new("mld/small/words.txt", words)], ..main };
    let base = Source::new("mld/small/../model.yaml", "anyflow: 1\ncheckpoint: weights/a.safetensors\nstreams: {}\n");
    let model = Source::new("mld/small/model.yaml", "anyflow: 1\nname: small\nfrom: ../model.yaml\n");
    let model = Source { includes: vec![base], ..model };
    let [pipeline, model] = resolved_files(&main, &model, &[], "/project").unwrap();
    assert!(pipeline.text.contains("model: model.yaml"), "{}", pipeline.text);
    assert!(["\"08\"", "yes", "null"].iter().all(|word| pipeline.text.contains(word)), "{}", pipeline.text);
    assert!(model.text.contains("checkpoint: /project/mld/small/../weights/a.safetensors"), "{}", model.text);
    assert!(!model.text.contains("from:"), "{}", model.text);
}

#[test]
fn resolved_files_name_the_weights_of_parts_from_anywhere() {
    let parts = "checkpoint: {streams.image.module: {from: weights/tiny.pth, part: ''}}";
    let case = Case::of(AUDIO).edit_model("checkpoint: weights/digits.safetensors", parts);
    let [_, model] = resolved_files(&case.main, &case.model, &[], "/project").unwrap();
    assert!(model.text.contains("from: /project/mld/weights/tiny.pth"), "{}", model.text);
}
