//! `anyflow data survey` predicts what a run fails, and a run says early that nothing can be read.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyflow_datasets::{Feature, Features, OwnedCell, TableWriter};
use anyflow_tests::{Output, anyflow, digit_png, target, tone_wav, write_columns};
use arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, Int64Array, NullArray, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::Value;
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// More rows than a survey reads by default.
const ROWS: usize = 5000;
/// The largest difference between prediction and run.
const TWO_POINTS: f64 = 0.02;

/// A folder with a dataset of the column `value`, and a pipeline that encodes it.
struct Project {
    folder: TempDir,
    data: PathBuf,
}

impl Project {
    /// A column of cells with the keys `row-0`, `row-1`, ...
    fn new(component: &str, feature: Feature, cells: Vec<Option<OwnedCell>>) -> Project {
        let project = Project::without_data(component);
        let ids = (0..cells.len()).map(|row| Some(OwnedCell::Utf8(format!("row-{row}")))).collect();
        let columns = vec![("id", Feature::Value("string".into()), ids), ("value", feature, cells)];
        write_columns(&project.data, columns);
        project
    }

    fn without_data(component: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let modality = component.split('/').next().unwrap();
        let model = Path::new(ROOT).join("pipelines/mld/model.yaml").display().to_string();
        let pipeline = format!(
            "anyflow: 1\nname: p\nmodel: {model}\ninputs: {{seen: {{modality: {modality}, column: value}}}}\n\
             nodes: {{within: {{encode: {component}, from: seen}}}}\noutputs: {{made: within}}\n"
        );
        std::fs::write(folder.path().join("p.yaml"), pipeline).unwrap();
        let data = folder.path().join("data");
        Project { folder, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn call(&self, words: &[&str], more: &[&str]) -> Output {
        let data = self.data.display().to_string();
        let [pipeline, out] = ["p.yaml", "out"].map(|name| self.path(name).display().to_string());
        let words = words.iter().map(|word| match *word {
            "DATA" => data.as_str(),
            "PIPELINE" => pipeline.as_str(),
            "OUT" => out.as_str(),
            word => word,
        });
        anyflow(words.chain(more.iter().copied()).chain(["--threads", "1"]))
    }

    fn survey(&self, more: &[&str]) -> Value {
        self.call(&["data", "survey", "DATA", "--pipeline", "PIPELINE", "--json"], more).ok().json()
    }

    /// The failed rows of a run over all rows.
    fn run(&self, more: &[&str]) -> u64 {
        let result = self.call(&["run", "PIPELINE", "--input", "DATA", "--output", "OUT", "--json"], more).ok().json();
        std::fs::remove_dir_all(self.path("out")).unwrap();
        result["failed"].as_u64().unwrap()
    }

    /// Surveys and runs; the survey is right, and surer of itself than two points.
    #[track_caller]
    fn agrees(&self, failing: std::ops::Range<f64>) -> Value {
        let survey = self.survey(&[]);
        let failed = self.run(&[]);
        let was = failed as f64 / ROWS as f64;
        let (share, margin) = (survey["share"].as_f64().unwrap(), survey["margin"].as_f64().unwrap());
        // The README has these figures.
        eprintln!("predicted {:.1} ± {:.1} %, was {:.1} %", share * 100.0, margin * 100.0, was * 100.0);
        assert!(failing.contains(&was), "the test plants as many faults as it should: {was}");
        assert!((share - was).abs() < TWO_POINTS, "predicted {share}, was {was}");
        assert!(margin < 1.5 * TWO_POINTS && margin > 0.0, "{margin}");
        let read = survey["read"].as_u64().unwrap();
        assert!((2000..=2048).contains(&read) && survey["rows"] == ROWS, "{survey}");
        let causes: u64 =
            survey["causes"].as_array().unwrap().iter().map(|cause| cause["rows"].as_u64().unwrap()).sum();
        assert_eq!(causes, survey["failing"].as_u64().unwrap(), "each failed row has one cause");
        let all = self.survey(&["--all"]);
        assert_eq!((all["failing"].as_u64(), all["margin"].as_f64()), (Some(failed), Some(0.0)), "all rows: equal");
        survey
    }
}

/// Numbers without a pattern.
fn random(row: usize) -> u64 {
    let digest = anyflow_datasets::RowKey::new(format!("fault {row}"));
    digest.hash % 1000
}

fn texts(survey: &Value) -> Vec<&str> {
    survey["causes"].as_array().unwrap().iter().map(|cause| cause["text"].as_str().unwrap()).collect()
}

/// A file of images that are only named. The keys count up to `keys`, then begin anew.
fn write_links(path: &Path, files: &[String], keys: i64) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..files.len() as i64).map(|row| row % keys)));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![None::<&[u8]>; files.len()]));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(files));
    let media = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let media: ArrayRef = Arc::new(StructArray::new(Fields::from(media), vec![bytes, names], None));
    let rows = RecordBatch::try_from_iter([("id", ids), ("value", media)]).unwrap();
    let mut features = Features::from_schema(&rows.schema());
    features.0.insert("value".into(), Feature::Image);
    let mut writer = TableWriter::create(path, &rows.schema(), &features).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() * 3 / 5);
    bytes
}

