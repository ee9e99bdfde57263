//! The plugin in C, and plugins of other minor versions of the ABI.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_datasets::{Cell, Dataset, Feature, OwnedCell};
use anyflow_plan::descriptor::{Interface, PluginDescriptor, Role};
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::plugin::{Codec, LoadedPlugins, Module, ModuleOptions};
use anyflow_tests::{Output, anyflow, anyflow_with, compile, native_component, python, write_columns};
use serde_json::json;
use tch::{Device, Kind, Tensor};

fn array(shape: &[i64]) -> Type {
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: shape.to_vec(), range: None };
    Type { modality: "any".into(), form }
}

/// A PGM of 8 x 8 with one level in its left half and another in its right half, in binary or plain form.
fn pgm(left: u8, right: u8, plain: bool) -> Vec<u8> {
    let levels = (0..64).map(|i| if i % 8 < 4 { left } else { right });
    if plain {
        let words: Vec<String> = levels.map(|level| level.to_string()).collect();
        return format!("P2 # plain\n8 8\n255\n{}\n", words.join(" ")).into_bytes();
    }
    b"P5\n8 8\n255\n".iter().copied().chain(levels).collect()
}

#[test]
fn a_codec_in_c_reads_and_writes_and_refuses_single_rows() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("plugins/netpbm/netpbm.c", &[], folder.path());
    let component = native_component(&library, "netpbm/gray", json!({"height": 8, "width": 8}));
    let codec = Codec::new(&mut LoadedPlugins::default(), &component, &array(&[1, 8, 8])).unwrap();
    let binary = pgm(0, 255, false);
    let plain = pgm(0, 255, true);
    let wide = b"P5\n2 2\n255\n....".to_vec();
    let cut = binary[..40].to_vec();
    let deep: Vec<u8> = b"P5\n8 8\n65535\n".iter().copied().chain((0..64).flat_map(|_| [0xff, 0xff])).collect();
    let other = b"GIF89a".to_vec();
    let cells = [&binary, &plain, &wide, &cut, &deep, &other].map(|bytes| Some(Cell::Bytes(bytes)));
    let cells: Vec<_> = cells.into_iter().chain([None]).collect();
    let (encoded, mut failed) = codec.encode(&cells, 2).unwrap();
    failed.sort_by_key(|row| row.row);
    let texts: Vec<(usize, &str)> = failed.iter().map(|row| (row.row, row.text.as_str())).collect();
    assert_eq!(
        texts,
        [
            (2, "the image is 2 x 2 (height x width), but the codec takes 8 x 8"),
            (3, "the PGM file is truncated"),
            (5, "not a PGM file: it does not start with P5 or P2"),
            (6, "the cell is null"),
        ]
    );
    assert_eq!(encoded.get(0), encoded.get(1));
    assert_eq!(encoded.get(0).mean(Kind::Float).double_value(&[]), 0.0);
    assert_eq!(encoded.get(4).min().double_value(&[]), 1.0);
    assert_eq!(encoded.get(3).abs().max().double_value(&[]), 0.0, "a row that fails leaves zeros");
    let decoded = codec.decode(&encoded, 2).unwrap();
    assert_eq!(decoded[0], Ok(OwnedCell::Bytes(binary.clone())));
    let spoiled = encoded.f_mul_scalar(f64::NAN).unwrap();
    assert!(codec.decode(&spoiled, 1).unwrap()[0].as_ref().is_err_and(|text| text.contains("the image holds NaN")));
}

#[test]
fn an_array_module_in_c_averages_and_interpolates() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("plugins/netpbm/netpbm.c", &[], folder.path());
    let module = |decode: &str| {
        let parameters = json!({"height": 8, "width": 8, "rows": 4, "columns": 4, "factor": 2, "decode": decode});
        let component = native_component(&library, "netpbm/pyramid", parameters);
        Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 0)).unwrap()
    };
    let bilinear = module("bilinear");
    let nearest = module("nearest");
    assert!(bilinear.parameters().unwrap().is_empty());
    // A non-contiguous view crosses the border as a contiguous copy.
    let input = Tensor::rand([3, 8, 8, 1], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let small = bilinear.forward(Role::Encode, &input, &[1, 4, 4], false).unwrap();
    let pooled = input.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
    let off = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    assert!(off(&small, &pooled) < 1e-6, "f32");
    let back = bilinear.forward(Role::Decode, &small, &[1, 8, 8], false).unwrap();
    assert!(off(&back, &pooled.upsample_bilinear2d([8, 8], false, None, None)) < 1e-6, "f32");
    let back = nearest.forward(Role::Decode, &small, &[1, 8, 8], false).unwrap();
    assert!(off(&back, &pooled.upsample_nearest2d([8, 8], None, None)) < 1e-6, "f32");
    let none =
        bilinear.forward(Role::Encode, &Tensor::zeros([0, 1, 8, 8], (Kind::Float, Device::Cpu)), &[1, 4, 4], false);
    assert_eq!(none.unwrap().size(), [0, 1, 4, 4]);
    let refused = bilinear.forward(Role::Score, &input, &[1, 4, 4], false).unwrap_err().to_string();
    assert!(
        refused.contains("netpbm/pyramid") && refused.contains("score") && refused.contains("supported"),
        "{refused}"
    );
    let parameters = json!({"height": 8, "width": 8, "rows": 3, "columns": 4, "factor": 2, "decode": "nearest"});
    let component = native_component(&library, "netpbm/pyramid", parameters);
    let text = Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 0))
        .err()
        .unwrap()
        .to_string();
    assert!(text.contains("8 x 8 is not 2 times 3 x 4"), "{text}");
}

