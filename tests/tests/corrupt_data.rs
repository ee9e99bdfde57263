//! Corrupt data: each corrupt cell is a failed row, memory is bounded, and other rows are kept. Every codec of every
//! plugin reads its corpus and randomly damaged copies of it.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::{Cell, Dataset, Feature, OwnedCell, OwnedList};
use anyflow_plan::descriptor::{AxisSize, CellKind, CodecDescriptor};
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::plugin::{Codec, LoadedPlugins};
use anyflow_tests::{component, descriptor, digit_png, shipped_plugins, target, write_columns};
use serde_json::{Map, Value, json};

/// Damaged copies per file of the corpus.
const COPIES: u64 = 40;
/// Maximum length of a codec's error text in bytes: a sentence, not the data.
const LONGEST_MESSAGE: usize = 4096;

/// The codec with its defaults or examples, and a small list for parameters without one.
fn codec(plugins: &mut LoadedPlugins, plugin: &str, descriptor: &CodecDescriptor) -> Codec {
    let listed = || json!(["", "zero", "one", "two"]);
    let value = |schema: &Value| match (schema.get("default"), schema["examples"].get(0), &schema["type"]) {
        (Some(value), ..) | (None, Some(value), _) => value.clone(),
        (None, None, Value::String(kind)) if kind == "integer" => json!(8),
        _ => listed(),
    };
    let parameters: Map<String, Value> =
        descriptor.parameters.iter().map(|(name, schema)| (name.clone(), value(schema))).collect();
    let size = |axis: &AxisSize| match axis {
        AxisSize::Fixed(size) => *size,
        AxisSize::Parameter(name) => {
            parameters[name].as_i64().unwrap_or_else(|| parameters[name].as_array().unwrap().len() as i64)
        }
    };
    let shape = descriptor.array.axes.iter().map(|axis| size(&axis.size)).collect();
    let form = Form::Array { dtype: descriptor.array.dtype.clone(), axes: Vec::new(), shape, range: None };
    let array = Type { modality: descriptor.modality.clone(), form };
    Codec::new(plugins, &component(&format!("{plugin}/{}", descriptor.id), parameters.into()), &array).unwrap()
}

fn corpus(modality: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(modality);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// A file as a cell of the codec's kind; `None` if that is impossible.
fn cell(kind: CellKind, bytes: &[u8]) -> Option<OwnedCell> {
    let number = || bytes.first_chunk().copied().unwrap_or_default();
    Some(match kind {
        CellKind::Bytes => OwnedCell::Bytes(bytes.to_vec()),
        CellKind::Utf8 => OwnedCell::Utf8(String::from_utf8_lossy(bytes).into_owned()),
        CellKind::I64 => OwnedCell::I64(i64::from_le_bytes(number())),
        CellKind::F64 => OwnedCell::F64(f64::from_le_bytes(number())),
        CellKind::List(depth) => OwnedCell::List(list(depth, bytes)),
        CellKind::Files => OwnedCell::Files(vec![bytes.to_vec(), bytes.to_vec()]),
    })
}

/// The 32-bit floats of a file as a list. At each level, the next byte sets the number of parts.
fn list(depth: u32, bytes: &[u8]) -> OwnedList {
    let values: Vec<f64> =
        bytes.chunks_exact(4).map(|chunk| f64::from(f32::from_le_bytes(*chunk.first_chunk().unwrap()))).collect();
    let mut lengths = Vec::new();
    divide(depth, values.len(), &mut bytes.iter().cycle().copied(), &mut lengths);
    OwnedList::new(depth, values, lengths).unwrap()
}

fn divide(depth: u32, values: usize, bytes: &mut impl Iterator<Item = u8>, lengths: &mut Vec<u64>) {
    if depth == 1 {
        return lengths.push(values as u64);
    }
    let parts = usize::from(bytes.next().unwrap_or(1) % 8).max(usize::from(values > 0));
    lengths.push(parts as u64);
    for part in 0..parts {
        divide(depth - 1, values * (part + 1) / parts - values * part / parts, bytes, lengths);
    }
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators": splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Changes a few bytes, sets an extreme number, or cuts, repeats or replaces a part.
    fn damaged(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            let end = self.below(bytes.len() + 1);
            let from = at.min(end);
            let to = at.max(end);
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 => {
                    let number = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFFu32][self.below(5)].to_le_bytes();
                    bytes.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
                }
                3 => drop(bytes.drain(from..to)),
                4 => bytes.extend_from_within(from..to),
                _ => {
                    let start = self.below(other.len());
                    bytes.truncate(from);
                    bytes.extend_from_slice(&other[start..]);
                }
            }
            bytes.truncate(1 << 17);
        }
        bytes
    }
}

