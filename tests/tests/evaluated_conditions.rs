//! Evaluations give denoisers the same conditions as pipelines: planes, prompts of several encoders, vectors, numbers, and
//! what stands for a dropped prompt.
//!
//! The rows of an evaluation have other noise than those of a run. So the networks here do not see the noised latent, and
//! their prediction of x0 is the last state: the images follow from the conditions alone.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::Path;

use anyflow_datasets::{Feature, OwnedCell, OwnedList};
use anyflow_runtime::checkpoint::{self, Metadata, WeightType};
use anyflow_tests::{TinyFolder, Workspace, anyflow, cells, digit_png, write_columns};

const ROWS: usize = 5;
const CAPTIONS: [&str; ROWS] = ["red cat", "a dog", "blue bird", "two fish", "sun"];
const UNWANTED: [&str; ROWS] = ["blurry", "", "dark", "low", "old"];
/// Other batches differ in the last bits of a network's numbers, so a pixel may be rounded to the next level of 255.
const LEVELS: u8 = 1;

/// Trains a judge of images for one step. Its table also has the columns of prompts, which the step does not read.
const JUDGE: &str = "
anyflow: 1
name: judge
model: model.yaml
sources: {rows: rows}
data: {rows: {columns: {COLUMNS}, class: rows.class}}
scorers: {image: {stream: image, score: {use: image/classifier, classes: 5}}}
stages:
  - {name: judge, train: image, objective: {kind: classify}, data: rows, steps: 1, batch: 5}
";
const EVALUATION: &str = "anyflow: 1
name: e
model: model.yaml
sources: {rows: rows}
judges: {image: {score: {use: image/classifier, classes: 5}, weights: out/scorers.safetensors}}
rows: 5
seeds: [0]
";
const SAMPLER: &str = "{kind: ddim, steps: 2, spacing: {law: leading, offset: 1, last: zero}}";

/// The n-th row of each column. Sizes differ from row to row.
fn write_rows(folder: &Path) {
    let text = || Feature::Value("string".into());
    let texts = |texts: [&str; ROWS]| texts.map(|text| Some(OwnedCell::Utf8(text.into()))).to_vec();
    let each = |cell: &dyn Fn(usize) -> OwnedCell| (0..ROWS).map(|row| Some(cell(row))).collect::<Vec<_>>();
    let sizes = |row: usize| vec![8.0 + row as f64, 8.0, 0.0, row as f64, 8.0, 8.0];
    let list = |values: Vec<f64>| OwnedCell::List(OwnedList::new(1, values, vec![6]).unwrap());
    let columns = vec![
        ("caption", text(), texts(CAPTIONS)),
        ("unwanted", text(), texts(UNWANTED)),
        ("image", Feature::Image, each(&|row| OwnedCell::Bytes(digit_png(row, 3)))),
        ("mask", Feature::Image, each(&|row| OwnedCell::Bytes(digit_png(8 - row, 0)))),
        ("size", Feature::declared("List(Value(float32))").unwrap(), each(&|row| list(sizes(row)))),
        ("class", Feature::Value("int64".into()), each(&|row| OwnedCell::I64(row as i64))),
    ];
    write_columns(folder, columns);
}

/// An adopted model whose network does not see the noised latent, rows, and a judge that is trained on these columns.
fn project(name: &str, columns: &str) -> Workspace {
    let workspace = Workspace::new();
    let golden = TinyFolder::read(name);
    let [folder, model] = [name, "model.yaml"].map(|path| workspace.path(path));
    golden.write(&folder);
    anyflow(["adopt".as_ref(), folder.as_os_str(), "--output".as_ref(), model.as_os_str()]).ok();
    golden.write_weights(&folder, &model);
    blind(&folder.join("unet/diffusion_pytorch_model.safetensors"));
    // Images of 16 x 16 are large enough for the judge.
    let changes = [
        ("predict: eps", "predict: x0"),
        ("height: 8, width: 8", "height: 16, width: 16"),
        ("latent: [4, 4, 4]", "latent: [4, 8, 8]"),
        ("latent: [1, 4, 4]", "latent: [1, 8, 8]"),
    ];
    workspace.rewrite("model.yaml", |text| {
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from} in {text}");
            text.replace(from, to)
        })
    });
    write_rows(&workspace.path("rows"));
    let workspace = workspace.training(&JUDGE.replace("COLUMNS", columns));
    workspace.train("out").ok();
    workspace
}

/// Sets the weights of the first layer to zero that multiply the noised latent, its first four channels.
fn blind(path: &Path) {
    let tensors = checkpoint::read(path).unwrap().tensors;
    let _ = tensors["conv_in.weight"].narrow(1, 0, 4).fill_(0.0);
    let mut file = std::fs::File::create(path).unwrap();
    checkpoint::write(&mut file, path, &tensors, Metadata::new(), WeightType::F32).unwrap();
}

fn pixels(cell: &OwnedCell) -> Vec<u8> {
    let OwnedCell::Bytes(bytes) = cell else { panic!("an image") };
    image::load_from_memory(bytes).unwrap().into_rgb8().into_raw()
}

/// The images of a task, by the number of their row.
fn evaluated(workspace: &Workspace, task: usize) -> BTreeMap<usize, Vec<u8>> {
    let file = workspace.path(&format!("eval/samples/{task}.parquet"));
    let row = |cell: &OwnedCell| match cell {
        OwnedCell::Utf8(class) => class.parse().unwrap(),
        other => panic!("{other:?}"),
    };
    cells(&file, "class").iter().map(row).zip(cells(&file, "image").iter().map(pixels)).collect()
}