#[test]
fn the_plugin_in_c_passes_the_test_kit() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("plugins/netpbm/netpbm.c", &[], folder.path()).display().to_string();
    let picture = folder.path().join("picture.pgm");
    std::fs::write(&picture, pgm(10, 200, true)).unwrap();
    let sample = format!("gray={}", picture.display());
    let output = anyflow(["plugin", "check", &library, "--json", "--sample", &sample]);
    let result = output.json();
    assert_eq!((output.code, &result["failed"], &result["skipped"]), (0, &json!(0), &json!(0)), "{result}");
    let checks = result["checks"].as_array().unwrap();
    let of = |component: &str| checks.iter().filter(|check| check["component"] == component).count();
    assert!(of("gray") >= 15 && of("pyramid") >= 10, "{result}");
}

fn run(plugins: &Path, arguments: &[&std::ffi::OsStr]) -> Output {
    anyflow_with(&[("ANYFLOW_PLUGINS", plugins.as_os_str())], arguments)
}

const MODEL: &str = "anyflow: 1
name: pictures
checkpoint: trained/model.safetensors
streams:
  picture:
    codec: {use: netpbm/gray, height: 8, width: 8}
    module: {use: netpbm/pyramid, decode: nearest}
    latent: [1, 4, 4]
denoisers:
  only: {over: [picture], network: {kind: residual-mlp, width: 16, blocks: 1}, predict: x0}
";

/// Writes model, training, pipeline and rows into a folder with the plugin.
fn write_project(folder: &Path) {
    std::fs::write(folder.join("model.yaml"), MODEL).unwrap();
    let training = "anyflow: 1\nname: pictures\nmodel: model.yaml\nsources: {rows: data}\n\
                    data: {all: {columns: {picture: rows.picture}}}\nstages:\n  \
                    - {name: statistics, objective: {kind: statistics}, data: all}\n  \
                    - {name: joint, train: only, objective: {kind: denoise}, data: all, steps: 3, batch: 4}\n";
    std::fs::write(folder.join("train.yaml"), training).unwrap();
    let pipeline = "anyflow: 1\nname: shrunk\nmodel: model.yaml\n\
                    inputs: {seen: {modality: image, column: picture}}\nnodes:\n  \
                    small: {encode: netpbm/pyramid, from: seen}\n  \
                    again: {decode: netpbm/pyramid, from: small}\n  \
                    made: {diffuse: [picture], sampler: {kind: ddim, steps: 2}}\n  \
                    new: {decode: netpbm/pyramid, from: made.picture}\noutputs: {again: again, new: new}\n";
    std::fs::write(folder.join("pipeline.yaml"), pipeline).unwrap();
    let pictures = (0..8u8).map(|n| Some(OwnedCell::Bytes(pgm(n * 30, 255 - n * 30, n % 2 == 1)))).collect();
    let ids = (0..8).map(|n| Some(OwnedCell::I64(n))).collect();
    write_columns(
        &folder.join("data"),
        vec![("id", Feature::Value("int64".into()), ids), ("picture", Feature::Image, pictures)],
    );
}

