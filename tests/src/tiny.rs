//! Tiny folders of published models, as `goldens/published.py` describes them, with closed-form weights.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyflow_runtime::checkpoint::{self, Metadata, Tensors, WeightType};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::anyflow;

/// The last layer of a decoder, and its scale: see `filled` of the script.
const LAST: &str = "decoder.conv_out";
const LAST_SCALE: f32 = 0.4;

/// A folder with configurations, tokenizers and weights.
pub struct TinyFolder(Value);

/// File -> the tensors in it and their shapes.
type Shapes = BTreeMap<String, BTreeMap<String, Vec<i64>>>;

impl TinyFolder {
    /// Reads the description of a folder.
    ///
    /// # Panics
    /// If there is none.
    pub fn read(name: &str) -> TinyFolder {
        let path = format!("{}/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a description that the script wrote");
        TinyFolder(serde_json::from_str(&text).expect("JSON"))
    }

    /// Reads the description of a model at its true size, as `goldens/true_shapes.py` writes it.
    ///
    /// # Panics
    /// If there is none.
    pub fn at_true_size(name: &str) -> TinyFolder {
        let all = TinyFolder::read("true-shapes");
        TinyFolder(all.0[name].clone())
    }

    /// Case -> latents and images of diffusers.
    pub fn cases(&self) -> &Value {
        &self.0["cases"]
    }

    /// Writes configurations, tokenizers, and files of weights with one number each, so that the folder can be adopted.
    ///
    /// # Panics
    /// If there is no room.
    pub fn write(&self, folder: &Path) {
        let put = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("room on disk");
            std::fs::write(path, text).expect("room on disk");
        };
        for (name, content) in self.entries("files") {
            put(name, &content.as_str().map_or_else(|| content.to_string(), String::from));
        }
        for (part, pad) in self.entries("pads") {
            let settings = json!({"tokenizer_class": "CLIPTokenizer", "pad_token": pad});
            put(&format!("{part}tokenizer_config.json"), &settings.to_string());
            put(&format!("{part}vocab.json"), &vocabulary().to_string());
            put(&format!("{part}merges.txt"), "#version: 0.2\n");
        }
        for (file, _) in self.entries("weights") {
            put(file, "");
            save(&folder.join(file), &[("a".to_string(), Tensor::from(0.0f32))].into());
        }
    }

    /// Writes the closed-form weights below the names that the model file wants, which have the published digest.
    ///
    /// # Panics
    /// If names or shapes are not those of the published files, or the model is then incomplete.
    pub fn write_weights(&self, folder: &Path, model: &Path) {
        for (file, tensors) in &self.published_shapes(folder, model) {
            let tensor = |(name, shape): (&String, &Vec<i64>)| (name.clone(), parameter(name, shape));
            save(&folder.join(file), &tensors.iter().map(tensor).collect());
        }
        let report = report(model);
        assert!(report["is_complete"] == true, "{report}");
    }

    /// Writes files of these names and shapes in f16 whose numbers are zero and take no disk.
    ///
    /// # Panics
    /// As [`TinyFolder::write_weights`].
    pub fn write_sparse(&self, folder: &Path, model: &Path) {
        for (file, tensors) in &self.published_shapes(folder, model) {
            let shape =
                |(name, shape): (&String, &Vec<i64>)| (name.clone(), shape.iter().map(|n| *n as usize).collect());
            sparse(&folder.join(file), &tensors.iter().map(shape).collect::<Vec<_>>(), "F16");
        }
    }

    /// The wanted tensors by file, which are those of the published files.
    fn published_shapes(&self, folder: &Path, model: &Path) -> Shapes {
        let shapes = self.shapes(folder, model);
        for (file, tensors) in &shapes {
            let description = &self.0["weights"][file.as_str()];
            assert_eq!(digest(tensors), description["digest"], "names or shapes of {file} differ: {tensors:?}");
        }
        shapes
    }

    /// The wanted tensors by file, by their names there: the report on empty files names them, and the report on empty tensors
    /// their shapes.
    fn shapes(&self, folder: &Path, model: &Path) -> Shapes {
        let list = |report: &Value, key: &str, found: &mut dyn FnMut(&str, String, &Value)| {
            for part in report["report"]["parts"].as_array().expect("parts") {
                let [file] = part["files"].as_array().expect("files").as_slice() else { panic!("one file: {part}") };
                let root = std::fs::canonicalize(folder).expect("a folder");
                let file = std::fs::canonicalize(file.as_str().expect("a path")).expect("a file");
                let file = file.strip_prefix(&root).expect("a file of the folder").display().to_string();
                let prefix = format!("{}.", part["part"].as_str().expect("a name"));
                for tensor in part[key].as_array().expect("a list") {
                    let name = tensor["name"].as_str().expect("a name");
                    found(
                        &file,
                        self.published(&file, name.strip_prefix(&prefix).expect("a name of the part")),
                        tensor,
                    );
                }
            }
        };
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        list(&report(model), "missing", &mut |file, name, _| {
            names.entry(file.into()).or_default().insert(name);
        });
        for (file, names) in names {
            let empty = |name| (name, Tensor::zeros([0], (Kind::Float, Device::Cpu)));
            save(&folder.join(file), &names.into_iter().map(empty).collect());
        }
        let mut shapes = Shapes::new();
        list(&report(model), "misshapen", &mut |file, name, tensor| {
            let shape = tensor["wanted"].as_array().expect("a shape").iter().filter_map(Value::as_i64).collect();
            shapes.entry(file.into()).or_default().insert(name, shape);
        });
        shapes
    }

    /// The name in the file of a name in the module.
    fn published(&self, file: &str, name: &str) -> String {
        let left_out = self.0["weights"][file]["without"].as_str().unwrap_or_default();
        name.strip_prefix(left_out).unwrap_or(name).to_string()
    }

    fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0[key].as_object().into_iter().flatten()
    }
}