#[test]
fn cut_images_and_other_cells_at_random_places() {
    let page = b"<!DOCTYPE html><html>403</html>".to_vec();
    let cell = |row: usize| match random(row) {
        0..80 => Some(cut(digit_png(row % 10, row as u32))),
        80..110 => Some(page.clone()),
        110..130 => None,
        _ => Some(digit_png(row % 10, row as u32)),
    };
    let cells = (0..ROWS).map(|row| cell(row).map(OwnedCell::Bytes)).collect();
    let project = Project::new("image/autoencoder", Feature::Image, cells);
    let survey = project.agrees(0.11..0.15);
    let texts = texts(&survey);
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("ends early") && texts[1].contains("HTML") && texts[2].contains("null"), "{texts:?}");
    let remedy = &survey["remedies"][0];
    assert_eq!(
        (&remedy["stream"], &remedy["parameter"], &remedy["value"]),
        (&"image".into(), &"partial".into(), &"accept".into())
    );
    let (tried, accepted) = (remedy["tried"].as_u64().unwrap(), remedy["accepted"].as_u64().unwrap());
    assert!(accepted > tried / 2 && accepted < tried, "{remedy}");
    let accept = ["--set", "model.streams.image.codec={use: image/gray, partial: accept}"];
    let fewer = project.survey(&accept)["share"].as_f64().unwrap();
    assert!((fewer - project.run(&accept) as f64 / ROWS as f64).abs() < TWO_POINTS && fewer < 0.08, "{fewer}");
    let column = &survey["columns"]["value"];
    let formats: Vec<&String> = column["kinds"]["format"].as_object().unwrap().keys().collect();
    assert_eq!(formats, ["image/png", "unknown"]);
    assert_eq!(
        (&column["ranges"]["width px"]["min"], &column["ranges"]["width px"]["max"]),
        (&28.0.into(), &28.0.into())
    );
    assert!(column["nulls"].as_u64().unwrap() > 0);
    let text = project.call(&["data", "survey", "DATA", "--pipeline", "PIPELINE"], &[]).ok().out;
    for part in ["5000 rows, 2048 read", "± ", "`partial: accept` in the codec of `image` accepts", "image/png ("] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn recordings_that_fail_more_and_more() {
    let cell = |row: usize| match random(row) as usize * ROWS {
        fault if fault < row * 300 => cut(tone_wav(row % 10, 0)),
        fault if fault < row * 400 => Vec::new(),
        _ => tone_wav(row % 10, 0),
    };
    let cells = (0..ROWS).map(|row| Some(OwnedCell::Bytes(cell(row)))).collect();
    let project = Project::new("audio/autoencoder", Feature::Audio { sampling_rate: None }, cells);
    let survey = project.agrees(0.15..0.25);
    assert_eq!(texts(&survey).len(), 2, "{survey}");
    let column = &survey["columns"]["value"];
    assert!(column["kinds"]["sampling rate"]["8000 Hz"].as_u64().unwrap() > 1700, "{column}");
    assert_eq!(column["ranges"]["seconds"]["max"], 0.4);
}

#[test]
fn labels_of_which_one_stretch_is_wrong() {
    let label = |row: usize| match row {
        3000..3700 => Some(10),
        3700..3900 => None,
        row => Some(row as i64 % 10),
    };
    let cells = (0..ROWS).map(|row| label(row).map(OwnedCell::I64)).collect();
    let project = Project::new("label/one-hot", Feature::Value("int64".into()), cells);
    let survey = project.agrees(0.17..0.19);
    assert!(texts(&survey)[0].contains("label 10 is not one of the 10 classes"), "{survey}");
    assert_eq!(survey["columns"]["value"]["ranges"]["value"]["max"], 10.0);
}

