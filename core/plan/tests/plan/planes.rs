//! Planes: what is concatenated to the channels of a stream, and what encoding hides.

use anyflow_plan::plan::{HiddenPart, Job, Op, RunPlan, TaskPlane};
use anyflow_plan::{Format, Source, explain};

use crate::bench::{Case, catalog, snapshot, text};

const MODEL: &str = "\
anyflow: 1
name: painter
checkpoint: weights/painter.safetensors
streams:
  image: {codec: image/gray, latent: [1, 28, 28]}
  hole: {codec: image/gray, latent: [1, 28, 28]}
  words: {codec: {use: text/words, vocabulary: [\"\", zero, one], length: 2}, module: text/autoencoder, latent: [24]}
denoisers:
  image: {over: [image], planes: [hole, image], network: {kind: unet, block_out_channels: [32, 64]}}
";

const PIPELINE: &str = "\
anyflow: 1
name: paint
model: model.yaml
inputs:
  image: {modality: image}
  mask: {modality: image}
nodes:
  hole: {encode: image/gray, from: mask, stream: hole}
  visible: {encode: image/gray, from: image, stream: image, hide: hole}
  made: {diffuse: [image], planes: {hole: hole, image: visible}}
  painted: {decode: image/gray, from: made.image, stream: image}
outputs: {image: painted}
";

fn case() -> Case {
    let [main, model] = [("paint.yaml", PIPELINE), ("model.yaml", MODEL)];
    Case {
        main: Source::new(format!("mld/{}", main.0), main.1),
        model: Source::new(format!("mld/{}", model.0), model.1),
        others: Vec::new(),
        catalog: catalog(),
        overrides: Vec::new(),
    }
}

fn planned(case: &Case) -> RunPlan {
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    plan
}

#[test]
fn planes_and_what_is_hidden_are_in_the_plan() {
    let plan = planned(&case());
    let hidden = plan.steps.iter().find_map(|step| match &step.op {
        Op::Hide { from, mask, fill, to } => Some((from.as_str(), mask.as_str(), *fill, to.as_str())),
        _ => None,
    });
    assert_eq!(hidden, Some(("visible.array", "hole", 0.5, "visible")), "the middle of the codec's range");
    let job = Job::Run(plan);
    snapshot("plan-planes", &text(&job));
    assert_eq!(serde_json::from_str::<Job>(&explain(&job, Format::Json)).unwrap(), job);
}

#[test]
fn a_denoiser_gets_all_of_its_planes() {
    case().edit(", planes: {hole: hole, image: visible}", "").check("error-no-plane");
    case().edit("planes: {hole: hole,", "planes: {whole: hole, hole: hole,").check("error-plane-unknown");
    let words = "hole: {encode: text/autoencoder, from: mask}";
    case().edit("hole: {encode: image/gray, from: mask, stream: hole}", words).check("error-plane-cells");
    case().edit("image: visible}", "image: painted}").check("error-plane-latent");
    case().edit("hide: hole", "hide: image").check("error-hide");
}

#[test]
fn planes_need_a_network_with_room_for_them() {
    case().edit_model("planes: [hole,", "planes: [hol,").check("error-plane-stream");
    case().edit_model("planes: [hole,", "planes: [words,").check("error-plane-shape");
    let unet = "{kind: unet, block_out_channels: [32, 64]}";
    case().edit_model(unet, "{kind: transformer, patch: 4}").check("error-planes-not-taken");
}

#[test]
fn planes_are_not_in_trainings() {
    let training = "anyflow: 1\nname: t\nmodel: model.yaml\nsources: {rows: a.parquet}\ndata: {rows: {columns: {image: \
                    rows.image}}}\nstages:\n  - {name: s, train: image, objective: {kind: denoise}, data: rows, steps: 1}\n";
    let case = Case { main: Source::new("mld/train.yaml", training), ..case() };
    case.check("error-planes-trained");
}

const EVALUATION: &str = "\
anyflow: 1
name: paint
model: model.yaml
sources: {rows: a.parquet}
data: {columns: {image: rows.image, hole: rows.mask}, class: rows.digit}
judges: {image: {score: image/classifier, weights: judges.safetensors}}
tasks:
  painted: {generate: [image], planes: {hole: hole, image: {from: image, hide: hole}}}
";

fn evaluation() -> Case {
    Case { main: Source::new("mld/eval.yaml", EVALUATION), ..case() }
}

#[test]
fn planes_of_a_task_are_streams_of_the_data() {
    let Ok((Job::Eval(plan), _)) = evaluation().compile() else { panic!("{}", evaluation().said()) };
    let task = &plan.tasks["painted"];
    let hide = Some(HiddenPart { mask: "hole".into(), fill: 0.5 });
    let wanted = [("hole", "hole", None), ("image", "image", hide)];
    let wanted = wanted.map(|(stream, from, hide)| (stream.to_string(), TaskPlane { from: from.into(), hide }));
    assert_eq!(task.planes, wanted.into());
    let read: Vec<&str> = task.reads().map(|read| read.from).collect();
    assert_eq!(read, ["hole", "image", "hole"]);
    let diffusion = task.diffusion(&plan.variants["painter"], 1);
    let values: Vec<(&str, &str)> =
        diffusion.planes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(values, [("hole", "hole"), ("image", "image.visible")]);
    let job = Job::Eval(plan);
    snapshot("plan-planes-evaluated", &text(&job));
    assert_eq!(serde_json::from_str::<Job>(&explain(&job, Format::Json)).unwrap(), job);
}

#[test]
fn a_task_gives_all_planes_of_its_denoiser() {
    let edited = |from: &str, to: &str| evaluation().edit(from, to);
    edited(", planes: {hole: hole, image: {from: image, hide: hole}}", "").check("error-no-plane-task");
    edited("{from: image, hide: hole}", "{from: image, hide: whole}").check("error-plane-task-stream");
    edited("{from: image, hide: hole}", "{from: image, hidden: hole}").check("error-plane-task-key");
    edited("{hole: hole,", "{hole: words,").check("error-plane-task-array");
    edited("hide: hole", "hide: words").check("error-hidden-shape");
    edited(", hole: rows.mask}", "}").check("error-plane-task-column");
    edited("tasks:", "subsets: true\ntasks:").check("error-no-plane-subsets");
}

#[test]
fn variants_take_the_planes_of_the_tasks() {
    let plain = "denoisers:\n  plain: {over: [image], network: {kind: unet, block_out_channels: [32, 64]}}\n";
    let variants = "denoiser: image\nvariants: {all: {}, less: {denoiser: plain}}\ntasks:";
    evaluation().edit_model("denoisers:\n", plain).edit("tasks:", variants).check("error-variant-conditions");
}
