//! Pipelines as parts of another pipeline (`use`).

use anyflow_plan::plan::{Job, RunPlan};
use anyflow_plan::{Format, Override, Source, explain, includes, resolved_files};

use crate::bench::{Case, catalog, file, snapshot, text};

const SPOKEN: &str = "image-to-audio.yaml";
const DRAWN: &str = "audio-to-image.yaml";

/// Two pipelines of the fixtures as parts of one.
const WHOLE: &str = "anyflow: 1
name: retold
model: model.yaml
inputs: {photo: {modality: image, column: image}}
nodes:
  spoken: {use: image-to-audio.yaml, inputs: {picture: photo}, with: {joint: {sampler: {steps: 7}}}}
  drawn: {use: audio-to-image.yaml, inputs: {sound: spoken.audio}}
outputs: {audio: spoken.audio, drawing: drawn.image}
";

fn case(text: &str, parts: Vec<Source>) -> Case {
    let main = Source { includes: parts, ..Source::new("mld/whole.yaml", text) };
    Case { main, model: file("model.yaml"), others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
}

fn whole() -> Case {
    case(WHOLE, vec![file(SPOKEN), file(DRAWN)])
}

fn edited(from: &str, to: &str) -> Case {
    whole().edit(from, to)
}

fn plan(case: &Case) -> RunPlan {
    let (job, warnings) = case.compile().map_err(|errors| errors.render(&[&case.main, &case.model], false)).unwrap();
    assert_eq!(warnings, []);
    let Job::Run(plan) = job else { panic!("no run") };
    plan
}

/// Number of sampling steps and seed of a diffusion.
fn sampling(plan: &RunPlan, node: &str) -> (u64, u64) {
    let diffusion = plan.steps.iter().filter(|step| step.node == node).find_map(|step| step.op.diffusion()).unwrap();
    (diffusion.sampler.steps as u64, diffusion.seed)
}

#[test]
fn parts_stand_for_their_nodes() {
    let (job, _) = whole().compile().unwrap();
    snapshot("plan-parts", &text(&job));
    let plan = plan(&whole());
    // The second node that draws noise has the seed of its name.
    let steps = [("spoken/joint", (7, 0)), ("drawn/joint", (50, 7_690_996_197_112_188_185))];
    steps.into_iter().for_each(|(node, wanted)| assert_eq!(sampling(&plan, node), wanted, "{node}"));
    assert!(plan.outputs["audio"].starts_with("spoken/") && plan.outputs["drawing"].starts_with("drawn/"));
    for format in [Format::Mermaid, Format::Svg] {
        assert!(explain(&job, format).contains("spoken/joint"));
    }
}

/// The steps are those of the nodes written out, apart from their names.
#[test]
fn a_part_plans_the_steps_of_its_own_file() {
    let alone = plan(&Case::of(SPOKEN));
    let part = plan(&case(
        "anyflow: 1\nname: a\nmodel: model.yaml\ninputs: {picture: {modality: image, column: image}}\n\
         nodes: {p: {use: image-to-audio.yaml, inputs: {picture: picture}}}\noutputs: {audio: p.audio}\n",
        vec![file(SPOKEN)],
    ));
    let renamed = |plan: &RunPlan| serde_json::to_string(&plan.steps).unwrap().replace("p/", "");
    assert_eq!(renamed(&part), renamed(&alone));
    assert_eq!((&part.inputs, part.bytes_per_row), (&alone.inputs, alone.bytes_per_row));
}

#[test]
fn values_of_the_command_line_reach_a_part() {
    let plan = plan(&whole().set("spoken.with.joint.sampler.steps=3").set("drawn.with.joint.seed=9"));
    assert_eq!((sampling(&plan, "spoken/joint"), sampling(&plan, "drawn/joint")), ((3, 0), (50, 9)));
    whole().set("spoken.with.joint.sampler.stpes=3").check("error-part-override");
}

#[test]
fn parts_have_parts() {
    let outer = "anyflow: 1\nname: outer\nmodel: model.yaml\ninputs: {scan: {modality: image}}\n\
                 nodes: {twice: {use: whole.yaml, inputs: {photo: scan}, with: {drawn: {with: {joint: {seed: 4}}}}}}\n\
                 outputs: {scan: scan, drawing: twice.drawing}\n";
    let whole = Source::new("mld/whole.yaml", WHOLE);
    let mut case = case(outer, vec![whole, file(SPOKEN), file(DRAWN)]);
    case.main.path = "mld/outer.yaml".into();
    let plan = plan(&case);
    assert_eq!(sampling(&plan, "twice/spoken/joint"), (7, 0));
    assert_eq!(sampling(&plan, "twice/drawn/joint"), (50, 4));
}

/// An output of a part may be one of its inputs, which another part makes.
#[test]
fn references_pass_through_parts() {
    let pass = "anyflow: 1\nname: pass\nmodel: model.yaml\ninputs: {x: {modality: audio}, y: {modality: image}}\n\
                nodes: {seen: {encode: image/autoencoder, from: y}}\noutputs: {same: x, latent: seen}\n";
    let text = WHOLE.replace(
        "outputs: {audio: spoken.audio,",
        "  through: {use: pass.yaml, inputs: {x: spoken.audio, y: photo}}\noutputs: {audio: through.same, latent: \
         through.latent,",
    );
    let plan = plan(&case(&text, vec![file(SPOKEN), file(DRAWN), Source::new("mld/pass.yaml", pass)]));
    assert!(plan.outputs["audio"].starts_with("spoken/"), "{:?}", plan.outputs);
    assert_eq!(plan.outputs["latent"], "through/seen.numbers");
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    edited("spoken.audio}}", "spoken.audoi}}").check("error-part-port");
    edited("drawing: drawn.image", "drawing: drawn").check("error-part-whole");
    edited("drawing: drawn.image", "drawing: drawn/joint.image").check("error-part-inner");
    edited("{sound: spoken.audio}", "{}").check("error-part-no-input");
    edited("{sound: spoken.audio}", "{sound: spoken.audio, sond: photo}").check("error-part-input");
    edited("{sound: spoken.audio}", "{sound: photo}").check("error-part-type");
    edited("{joint: {sampler: {steps: 7}}}", "{jiont: {seed: 7}}").check("error-part-node");
    edited("{joint: {sampler: {steps: 7}}}", "{joint: {sampler: {stepps: 7}}}").check("error-part-key");
    edited("{joint: {sampler: {steps: 7}}}", "{joint: 7}").check("error-part-form");
    edited("use: audio-to-image.yaml, inputs", "use: audio-to-image.yaml, input").check("error-part-unknown-key");
    edited("use: audio-to-image.yaml", "use: model.yaml").check("error-part-kind");
    whole().set("drawn.use=other.yaml").check("error-part-unread");
    let drawn = Source { text: file(DRAWN).text.replace("from: joint.image", "from: joint.imgae"), ..file(DRAWN) };
    case(WHOLE, vec![file(SPOKEN), drawn]).check("error-part-within");
}

#[test]
fn a_circle_is_refused() {
    let text = WHOLE.replace("use: audio-to-image.yaml", "use: ../mld/whole.yaml");
    case(&text, vec![file(SPOKEN), file(DRAWN)]).check("error-part-itself");
    let back = file(DRAWN).text.replace("nodes:", "nodes:\n  again: {use: ./whole.yaml, inputs: {photo: sound}}");
    case(WHOLE, vec![file(SPOKEN), Source { text: back, ..file(DRAWN) }]).check("error-part-circle");
    let text = WHOLE.replace("{picture: photo}", "{picture: drawn.image}");
    case(&text, vec![file(SPOKEN), file(DRAWN)]).check("error-part-cycle");
}

#[test]
fn outputs_that_nothing_makes_are_refused() {
    let pass = "anyflow: 1\nname: pass\nmodel: model.yaml\ninputs: {x: {modality: image}}\nnodes: {seen: {encode: \
                image/autoencoder, from: x}}\noutputs: {x: x}\n";
    let text = "anyflow: 1\nname: round\nmodel: model.yaml\nnodes:\n  a: {use: pass.yaml, inputs: {x: b.x}}\n  \
                b: {use: pass.yaml, inputs: {x: a.x}}\noutputs: {x: a.x}\n";
    case(text, vec![Source::new("mld/pass.yaml", pass)]).check("error-part-round");
}

/// Each of 40 files uses the next one twice: 2^40 parts.
#[test]
fn parts_do_not_grow_without_bound() {
    let text = |next: usize| {
        format!(
            "anyflow: 1\nname: a\nmodel: model.yaml\ninputs: {{photo: {{modality: image}}}}\nnodes:\n  \
             a: {{use: {next}.yaml, inputs: {{photo: photo}}}}\n  b: {{use: {next}.yaml, inputs: {{photo: photo}}}}\n\
             outputs: {{x: a.x, y: b.x}}\n"
        )
    };
    let parts = (1..40).map(|index| Source::new(format!("mld/{index}.yaml"), text(index + 1))).collect();
    let said = case(&text(1), parts).compile().unwrap_err().to_string();
    assert!(said.contains("at most 1000"), "{said}");
}

#[test]
fn a_part_may_make_more_than_is_read() {
    let two = file("image-to-audio-text.yaml");
    let text = WHOLE.replace("image-to-audio.yaml", "image-to-audio-text.yaml");
    plan(&case(&text, vec![two, file(DRAWN)]));
    edited(", drawing: drawn.image", "").check("warning-part-unused");
    let other = Source { text: file(DRAWN).text.replace("model.yaml", "../other/model.yaml"), ..file(DRAWN) };
    case(WHOLE, vec![file(SPOKEN), other]).check("warning-part-model");
}

#[test]
fn used_pipelines_are_found_in_the_text() {
    let source =
        Source::new("a/b/c.yaml", "nodes: {x: {use: ../d.yaml}, y: {use: ./d.yaml}, z: {use: ../../a/d.yaml}}");
    assert_eq!(includes(&source).pipelines, ["a/d.yaml", "a/b/d.yaml"]);
}

#[test]
fn resolved_files_name_the_parts_by_absolute_paths() {
    let case = whole().set("spoken.with.joint.seed=5");
    let overrides: &[Override] = &case.overrides;
    let [pipeline, _] = resolved_files(&case.main, &case.model, overrides, "/project").unwrap();
    assert!(
        pipeline.text.contains("/project/mld/image-to-audio.yaml") && pipeline.text.contains("seed: 5"),
        "{pipeline:?}"
    );
    assert_eq!(pipeline.name, "pipeline.yaml");
}
