//! SDEdit and in-painting with shipped models, in pipelines and in evaluations.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::io::Cursor;
use std::path::Path;

use anyflow_datasets::{Dataset, Feature, OwnedCell, head};
use anyflow_plan::findings::Findings;
use anyflow_tests::{anyflow, cells, write_columns, write_digits};
use image::{ImageFormat, RgbImage};
use serde_json::Value;

const PIPELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines");

/// Runs a command on a file with one thread.
fn call(command: &str, file: &Path, output: &Path, more: &[&str]) -> Value {
    let arguments = [command.as_ref(), file.as_os_str(), "--output".as_ref(), output.as_os_str(), "--json".as_ref()];
    let more = more.iter().map(std::ffi::OsStr::new).chain(["--threads", "1"].map(AsRef::as_ref));
    anyflow(arguments.into_iter().chain(more)).ok().json()
}

/// Runs a pipeline of these lines on a shipped model.
fn run(folder: &Path, name: &str, model: &str, lines: &str) {
    let file = folder.join(format!("{name}.yaml"));
    std::fs::write(&file, format!("anyflow: 1\nname: {name}\nmodel: {PIPELINES}/{model}\n{lines}")).unwrap();
    let data = folder.join("data");
    // Bits follow the size of a batch, which a run measures otherwise.
    call("run", &file, &folder.join(name), &["--input", data.to_str().unwrap(), "--batch-rows", "8"]);
}

fn example(name: &str) -> std::path::PathBuf {
    Path::new(PIPELINES).join("examples").join(name)
}

/// The numbers of a column, all rows in a row.
fn numbers(folder: &Path, column: &str) -> Vec<f64> {
    let numbers = |cell: OwnedCell| match cell {
        OwnedCell::List(list) => list.as_list().values().to_vec(),
        other => panic!("{other:?}"),
    };
    cells(folder, column).into_iter().flat_map(numbers).collect()
}

/// The root of the mean squared difference.
fn difference(one: &[f64], other: &[f64]) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
    (squares.sum::<f64>() / one.len() as f64).sqrt()
}

/// SDEdit: the later sampling starts, the more of the start is kept. From pure noise the start has no effect.
#[test]
fn a_late_start_keeps_the_start_and_an_early_one_forgets_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Images that the model knows.
    let joint = Path::new(PIPELINES).join("mld/joint.yaml");
    call("run", &joint, &folder.join("data"), &["--rows", "20", "--set", "joint.sampler.steps=20", "--seed", "3"]);
    let made = |name: &str, keys: &str, sampler: &str| {
        let lines = format!(
            "inputs: {{picture: {{modality: image, column: image}}}}\nnodes:\n  \
             seen: {{encode: image/autoencoder, from: picture}}\n  \
             made: {{diffuse: [image]{keys}, absent: [audio, text, label], sampler: {{kind: ddim, steps: 20{sampler}}}}}\n\
             outputs: {{made: made.image, seen: seen}}\n"
        );
        run(folder, name, "mld/model.yaml", &lines);
        numbers(&folder.join(name), "made")
    };
    let start = ", start: {image: seen}";
    let free = made("free", "", "");
    let seen = numbers(&folder.join("free"), "seen");
    let far = difference(&free, &seen);
    let differences = [0.01, 0.3, 0.6].map(|at| {
        let name = format!("at-{at}");
        difference(&made(&name, start, &format!(", start_at: {at}")), &seen)
    });
    assert!(differences.is_sorted() && differences[2] < far, "{differences:?} {far}");
    assert!(differences[0] < 0.5 * far, "{differences:?} {far}");
    assert_eq!(made("whole", start, ", start_at: 1.0"), free, "nothing is left of the start");
}

#[test]
fn the_shipped_edit_changes_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_digits(&data, 10);
    let output = folder.path().join("out");
    let result = call("run", &example("sdedit.yaml"), &output, &["--input", data.to_str().unwrap()]);
    assert_eq!((result["rows"].as_u64(), result["failed"].as_u64()), (Some(10), Some(0)));
    let [seen, edited] = ["image", "edited"].map(|column| cells(&output, column));
    assert!(seen.iter().zip(&edited).all(|(seen, edited)| seen != edited));
}

#[test]
fn an_evaluation_measures_how_much_an_edit_keeps() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("mnist_test.parquet"), 40);
    let data = ["--data", folder.path().to_str().unwrap(), "--set", "rows=30"];
    let findings = call("eval", &example("sdedit-eval.yaml"), &folder.path().join("out"), &data);
    let findings: Findings = serde_json::from_value(findings).unwrap();
    let own = |variant: &str| {
        let answer = &findings.tasks["sample-again"].variants[variant];
        answer.streams["image"].truth.as_ref().unwrap().features.distance.mean
    };
    assert!(own("little-noise") < own("much-noise"), "{} {}", own("little-noise"), own("much-noise"));
}

const SIDE: u32 = 32;

/// An image with a color for each half.
fn halves(left: [u8; 3], right: [u8; 3]) -> Option<OwnedCell> {
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, _| image::Rgb(if x < SIDE / 2 { left } else { right }));
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    Some(OwnedCell::Bytes(png.into_inner()))
}

const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];

/// The pixels of one half of an image.
fn pixels(cell: &OwnedCell, is_left: bool) -> Vec<[u8; 3]> {
    let OwnedCell::Bytes(bytes) = cell else { panic!("{cell:?}") };
    let picture = image::load_from_memory(bytes).unwrap().to_rgb8();
    picture.enumerate_pixels().filter(|(x, ..)| (*x < SIDE / 2) == is_left).map(|(.., pixel)| pixel.0).collect()
}

