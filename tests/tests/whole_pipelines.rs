//! Published pipelines from folder to images, against diffusers with the same weights and the same noise.
//!
//! `goldens/published.py` makes the tiny folders with diffusers' and transformers' own `save_pretrained`, and the references. The test
//! makes the same folders again: configurations and digests of names and shapes are stored, weights are a closed form.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{TinyFolder, anyflow, fill, target, write_columns};
use serde_json::Value;

/// The largest difference of latents of order one after all steps, in f32.
const LATENT: f64 = 1e-3;
/// Pixels that may differ by more than one of 255, and the largest difference of a pixel.
const ODD_PIXELS: f64 = 1e-3;
const PIXEL: u8 = 2;

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
const CAPTIONS: [&str; 5] = ["red cat", "a dog", "blue bird", "two fish", "sun"];
const UNWANTED: [&str; 5] = ["blurry", "", "dark", "low", "old"];
const SIDE: u32 = 8;

fn encoded(image: &image::DynamicImage) -> OwnedCell {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    OwnedCell::Bytes(bytes.into_inner())
}

/// See `image` of goldens/published.py.
fn image(id: &str) -> OwnedCell {
    let shape = [SIDE, SIDE, 3].map(i64::from);
    let pixels = fill(&format!("image {id}"), &shape, 127.5, 127.5);
    let pixels = pixels.into_iter().map(|value| value as u8).collect();
    encoded(&image::RgbImage::from_raw(SIDE, SIDE, pixels).unwrap().into())
}

/// See `mask` of goldens/published.py.
fn mask(row: u32) -> OwnedCell {
    let light = |x: u32, y: u32| (row..row + 4).contains(&y) && (2..6).contains(&x);
    let pixel = |x, y| image::Luma([if light(x, y) { 255 } else { 0 }]);
    encoded(&image::GrayImage::from_fn(SIDE, SIDE, pixel).into())
}

fn write_rows(folder: &Path) {
    let text = || Feature::Value("string".into());
    let texts = |texts: [&str; 5]| texts.map(|text| Some(OwnedCell::Utf8(text.into()))).to_vec();
    let masks = (0..5).map(|row| Some(mask(row))).collect();
    let columns = vec![
        ("id", text(), texts(IDS)),
        ("caption", text(), texts(CAPTIONS)),
        ("unwanted", text(), texts(UNWANTED)),
        ("image", Feature::Image, IDS.map(|id| Some(image(id))).to_vec()),
        ("mask", Feature::Image, masks),
    ];
    write_columns(folder, columns);
}

/// A folder with an adopted model, a pipeline of `pipelines/pretrained` on it, and rows.
struct Project {
    folder: tempfile::TempDir,
    golden: TinyFolder,
}

