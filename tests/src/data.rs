//! Small synthetic data: seven-segment digits as images, two-tone signals as sounds, words.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyflow_datasets::{Expected, Feature, Features, Folder, JobId, OutputDir, OwnedCell, column_from_cells};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// The segments of each digit: top, upper left, upper right, middle, lower left, lower right, bottom.
const SEGMENTS: [u8; 10] = [
    0b111_0111, 0b001_0010, 0b101_1101, 0b101_1011, 0b011_1010, 0b110_1011, 0b110_1111, 0b101_0010, 0b111_1111,
    0b111_1011,
];

/// A 28 x 28 PNG of a digit in seven segments, shifted a little by `variant`.
///
/// # Panics
/// Never: PNG supports images of this size.
pub fn digit_png(digit: usize, variant: u32) -> Vec<u8> {
    let dx = variant % 5;
    let dy = variant / 5 % 5;
    // x, y, width, height of each segment.
    let boxes =
        [(8, 4, 10, 2), (6, 6, 2, 7), (18, 6, 2, 7), (8, 13, 10, 2), (6, 15, 2, 7), (18, 15, 2, 7), (8, 22, 10, 2)];
    let mut picture = image::GrayImage::new(28, 28);
    for (i, (x, y, width, height)) in boxes.into_iter().enumerate() {
        if SEGMENTS[digit] >> (6 - i) & 1 == 1 {
            for (px, py) in (0..width).flat_map(|a| (0..height).map(move |b| (a, b))) {
                picture.put_pixel((x + px + dx).min(27), (y + py + dy).min(27) - 2, image::Luma([230]));
            }
        }
    }
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a PNG of 28 x 28");
    png.into_inner()
}

/// A WAV of 0.4 s at 8 kHz with two tones that identify the digit.
///
/// # Panics
/// Never: writing a WAV to memory cannot fail.
pub fn tone_wav(digit: usize, variant: u32) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a WAV in memory");
    let low = 300.0 + 130.0 * (digit % 5) as f64;
    let high = 1500.0 + 900.0 * (digit / 5) as f64;
    let phase = f64::from(variant) * 0.7;
    for n in 0..3200 {
        let t = f64::from(n) / 8000.0 * std::f64::consts::TAU;
        let fade = (std::f64::consts::PI * f64::from(n) / 3200.0).sin();
        let value = fade * (0.5 * (low * t + phase).sin() + 0.3 * (high * t).sin());
        writer.write_sample((value * 30000.0) as i16).expect("a WAV in memory");
    }
    writer.finalize().expect("a WAV in memory");
    bytes.into_inner()
}

/// Writes a dataset folder of `rows` digits with the columns `id`, `image`, `audio`, `text`, `label`. Row n shows digit
/// n mod 10.
///
/// # Panics
/// If the folder cannot be written.
pub fn write_digits(folder: &Path, rows: usize) {
    let ids = (0..rows).map(|n| Some(OwnedCell::Utf8(format!("row-{n}")))).collect();
    let pictures = (0..rows).map(|n| Some(OwnedCell::Bytes(digit_png(n % 10, n as u32 / 10)))).collect();
    let sounds = (0..rows).map(|n| Some(OwnedCell::Bytes(tone_wav(n % 10, n as u32 / 10)))).collect();
    let words = (0..rows).map(|n| Some(OwnedCell::Utf8(WORDS[n % 10].into()))).collect();
    let labels = (0..rows).map(|n| Some(OwnedCell::I64(n as i64 % 10))).collect();
    write_columns(
        folder,
        vec![
            ("id", Feature::Value("string".into()), ids),
            ("image", Feature::Image, pictures),
            ("audio", Feature::Audio { sampling_rate: Some(8000) }, sounds),
            ("text", Feature::Value("string".into()), words),
            ("label", Feature::Value("int64".into()), labels),
        ],
    );
}

/// Writes a dataset folder with these columns.
///
/// # Panics
/// If the folder cannot be written, or the columns differ in length.
pub fn write_columns(folder: &Path, columns: Vec<(&str, Feature, Vec<Option<OwnedCell>>)>) {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    let mut features = Features::default();
    for (name, feature, cells) in columns {
        let array = column_from_cells(&cells, &feature).expect("cells of one kind");
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
        features.0.insert(name.to_string(), feature);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length");
    let expected = Expected { shards: 1, rows: batch.num_rows() as u64 };
    let folder = Folder::open(folder).expect("a folder that no other test writes to");
    let output = OutputDir::open(folder, &JobId::default().with("test", "data"), expected).expect("a new folder");
    let mut shard = output.shard(0, &features).expect("a new shard");
    shard.write(&batch).expect("room on disk");
    shard.commit(&[]).expect("room on disk");
    output.finish().expect("room on disk");
}

/// The files with this extension in a folder and its sub-folders, sorted.
///
/// # Panics
/// If a folder cannot be read.
pub fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder to read") {
        let path = entry.expect("a folder to read").path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