/// Images of one color, different in each row, and masks.
fn write_images(folder: &Path, rows: u8, mask: impl Fn(u8) -> Option<OwnedCell>) {
    let color = |row: u8| [200 - 15 * row, 20 * row, 120];
    let images = (0..rows).map(|row| halves(color(row), color(row))).collect();
    let masks = |_: &str| (0..rows).map(&mask).collect();
    let words = (0..rows).map(|_| Some(OwnedCell::Utf8("animal-bird".into()))).collect();
    write_columns(
        folder,
        vec![
            ("image", Feature::Image, images),
            ("mask", Feature::Image, masks("mask")),
            ("line", Feature::Image, masks("line")),
            ("subgroup", Feature::Value("string".into()), words),
        ],
    );
}

/// The mean difference of two colors.
fn apart(one: &[[u8; 3]], other: &[[u8; 3]]) -> f64 {
    let mean = |pixels: &[[u8; 3]], channel: usize| {
        pixels.iter().map(|pixel| f64::from(pixel[channel])).sum::<f64>() / pixels.len() as f64
    };
    (0..3).map(|channel| (mean(one, channel) - mean(other, channel)).abs()).sum()
}

#[test]
fn the_masked_half_keeps_its_pixels_and_the_other_half_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_images(&data, 8, |_| halves(WHITE, BLACK));
    let output = folder.path().join("out");
    let more = ["--input", data.to_str().unwrap(), "--set", "made.sampler.steps=20"];
    call("run", &example("inpaint.yaml"), &output, &more);
    // The output has the name of the input column, which it replaces.
    let [seen, painted] = [&data, &output].map(|folder| cells(folder, "image"));
    for (seen, painted) in seen.iter().zip(&painted) {
        assert_eq!(pixels(seen, true), pixels(painted, true));
        assert_ne!(pixels(seen, false), pixels(painted, false));
    }
    let seam = |left: usize, right: usize| apart(&pixels(&painted[left], true), &pixels(&painted[right], false));
    let own: f64 = (0..8).map(|row| seam(row, row)).sum();
    let others: f64 = (0..8).map(|row| seam(row, (row + 4) % 8)).sum();
    assert!(own < others, "{own} {others}");
}

/// With a mask that observes nothing, a stream is generated as without it; with one that observes all, it is kept.
#[test]
fn an_empty_mask_is_generation_and_a_full_one_is_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let is_full = |row: u8| row.is_multiple_of(2);
    write_images(&folder.join("data"), 6, |row| if is_full(row) { halves(WHITE, WHITE) } else { halves(BLACK, BLACK) });
    let made = |name: &str, keys: &str| {
        let lines = format!(
            "inputs: {{picture: {{modality: image, column: image}}, kept: {{modality: image, column: mask}}}}\nnodes:\n  \
             seen: {{encode: image/patches, from: picture, stream: image}}\n  \
             mask: {{encode: image/patches, from: kept, stream: image}}\n  \
             made: {{diffuse: [image]{keys}, absent: [line], sampler: {{kind: ddim, steps: 4}}}}\n  \
             drawn: {{decode: image/patches, from: made.image, stream: image}}\noutputs: {{drawn: drawn, seen: seen, hole: mask}}\n"
        );
        run(folder, name, "mt-diffusion/transition/model.yaml", &lines);
        cells(&folder.join(name), "drawn")
    };
    let free = made("free", "");
    let masked = made("masked", ", observe: {image: {from: seen, mask: mask}}");
    let seen = cells(&folder.join("data"), "image");
    for row in 0..6 {
        let (expected, all) = if is_full(row) { (&seen, "its own") } else { (&free, "a free one") };
        let [expected, masked] =
            [expected, &masked].map(|images| [true, false].map(|half| pixels(&images[row as usize], half)));
        assert_eq!(expected, masked, "row {row}: {all}");
    }
}

#[test]
fn an_evaluation_takes_masks_from_a_stream_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let is_full = |row: u8| row.is_multiple_of(2);
    let data = folder.path().join("openmoji_test.parquet");
    write_images(&data, 6, |row| if is_full(row) { halves(WHITE, WHITE) } else { halves(WHITE, BLACK) });
    let output = folder.path().join("out");
    let more = ["--data", folder.path().to_str().unwrap(), "--set", "rows=6", "--set", "sampler.steps=4"];
    let findings: Findings =
        serde_json::from_value(call("eval", &example("inpaint-eval.yaml"), &output, &more)).unwrap();
    let task = &findings.tasks["lines"];
    assert_eq!((&task.observe, &task.generate), (&vec!["image".to_string()], &vec!["image".to_string()]));
    let samples = output.join("samples/0.parquet");
    let columns = head(&Dataset::open(std::slice::from_ref(&samples)).unwrap(), 1).unwrap();
    let columns: Vec<&str> = columns[0].keys().map(String::as_str).collect();
    assert_eq!(columns, ["original of image", "line", "class", "image", "predicted class of image"]);
    let [seen, masks, painted] = ["original of image", "line", "image"].map(|column| cells(&samples, column));
    for row in 0..6 {
        let is_full = pixels(&masks[row], false)[0] == WHITE;
        assert_eq!(pixels(&seen[row], true), pixels(&painted[row], true), "row {row}");
        assert_eq!(pixels(&seen[row], false) == pixels(&painted[row], false), is_full, "row {row}");
    }
}