impl Project {
    fn new(name: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap(), golden: TinyFolder::read(name) };
        project.golden.write(&project.path(name));
        anyflow(["adopt".into(), project.path(name), "--output".into(), project.path("model.yaml")]).ok();
        project.golden.write_weights(&project.path(name), &project.path("model.yaml"));
        write_rows(&project.path("rows"));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a shipped pipeline with the adopted model.
    fn write(&self, pipeline: &str) -> PathBuf {
        let shipped = format!("{}/../pipelines/pretrained/{pipeline}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(shipped).unwrap();
        let model = text.lines().find(|line| line.starts_with("model: ")).unwrap();
        let text = text.replace(model, "model: model.yaml").replace("outputs: {", "outputs: {latent: made.image, ");
        let file = self.path(&format!("{pipeline}.yaml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Runs a shipped pipeline on the adopted model and returns the latents and images of each row.
    fn run(&self, pipeline: &str, arguments: &[&str]) -> Vec<(Vec<f64>, Vec<u8>)> {
        let [file, output, rows] = [self.write(pipeline), self.path(&format!("out-{pipeline}")), self.path("rows")];
        let _ = std::fs::remove_dir_all(&output);
        let [file, output, rows] = [file, output, rows].map(|path| path.display().to_string());
        let fixed = [
            "run",
            &file,
            "--input",
            &rows,
            "--output",
            &output,
            "--set",
            "made.sampler.steps=4",
            "--set",
            "made.seed=0",
        ];
        anyflow(fixed.into_iter().chain(arguments.iter().copied())).ok();
        made(Path::new(&output))
    }

    /// Compares rows with a case of the golden.
    fn compare(&self, case: &str, found: &[(Vec<f64>, Vec<u8>)]) {
        let case_of = &self.golden.cases()[case];
        for (row, (latent, pixels)) in found.iter().enumerate() {
            let wanted: Vec<f64> = serde_json::from_value(case_of["latents"][row].clone()).unwrap();
            assert_eq!(latent.len(), wanted.len());
            let off = latent.iter().zip(&wanted).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
            assert!(off < LATENT, "{case}, row {row}: latents differ by {off}");
            let wanted = pixels_of(case_of["images"][row].as_str().unwrap());
            assert_eq!(pixels.len(), wanted.len());
            let off: Vec<u8> = pixels.iter().zip(&wanted).map(|(one, other)| one.abs_diff(*other)).collect();
            let odd = off.iter().filter(|off| **off > 1).count() as f64 / off.len() as f64;
            assert!(odd <= ODD_PIXELS && off.iter().all(|off| *off <= PIXEL), "{case}, row {row}: {off:?}");
        }
    }
}

fn pixels_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The latent and the pixels of each row of an output.
fn made(output: &Path) -> Vec<(Vec<f64>, Vec<u8>)> {
    let dataset = Dataset::open(&[output.to_path_buf()]).unwrap();
    let mut rows = Vec::new();
    for batch in dataset.read(None, 0..dataset.rows(), anyflow_datasets::Bound { rows: 16, bytes: 1 << 24 }).unwrap() {
        let batch = batch.unwrap();
        let latents = dataset.cells(&batch, "latent").unwrap();
        let images = dataset.cells(&batch, "image").unwrap();
        for row in 0..latents.len() {
            let OwnedCell::List(latent) = latents.get(row).unwrap().unwrap().into_owned() else { panic!("a list") };
            let OwnedCell::Bytes(image) = images.get(row).unwrap().unwrap().into_owned() else { panic!("an image") };
            let image = image::load_from_memory(&image).unwrap().into_rgb8();
            rows.push((latent.as_list().values().to_vec(), image.into_raw()));
        }
    }
    rows
}

const UNGUIDED: [&str; 2] = ["--set", "made.guidance.scale=1"];
const SCALE_5: [&str; 2] = ["--set", "made.guidance.scale=5"];

#[test]
fn stable_diffusion_equals_diffusers() {
    let project = Project::new("sd15");
    let all = project.run("text-to-image", &[]);
    assert_eq!(all.len(), 5);
    project.compare("text-to-image", &all);
    project.compare("text-to-image", &project.run("text-to-image", &["--rows", "1"]));
    project.compare("unguided", &project.run("text-to-image", &UNGUIDED));
    project.compare("negative-prompt", &project.run("negative-prompt", &SCALE_5));
    project.compare("image-to-image", &project.run("image-to-image", &["--set", "made.sampler.start_at=0.8"]));
}

#[test]
fn velocities_with_a_pure_start_equal_diffusers() {
    let project = Project::new("sd2-v");
    project.compare("text-to-image", &project.run("text-to-image", &[]));
}

#[test]
fn nine_channels_equal_diffusers() {
    let project = Project::new("sd15-inpainting");
    project.compare("in-painting", &project.run("in-painting-nine-channels", &[]));
}

#[test]
fn two_encoders_and_vectors_equal_diffusers() {
    let project = Project::new("sdxl");
    let sizes = ["--set", "size.value=[8, 8, 0, 0, 8, 8]"];
    let with = |more: [&'static str; 2]| [sizes, more].concat();
    project.compare("text-to-image", &project.run("sdxl-text-to-image", &with(SCALE_5)));
    project.compare("negative-prompt", &project.run("sdxl-negative-prompt", &with(SCALE_5)));
}

/// Any model paints the hole of an image: what is kept keeps its latent.
#[test]
fn any_model_paints_a_hole() {
    let project = Project::new("sd15");
    let painted = project.run("in-painting", &[]);
    let seen = project.run("image-to-image", &["--set", "made.sampler.start_at=0.01"]);
    assert_eq!((painted.len(), seen.len()), (5, 5));
}

/// 64 captions, 40 of them distinct.
fn write_captions(folder: &Path) {
    let [hues, things] = [["red", "blue", "old", "two"].as_slice(), &["cat", "dog", "bird", "fish", "sun"]];
    let caption = |n: usize| format!("{} {}{}", hues[n % 4], things[n / 4 % 5], ["", " at sea"][n / 20]);
    let text = || Feature::Value("string".into());
    let cells = |of: &dyn Fn(usize) -> String| (0..64).map(|row| Some(OwnedCell::Utf8(of(row)))).collect::<Vec<_>>();
    let captions = cells(&|row| caption(row * 7 % 40));
    write_columns(folder, vec![("id", text(), cells(&|row| row.to_string())), ("caption", text(), captions)]);
}

/// The bytes of all Parquet files of a folder, by name.
fn parquet(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.map(|path| (path.file_name().unwrap().display().to_string(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn a_killed_job_over_captions_ends_with_the_same_bytes() {
    let project = Project::new("sd15");
    let pipeline = project.write("text-to-image");
    write_captions(&project.path("captions"));
    let arguments = |output: &str, shard_rows: &str| -> Vec<String> {
        let [input, output] = [project.path("captions"), project.path(output)].map(|path| path.display().to_string());
        let fixed = ["run", &pipeline.display().to_string(), "--input", &input, "--output", &output];
        let bits = ["--batch-rows", "8", "--threads", "1"];
        let more = ["--shard-rows", shard_rows, "--set", "made.sampler.steps=15"];
        fixed.into_iter().chain(bits).chain(more).map(String::from).collect()
    };
    anyflow(arguments("whole", "1024")).ok();
    let record = std::fs::read_to_string(project.path("whole/run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let figures = |key: &str| record["result"][key].as_u64();
    assert_eq!((figures("prompt_rows"), figures("encoded_prompts")), (Some(64), Some(40)), "{record}");

    anyflow(arguments("calm", "8")).ok();
    let mut front = Command::new(target().join("anyflow"));
    front.args(arguments("killed", "8")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut front = front.spawn().unwrap();
    let commits = project.path("killed/commits");
    while std::fs::read_dir(&commits).map_or(0, Iterator::count) < 3 {
        assert!(front.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap();
    for pid in children.split_whitespace().map(String::from).chain([front.id().to_string()]) {
        Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
    front.wait().unwrap();
    assert!(!project.path("killed/manifest.json").exists());
    anyflow(arguments("killed", "8")).ok();
    let [calm, killed] = ["calm", "killed"].map(|output| parquet(&project.path(output).join("data")));
    assert!(calm.len() >= 8, "{:?}", calm.keys());
    assert_eq!(calm.keys().collect::<Vec<_>>(), killed.keys().collect::<Vec<_>>());
    assert!(calm == killed, "other bytes");
}