/// Compares the images of each task with those of a column of the run.
fn compare(workspace: &Workspace, tasks: &[&str]) {
    let mut seen: Vec<Vec<Vec<u8>>> = Vec::new();
    for (task, name) in tasks.iter().enumerate() {
        let wanted: Vec<Vec<u8>> = workspace.cells("run", name).iter().map(pixels).collect();
        let found: Vec<Vec<u8>> = evaluated(workspace, task).into_values().collect();
        assert_eq!((found.len(), wanted.len()), (ROWS, ROWS), "{name}");
        for (row, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let off = found.iter().zip(wanted).map(|(one, other)| one.abs_diff(*other)).max().unwrap();
            assert!(found.len() == wanted.len() && off <= LEVELS, "{name}, row {row}: {off} levels off");
            assert!(wanted.iter().any(|pixel| *pixel != wanted[0]), "{name}, row {row} is of one color");
        }
        for other in &seen {
            assert!(found.iter().zip(other).all(|(one, other)| one != other), "{name} differs from earlier tasks");
        }
        seen.push(found);
    }
}

#[test]
fn planes_of_a_task_are_those_of_a_node() {
    let workspace = project("sd15-inpainting", "image: rows.image, hole: rows.mask, words: rows.caption");
    workspace.run(
        "run",
        &format!(
            "inputs: {{caption: {{modality: text}}, image: {{modality: image}}, mask: {{modality: image}}}}
nodes:
  told: {{embed: words, from: caption}}
  hole: {{encode: hole, from: mask}}
  seen: {{encode: image, from: image}}
  visible: {{encode: image, from: image, hide: hole}}
  painted: {{diffuse: [image], planes: {{hole: hole, image: visible}}, condition: {{told: 1.0}}, guidance: {{kind: cfg, scale: 7.5}}, sampler: {SAMPLER}}}
  bare: {{diffuse: [image], planes: {{hole: hole, image: seen}}, sampler: {SAMPLER}}}
  painted-image: {{decode: image, from: painted.image}}
  bare-image: {{decode: image, from: bare.image}}
outputs: {{painted: painted-image, bare: bare-image}}
"
        ),
        &["--input", &workspace.path("rows").display().to_string()],
    );
    let tasks = "data: {columns: {image: rows.image, hole: rows.mask, words: rows.caption}, class: rows.class}
tasks:
  painted: {generate: [image], planes: {hole: hole, image: {from: image, hide: hole}}, condition: {words: 1.0}, guidance: {kind: cfg, scale: 7.5}}
  bare: {generate: [image], planes: {hole: hole, image: image}}
";
    workspace.write("eval.yaml", &format!("{EVALUATION}sampler: {SAMPLER}\n{tasks}"));
    let findings = workspace.evaluate("eval.yaml", "eval");
    assert_eq!(findings.tasks["painted"].observe, ["words", "hole", "image"]);
    assert!(findings.tasks["bare"].variants[0].streams["image"].accuracy.is_some(), "planes say what the class is");
    compare(&workspace, &["painted", "bare"]);
}

#[test]
fn prompts_of_several_and_vectors_of_a_task_are_those_of_a_node() {
    let workspace = project("sdxl", "image: rows.image, words: rows.caption, sizes: rows.size");
    // A second prompt of the same encoders, for a column of texts to avoid.
    workspace.rewrite("model.yaml", |text| {
        let (start, end) = (text.find("  words:\n").unwrap(), text.find("  sizes:\n").unwrap());
        let avoided = text[start..end].replace("words", "avoided");
        let text = format!("{}{avoided}{}", &text[..end], &text[end..]);
        text.replace("prompts: [words]", "prompts: [words, avoided]")
    });
    let guided = "guidance: {kind: cfg, scale: 5.0";
    workspace.run(
        "run",
        &format!(
            "inputs: {{caption: {{modality: text}}, unwanted: {{modality: text}}, size: {{modality: numbers}}}}
nodes:
  told: {{embed: words, from: caption}}
  without: {{embed: words, from: unwanted}}
  framed: {{embed: sizes, from: size}}
  plain: {{diffuse: [image], condition: {{told: 1.0, framed: 1.0}}, {guided}}}, sampler: {SAMPLER}}}
  avoiding: {{diffuse: [image], condition: {{told: 1.0, framed: 1.0}}, {guided}, instead: {{told: without}}}}, sampler: {SAMPLER}}}
  plain-image: {{decode: image, from: plain.image}}
  avoiding-image: {{decode: image, from: avoiding.image}}
outputs: {{plain: plain-image, avoiding: avoiding-image}}
"
        ),
        &["--input", &workspace.path("rows").display().to_string()],
    );
    let columns = "image: rows.image, words: rows.caption, avoided: rows.unwanted, sizes: rows.size";
    let tasks = format!(
        "data: {{columns: {{{columns}}}, class: rows.class}}
tasks:
  plain: {{generate: [image], condition: {{words: 1.0, sizes: 1.0}}, {guided}}}}}
  avoiding: {{generate: [image], condition: {{words: 1.0, sizes: 1.0}}, {guided}, instead: {{words: avoided}}}}}}
conflicts:
  two-texts: {{generate: [image], between: [words, avoided]}}
"
    );
    workspace.write("eval.yaml", &format!("{EVALUATION}sampler: {SAMPLER}\n{tasks}"));
    let findings = workspace.evaluate("eval.yaml", "eval");
    assert_eq!(findings.conflicts["two-texts"].between, ["words", "avoided"]);
    assert_eq!(findings.tasks["plain"].observe, ["words", "sizes"], "the vector comes with its prompt");
    compare(&workspace, &["plain", "avoiding"]);
}