#[test]
fn texts_with_unknown_words_in_every_eighth_row() {
    let word = |row: usize| if row % 8 == 3 { format!("word{row}") } else { "seven".to_string() };
    let cells = (0..ROWS).map(|row| Some(OwnedCell::Utf8(word(row)))).collect();
    let project = Project::new("text/autoencoder", Feature::Value("string".into()), cells);
    let survey = project.agrees(0.12..0.13);
    assert_eq!(texts(&survey).len(), 1, "unknown words are one cause: {survey}");
    assert_eq!(survey["causes"][0]["keys"].as_array().unwrap().len(), 3);
}

#[test]
fn linked_files_that_are_missing_and_keys_that_repeat() {
    let mut project = Project::without_data("image/autoencoder");
    std::fs::write(project.path("there.png"), digit_png(3, 0)).unwrap();
    project.data = project.path("rows.parquet");
    let file = |row: usize| if random(row) < 60 { format!("gone-{row}.png") } else { "there.png".into() };
    write_links(&project.data, &(0..ROWS).map(file).collect::<Vec<_>>(), (ROWS - 7) as i64);
    let survey = project.agrees(0.05..0.07);
    assert!(texts(&survey)[0].contains("gone-"), "{survey}");
    assert_eq!(texts(&survey).len(), 1, "missing files are one cause: {survey}");
    let keys = &survey["keys"];
    assert_eq!((&keys["column"], &keys["read"], &keys["repeated"]), (&"id".into(), &ROWS.into(), &7.into()));
    assert_eq!(keys["examples"], serde_json::json!(["0", "1", "2"]));
}

#[test]
fn a_survey_says_nothing_of_its_own_trials() {
    let project = Project::without_data("text/bytes");
    let model = "anyflow: 1\nname: m\nstreams: {value: {codec: {use: text/bytes, length: 4}, latent: [4, 9]}}\n";
    std::fs::write(project.path("m.yaml"), model).unwrap();
    let pipeline = std::fs::read_to_string(project.path("p.yaml")).unwrap();
    let named = Path::new(ROOT).join("pipelines/mld/model.yaml").display().to_string();
    std::fs::write(project.path("p.yaml"), pipeline.replace(&named, "m.yaml")).unwrap();
    let texts = ["four", "longer", "longest"].map(|text| Some(OwnedCell::Utf8(text.into())));
    write_columns(&project.data, vec![("value", Feature::Value("string".into()), texts.into())]);
    let said = project.call(&["data", "survey", "DATA", "--pipeline", "PIPELINE"], &[]).ok();
    assert!(said.out.contains("`on_long: cut` in the codec of `value` accepts 2 of the 2 cells"), "{}", said.out);
    assert!(!said.err.contains("were cut"), "{}", said.err);
}

#[test]
fn a_survey_needs_a_pipeline_that_reads() {
    let project = Project::new("label/one-hot", Feature::Value("int64".into()), vec![Some(OwnedCell::I64(1))]);
    let data = project.data.display().to_string();
    let joint = Path::new(ROOT).join("pipelines/mld/joint.yaml").display().to_string();
    let said = anyflow(["data", "survey", &data, "--pipeline", &joint]);
    assert_eq!(said.code, 2, "{}", said.err);
    let words = "pipeline joint has no inputs, so that no row of the data can fail it";
    assert!(said.err.contains(words) && !said.err.contains("--input"), "{}", said.err);
}

/// Columns that no codec reads: only nulls, decimals, and records with nothing but a path.
#[test]
fn columns_that_no_codec_reads_are_named_with_what_is_wanted() {
    let path = vec![Field::new("path", DataType::Utf8, true)];
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a.png"]));
    let decimal = Decimal128Array::from(vec![Some(7)]).with_precision_and_scale(3, 0).unwrap();
    for (component, column, words) in [
        ("image/autoencoder", Arc::new(NullArray::new(1)) as ArrayRef, "holds null, but `image` reads cells of kind"),
        ("label/one-hot", Arc::new(decimal), "holds decimal128(3, 0), but `label` reads cells of kind"),
        (
            "image/autoencoder",
            Arc::new(StructArray::new(path.into(), vec![names], None)),
            "; write it as binary, as a record",
        ),
    ] {
        let mut project = Project::without_data(component);
        project.data = project.path("rows.parquet");
        let rows = RecordBatch::try_from_iter([("value", column)]).unwrap();
        let mut writer =
            TableWriter::create(&project.data, &rows.schema(), &Features::from_schema(&rows.schema())).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        let said = project.call(&["run", "PIPELINE", "--input", "DATA", "--output", "OUT"], &[]);
        assert!(
            said.code == 2 && said.err.contains("column `value` holds ") && said.err.contains(words),
            "{words}: {}",
            said.err
        );
        assert!(!said.err.contains("another kind"), "{}", said.err);
    }
}