#[test]
fn a_plugin_in_c_works_in_a_pipeline_and_cannot_be_trained() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    compile("plugins/netpbm/netpbm.c", &[], &plugins);
    write_project(folder.path());
    let path = |name: &str| folder.path().join(name);
    let [train, trained, pipeline, data, out] = ["train.yaml", "trained", "pipeline.yaml", "data", "out"].map(path);
    run(&plugins, &["train".as_ref(), train.as_os_str(), "--output".as_ref(), trained.as_os_str()]).ok();
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--input".as_ref(), data.as_os_str(), "--output".as_ref()];
    run(&plugins, &[&arguments[..], &[out.as_os_str()]].concat()).ok();

    let dataset = Dataset::open(std::slice::from_ref(&out)).unwrap();
    let batch = dataset.read(None, 0..8, 16).unwrap().next().unwrap().unwrap();
    let cells = |column: &str| -> Vec<OwnedCell> {
        let cells = dataset.cells(&batch, column).unwrap();
        (0..8).map(|row| cells.get(row).unwrap().unwrap().into_owned()).collect()
    };
    // Blocks of 2 x 2 are within the halves, so averaging and nearest-neighbour upsampling lose nothing.
    let expected: Vec<_> = (0..8u8).map(|n| OwnedCell::Bytes(pgm(n * 30, 255 - n * 30, false))).collect();
    assert_eq!(cells("again"), expected);
    assert!(cells("new").iter().all(|cell| matches!(cell, OwnedCell::Bytes(bytes) if bytes.starts_with(b"P5\n8 8\n"))));
    pyarrow_reads(dataset.files().next().unwrap());

    let text = std::fs::read_to_string(&train).unwrap().replace(
        "{name: joint, train: only, objective: {kind: denoise}",
        "{name: module, train: picture, objective: {kind: reconstruct}",
    );
    std::fs::write(&train, text).unwrap();
    let output = run(&plugins, &["check".as_ref(), train.as_os_str()]);
    assert_eq!(output.code, 2, "{}", output.err);
    for part in ["netpbm/pyramid", "anyflow.array/1", "inference only", "anyflow.torch/1", "train.yaml:"] {
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
}

/// Reads the outputs with pyarrow.
fn pyarrow_reads(file: &Path) {
    let Some(python) = python() else { return };
    let program = "
import sys
import pyarrow.parquet as pq
rows = pq.read_table(sys.argv[1]).to_pylist()
assert len(rows) == 8, rows
for n, row in enumerate(rows):
    left, right = n * 30, 255 - n * 30
    expected = b'P5\\n8 8\\n255\\n' + bytes(([left] * 4 + [right] * 4) * 8)
    assert row['again']['bytes'] == expected, row
    assert row['new']['bytes'].startswith(b'P5\\n8 8\\n255\\n') and len(row['new']['bytes']) == 75, row
";
    let output = std::process::Command::new(python).args(["-c", program]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Encodes numbers with a codec of one number, and decodes them.
fn through(library: &Path, name: &str) -> (Vec<f32>, Vec<OwnedCell>) {
    let component = native_component(library, name, json!({}));
    let codec = Codec::new(&mut LoadedPlugins::default(), &component, &array(&[1])).unwrap();
    let (encoded, failed) = codec.encode(&[Some(Cell::F64(1.5)), Some(Cell::F64(-2.0))], 1).unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    let decoded = codec.decode(&encoded, 1).unwrap().into_iter().map(Result::unwrap).collect();
    (Vec::try_from(encoded.reshape([-1])).unwrap(), decoded)
}

#[test]
fn a_plugin_of_the_first_minor_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("tests/native/abi-1.0/older.c", &[], folder.path());
    let numbers = vec![OwnedCell::F64(1.5), OwnedCell::F64(-2.0)];
    assert_eq!(through(&library, "older/doubled"), (vec![3.0, -4.0], numbers));
    let component = native_component(&library, "older/doubled", json!({}));
    let codec = Codec::new(&mut LoadedPlugins::default(), &component, &array(&[1])).unwrap();
    let (_, failed) = codec.encode(&[Some(Cell::I64(1))], 1).unwrap();
    assert_eq!(failed[0].text, "no real number");
}

#[test]
fn a_plugin_of_a_later_minor_works_except_for_unknown_interfaces() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("tests/native/newer.c", &[], folder.path());
    let numbers = vec![OwnedCell::F64(1.5), OwnedCell::F64(-2.0)];
    assert_eq!(through(&library, "newer/tripled"), (vec![4.5, -6.0], numbers));
    let bytes = std::fs::read(&library).unwrap();
    let descriptor: PluginDescriptor = serde_json::from_str(anyflow_abi::read::descriptor(&bytes).unwrap()).unwrap();
    assert_eq!(descriptor.modules[0].interface, Interface::Other("anyflow.remote/1".into()));
    let roles: Vec<Role> = descriptor.modules[0].roles.iter().map(|role| role.role).collect();
    assert_eq!(roles, [Role::Encode, Role::Decode], "an unknown role is skipped");
    // Unknown interfaces are refused only where they are used.
    let model = MODEL
        .replace("netpbm/gray, height: 8, width: 8", "newer/tripled")
        .replace("netpbm/pyramid, decode: nearest", "newer/remote")
        .replace("latent: [1, 4, 4]", "latent: [1]");
    let path = folder.path().join("model.yaml");
    std::fs::write(&path, model).unwrap();
    let output = run(folder.path(), &["check".as_ref(), path.as_os_str()]);
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("newer/remote") && output.err.contains("anyflow.remote/1"), "{}", output.err);
}