/// Encodes all cells and decodes the result.
#[track_caller]
fn survives(codec: &Codec, name: &str, cells: &[OwnedCell]) -> usize {
    let given: Vec<Option<Cell<'_>>> = cells.iter().map(|cell| Some(cell.as_cell())).collect();
    let (array, failed) = codec.encode(&given, 1).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(array.isfinite().all().int64_value(&[]) == 1, "{name} gives numbers that are not finite");
    for error in &failed {
        assert!(!error.text.is_empty() && error.text.len() <= LONGEST_MESSAGE, "{name}: {} bytes", error.text.len());
    }
    codec.decode(&array, 1).unwrap_or_else(|e| panic!("{name}: {e}"));
    cells.len() - failed.len()
}

#[test]
fn codecs_survive_corrupt_files() {
    let mut plugins = LoadedPlugins::default();
    for plugin in shipped_plugins() {
        for of in &descriptor(&plugin).codecs {
            let files = corpus(&of.modality);
            let codec = codec(&mut plugins, &plugin, of);
            let mut chance = Chance(1);
            for (index, (file, bytes)) in files.iter().enumerate() {
                let name = format!("{plugin}/{} on {file}", of.id);
                let taken = survives(&codec, &name, &cell(of.cell, bytes).into_iter().collect::<Vec<_>>());
                if file.starts_with("good.") {
                    assert_eq!(taken, 1, "{name}: refused");
                }
                let other = &files[(index + 1) % files.len()].1;
                let copies = (0..COPIES).filter_map(|_| cell(of.cell, &chance.damaged(bytes, other)));
                survives(&codec, &name, &copies.collect::<Vec<_>>());
            }
        }
    }
}

/// Each corrupt file is a failed row; the other rows are written, and the engine keeps its memory limit.
#[test]
fn a_run_over_corrupt_images_fails_only_those_rows_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bad: Vec<(String, Vec<u8>)> =
        corpus("image").into_iter().filter(|(name, _)| !name.starts_with("good")).collect();
    let mut pictures = Vec::new();
    for (index, (_, bytes)) in bad.iter().enumerate() {
        pictures.push(Some(OwnedCell::Bytes(digit_png(index % 10, 0))));
        pictures.push(Some(OwnedCell::Bytes(bytes.clone())));
    }
    let data = folder.path().join("data");
    write_columns(&data, vec![("image", Feature::Image, pictures)]);
    let out = folder.path().join("out");
    // The engine takes about 200 MB; decoding one image may take 256 MB.
    let limited = "ulimit -d 900000 && exec \"$@\"";
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/mld/image-to-audio.yaml");
    let ended = Command::new("sh")
        .args(["-c", limited, "sh"])
        .arg(target().join("anyflow"))
        .arg("run")
        .arg(pipeline)
        .args(["--threads", "1", "--set", "joint.sampler.steps=2", "--input"])
        .arg(&data)
        .arg("--output")
        .arg(&out)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let survivors = Dataset::open(std::slice::from_ref(&out)).unwrap().rows();
    let failures = Dataset::open(&[out.join("failures.parquet")]).unwrap().rows();
    assert_eq!((survivors + failures) as usize, 2 * bad.len());
    assert!(survivors as usize >= bad.len(), "{survivors} rows of {} good ones", bad.len());
    assert!(failures as usize >= bad.len() - 2, "only {failures} of {} bad ones failed", bad.len());
}