#[test]
fn a_run_says_before_it_loads_that_nothing_can_be_read() {
    let cells = |bad: usize| {
        let cell = |row: usize| if row < bad { vec![0; 8] } else { digit_png(row % 10, 0) };
        (0..40).map(|row| Some(OwnedCell::Bytes(cell(row)))).collect()
    };
    let run = |bad: usize| {
        let project = Project::new("image/autoencoder", Feature::Image, cells(bad));
        project.call(&["run", "PIPELINE", "--input", "DATA", "--output", "OUT"], &[])
    };
    let note = "none of the first 16 rows can be read: ";
    let said = run(40);
    assert_eq!(said.code, 1, "all rows fail: {}", said.err);
    let place = said.err.find(note).unwrap_or_else(|| panic!("{}", said.err));
    assert!(place < said.err.find("load: done").unwrap(), "{}", said.err);
    let late = run(16).ok();
    assert!(late.err.contains(note) && late.out.contains("rows             24"), "{}{}", late.err, late.out);
    assert!(!run(15).ok().err.contains(note), "one good row is enough");
}

#[test]
fn a_run_ends_with_the_causes_of_its_failed_rows() {
    let word = |row: usize| if row % 8 == 3 { format!("word{row}") } else { "seven".to_string() };
    let mut cells: Vec<_> = (0..40).map(|row| Some(OwnedCell::Utf8(word(row)))).collect();
    cells[0] = None;
    let project = Project::new("text/autoencoder", Feature::Value("string".into()), cells);
    let said = project.call(&["run", "PIPELINE", "--input", "DATA", "--output", "OUT"], &[]).ok().err;
    let of = |words: &str| said.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    let failed = of(" failed: column value: ");
    assert_eq!(failed.len(), 2, "a line for each cause, not for each row: {said}");
    assert!(failed[0].starts_with("5 rows failed: column value: `word3` is not in the vocabulary"), "{said}");
    assert!(failed[0].ends_with("(keys row-3, row-11, row-19)"), "{said}");
    assert!(failed[1].starts_with("1 row failed") && failed[1].ends_with("(keys row-0)"), "{said}");
}

/// Writes a file of one row group: 2,000 cells of 250 kB that are no images, a few to a page.
fn write_one_row_group(path: &Path) {
    let cells: Vec<_> = (0..8u32).map(|cell| cell.to_le_bytes().repeat(62_500)).collect();
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values(&cells));
    let rows = RecordBatch::try_from_iter([("value", column)]).unwrap();
    let mut writer = TableWriter::create(path, &rows.schema(), &Features::from_schema(&rows.schema())).unwrap();
    (0..250).for_each(|_| writer.write(&rows).unwrap());
    writer.finish().unwrap();
    let about = anyflow(["data".as_ref(), "inspect".as_ref(), path.as_os_str(), "--json".as_ref()]).ok().json();
    assert_eq!(about["files"][0]["row_group_rows"], serde_json::json!([2000]));
}

#[test]
fn one_row_group_larger_than_the_memory_is_read_piece_by_piece() {
    /// Limit of the data segment, in KiB: less than the row group.
    const MOST: u32 = 400_000;
    let project = Project::without_data("image/autoencoder");
    let data = project.path("rows.parquet");
    write_one_row_group(&data);
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("ulimit -d {MOST}; exec \"$0\" \"$@\"")]).arg(target().join("anyflow"));
    limited.args(["data", "survey"]).arg(data).arg("--pipeline").arg(project.path("p.yaml"));
    limited.args(["--all", "--json", "--threads", "1", "--memory", "512M"]);
    assert_eq!(Output::of(limited).ok().json()["failing"], 2000, "no cell is an image");
}
