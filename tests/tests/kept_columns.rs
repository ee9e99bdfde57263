//! Which input columns a run copies to its output, and how large its files become.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::io::Cursor;
use std::path::Path;

use anyflow_datasets::{Dataset, Feature, Manifest, OwnedCell};
use anyflow_tests::{Numbers, Output, anyflow, digit_png, write_columns};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A PNG of 150 x 150 random pixels, about 70 kB.
fn noise(seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let picture = image::RgbImage::from_fn(150, 150, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb(state.to_be_bytes()[..3].try_into().unwrap())
    });
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

struct Project(tempfile::TempDir);

impl Project {
    /// Images of which the pipeline reads `image`, and passes `thumb` and `raw` by.
    fn new(output: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let cells = |make: fn(u8) -> Vec<u8>| (0..6).map(|n| Some(OwnedCell::Bytes(make(n)))).collect::<Vec<_>>();
        let ids = (0..6).map(|n| Some(OwnedCell::I64(n))).collect();
        let columns = vec![
            ("id", Feature::Value("int64".into()), ids),
            ("image", Feature::Image, cells(noise)),
            ("thumb", Feature::Image, cells(|n| digit_png(n.into(), 0))),
            ("raw", Feature::Value("binary".into()), cells(|n| vec![n; 40_000])),
        ];
        write_columns(&folder.path().join("data"), columns);
        let model = Path::new(ROOT).join("pipelines/mld/model.yaml").display().to_string();
        let pipeline = format!(
            "anyflow: 1\nname: p\nmodel: {model}\ninputs:\n  seen: {{modality: image, column: image}}\n  \
             small: {{modality: image, column: thumb}}\nnodes:\n  \
             within: {{encode: image/autoencoder, from: seen}}\n  small-within: {{encode: image/autoencoder, from: small}}\n\
             outputs: {{{output}}}\n"
        );
        std::fs::write(folder.path().join("p.yaml"), pipeline).unwrap();
        Project(folder)
    }

    fn run(&self, output: &str, more: &[&str]) -> Output {
        let at = |name: &str| self.0.path().join(name).display().to_string();
        let [pipeline, data, output] = ["p.yaml", "data", output].map(at);
        let line = ["run", &pipeline, "--input", &data, "--output", &output, "--threads", "1"];
        anyflow(line.iter().chain(more)).ok()
    }

    fn columns(&self, output: &str) -> Vec<String> {
        let dataset = Dataset::open(&[self.0.path().join(output)]).unwrap();
        assert_eq!(dataset.rows(), 6);
        dataset.features().keys().cloned().collect()
    }
}

#[test]
fn large_files_that_the_pipeline_reads_are_copied_only_if_asked_for() {
    let project = Project::new("latent: within, other: small-within");
    let note = "column `image` (about";
    let said = project.run("default", &[]).err;
    assert!(said.matches(note).count() == 1 && said.contains("--keep '*'") && !said.contains("`thumb`"), "{said}");
    assert_eq!(
        project.columns("default"),
        ["id", "thumb", "raw", "latent", "other"],
        "raw is not read, thumb is small"
    );
    assert!(!project.run("all", &["--keep", "*"]).err.contains(note));
    assert_eq!(project.columns("all"), ["id", "image", "thumb", "raw", "latent", "other"]);
    project.run("named", &["--keep", "id,image"]);
    assert_eq!(project.columns("named"), ["id", "image", "latent", "other"]);
    let size = |output: &str| {
        Manifest::read(&self::path(&project, output)).unwrap().shards.iter().map(|s| s.size_bytes).sum::<u64>()
    };
    assert!(size("default") < 300_000 && size("all") > 400_000, "{} {}", size("default"), size("all"));
    project.run("default", &[]);
}

fn path(project: &Project, output: &str) -> std::path::PathBuf {
    project.0.path().join(output)
}

#[test]
fn an_output_that_is_an_input_is_asked_for() {
    let project = Project::new("image: seen, latent: within");
    assert!(!project.run("out", &[]).err.contains("column `image`"));
    assert_eq!(project.columns("out"), ["id", "thumb", "raw", "image", "latent"]);
}

#[test]
fn a_file_size_sets_the_rows_of_a_shard() {
    let numbers = Numbers::new();
    let run = |output: &str, more: &[&str]| {
        let line = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", output];
        let done = numbers.call(&[], &[&line, more].concat());
        done.code.eq(&0).then(|| Manifest::read(&numbers.path(output)).unwrap().shards.len()).ok_or(done)
    };
    // 16 bytes for two numbers that are made, and the label as it is on disk.
    let shards = run("small", &["--file-size", "160"]).unwrap();
    assert!((3..=12).contains(&shards), "{shards}");
    assert_eq!(run("large", &["--file-size", "1GB"]).unwrap(), 1);
    assert_eq!(run("tiny", &["--file-size", "1"]).unwrap(), 24);
    let both = run("both", &["--file-size", "1G", "--shard-rows", "8"]).unwrap_err();
    assert!(both.code == 2 && both.err.contains("--shard-rows"), "{}", both.err);
    let other = run("small", &[]).unwrap_err();
    assert!(other.err.contains("use --shard-rows"), "{}", other.err);
}