/// offset + scale u, u in [-1, 1) a hash of the name and the place: see `fill` of `core/diffusion/tests/goldens/unet.py`.
pub fn fill(name: &str, shape: &[i64], scale: f64, offset: f64) -> Vec<f32> {
    let hash = name.bytes().zip(1u32..).fold(0u32, |sum, (letter, place)| sum + u32::from(letter) * place);
    let value = |i: u32| {
        let mut s = i.wrapping_mul(0x9E37_79B1).wrapping_add(hash.wrapping_mul(0x85EB_CA6B));
        s = (s ^ (s >> 15)).wrapping_mul(0x2C1B_3C6D);
        s ^= s >> 12;
        (offset + scale * (f64::from(s) / f64::from(1u32 << 31) - 1.0)) as f32
    };
    (0..shape.iter().product::<i64>() as u32).map(value).collect()
}

/// See `filled` of the script.
fn parameter(name: &str, shape: &[i64]) -> Tensor {
    let (scale, offset) = match shape {
        [_, inputs @ ..] if !inputs.is_empty() => ((3.0 / inputs.iter().product::<i64>() as f64).sqrt(), 0.0),
        _ if name.ends_with("weight") => (0.2, 1.0),
        _ => (0.1, 0.0),
    };
    let last = if name.starts_with(LAST) { LAST_SCALE } else { 1.0 };
    let values: Vec<f32> = fill(name, shape, scale, offset).into_iter().map(|value| value * last).collect();
    Tensor::from_slice(&values).view(shape)
}

/// See `digest` of `core/diffusion/tests/goldens/unet.py`.
fn digest(shapes: &BTreeMap<String, Vec<i64>>) -> String {
    let lines: BTreeSet<String> = shapes.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
    let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", lines.iter().flat_map(|line| line.as_bytes()).fold(0xCBF2_9CE4_8422_2325, step))
}

/// See `vocabulary` of the script.
fn vocabulary() -> Value {
    let plain: Vec<u32> = (33..127).chain(161..173).chain(174..256).collect();
    let letters = plain.iter().copied().chain((0..256 - plain.len() as u32).map(|index| 256 + index));
    let letters: Vec<String> = letters.filter_map(char::from_u32).map(String::from).collect();
    let ends = letters.iter().map(|letter| format!("{letter}</w>"));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(String::from);
    let words = letters.iter().cloned().chain(ends).chain(special);
    words.enumerate().map(|(index, word)| (word, json!(index))).collect::<Map<_, _>>().into()
}

/// Writes a safetensors file of these names and shapes whose numbers are zero and take no disk.
///
/// # Panics
/// If there is no room.
pub fn sparse(path: &Path, tensors: &[(String, Vec<usize>)], dtype: &str) {
    let width = if dtype == "F16" { 2 } else { 4 };
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += width * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::from(header).to_string();
    let mut file = std::fs::File::create(path).expect("room on disk");
    let start = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes()].concat();
    file.write_all(&start).expect("room on disk");
    file.set_len((start.len() + end) as u64).expect("room on disk");
}

fn save(path: &PathBuf, tensors: &Tensors) {
    let mut file = std::fs::File::create(path).expect("room on disk");
    checkpoint::write(&mut file, path, tensors, Metadata::new(), WeightType::F32).expect("room on disk");
}

/// What `check --weights` says about a model.
fn report(model: &Path) -> Value {
    let output = anyflow([OsStr::new("--json"), OsStr::new("check"), model.as_os_str(), OsStr::new("--weights")]);
    assert!(output.code == 0 || output.code == 2, "{}", output.err);
    serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{}", output.out))
}
