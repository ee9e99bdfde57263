//! The plugin border through real `.so` files.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::descriptor::Role;
use anyflow_plan::event::Fault;
use anyflow_plan::plan::{Component, Form, Type};
use anyflow_runtime::RunError;
use anyflow_runtime::plugin::{Codec, LoadedPlugins, Module, ModuleOptions};
use anyflow_runtime::process::peak_memory;
use anyflow_tests::{component, descriptor, digit_png, library, shipped_plugins, tone_wav};
use serde_json::json;
use tch::{Device, Kind, Tensor};

fn array(shape: &[i64]) -> Type {
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: shape.to_vec(), range: None };
    Type { modality: "any".into(), form }
}

fn image_module(plugins: &mut LoadedPlugins, seed: u64) -> Module {
    let parameters = json!({"channel": 1, "height": 28, "width": 28, "latent": 24, "hidden": 32});
    Module::new(plugins, &component("image/autoencoder", parameters), ModuleOptions::drawn(Device::Cpu, seed)).unwrap()
}

fn faulty(plugins: &mut LoadedPlugins, fault: &str) -> Module {
    let parameters = json!({"n": 3, "latent": 2, "fault": fault, "seconds": 0.0, "after": 0});
    Module::new(plugins, &component("faulty/network", parameters), ModuleOptions::drawn(Device::Cpu, 0)).unwrap()
}

#[test]
fn descriptors_are_read_from_the_file_without_loading_it() {
    for name in shipped_plugins() {
        let descriptor = descriptor(&name);
        assert_eq!(descriptor.plugin, name);
        assert_eq!(descriptor.license, "MIT OR Apache-2.0");
        assert_eq!(descriptor.libtorch.is_some(), !descriptor.modules.is_empty());
        assert!(!descriptor.codecs.is_empty() || !descriptor.modules.is_empty());
    }
}

#[test]
fn gradients_flow_through_the_border_to_parameters_and_inputs() {
    let module = image_module(&mut LoadedPlugins::default(), 1);
    let input = Tensor::rand([5, 1, 28, 28], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let latent = module.forward(Role::Encode, &input, &[24], true).unwrap();
    let back = module.forward(Role::Decode, &latent, &[1, 28, 28], true).unwrap();
    (&back - 0.5).square().sum(Kind::Float).backward();
    assert!(input.grad().abs().max().double_value(&[]) > 0.0);
    let parameters = module.parameters().unwrap();
    assert_eq!(parameters.len(), 8);
    for parameter in &parameters {
        let largest = parameter.tensor.grad().abs().max().double_value(&[]);
        assert!(largest > 0.0 && largest.is_finite(), "{} has no gradient", parameter.name);
    }
}

#[test]
fn the_plugin_computes_with_parameters_set_by_the_host() {
    let module = image_module(&mut LoadedPlugins::default(), 1);
    let input = Tensor::rand([2, 1, 28, 28], (Kind::Float, Device::Cpu));
    tch::no_grad(|| {
        for mut parameter in module.parameters().unwrap() {
            let _ = parameter.tensor.zero_();
        }
        let latent = module.forward(Role::Encode, &input, &[24], false).unwrap();
        assert_eq!(latent.abs().max().double_value(&[]), 0.0);
    });
}

#[test]
fn initial_parameters_depend_on_the_seed() {
    let mut plugins = LoadedPlugins::default();
    let first = |seed, plugins: &mut LoadedPlugins| image_module(plugins, seed).parameters().unwrap().remove(1).tensor;
    let a = first(1, &mut plugins);
    let b = first(1, &mut plugins);
    let c = first(2, &mut plugins);
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn cells_come_back_through_every_shipped_codec() {
    let mut plugins = LoadedPlugins::default();
    let words = json!({"vocabulary": ["", "one", "two"], "length": 2});
    let mel = json!({"sample_rate": 8000, "bands": 40, "frames": 32, "seconds": 0.45});
    let cases = [
        ("label/one-hot", json!({"classes": 10}), vec![10], Cell::I64(7)),
        ("text/words", words, vec![2, 3], Cell::Utf8("two one")),
        ("image/gray", json!({"height": 28, "width": 28}), vec![1, 28, 28], Cell::Bytes(&digit_png(3, 0))),
        ("audio/log-mel", mel, vec![1, 40, 32], Cell::Bytes(&tone_wav(3, 0))),
    ];
    for (name, parameters, shape, cell) in cases {
        let codec = Codec::new(&mut plugins, &component(name, parameters), &array(&shape)).unwrap();
        let (encoded, failed) = codec.encode(&[Some(cell), None, Some(cell)], 2).unwrap();
        assert_eq!(failed.iter().map(|f| f.row).collect::<Vec<_>>(), [1], "{name}: only the null row fails");
        assert_eq!(encoded.size()[1..], shape);
        let decoded = codec.decode(&encoded, 2).unwrap();
        let again = decoded[2].as_ref().unwrap();
        let (twice, failed) = codec.encode(&[Some(again.as_cell())], 1).unwrap();
        assert!(failed.is_empty(), "{name}");
        let off = (twice.get(0) - encoded.get(2)).abs().mean(Kind::Float).double_value(&[]);
        // Images lose at most half a gray level. Sounds lose the phase, which Griffin-Lim estimates. f32.
        let tolerance = if name.starts_with("audio") { 0.08 } else { 0.002 };
        assert!(off <= tolerance, "{name}: {off}");
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_codecs_output() {
    let codec = Codec::new(
        &mut LoadedPlugins::default(),
        &component("image/gray", json!({"height": 28, "width": 28})),
        &array(&[1, 28, 28]),
    )
    .unwrap();
    let pictures: Vec<Vec<u8>> = (0..23).map(|n| digit_png(n % 10, n as u32)).collect();
    let cells: Vec<_> = pictures.iter().map(|p| Some(Cell::Bytes(p))).collect();
    let (one, _) = codec.encode(&cells, 1).unwrap();
    let (four, _) = codec.encode(&cells, 4).unwrap();
    assert_eq!(one, four);
    assert_eq!(codec.decode(&one, 1).unwrap(), codec.decode(&one, 3).unwrap());
    let (none, failed) = codec.encode(&[], 4).unwrap();
    assert_eq!((none.size()[0], failed.len()), (0, 0));
}

#[test]
fn a_refused_row_fails_alone() {
    let codec =
        Codec::new(&mut LoadedPlugins::default(), &component("label/one-hot", json!({"classes": 10})), &array(&[10]));
    let (encoded, failed) =
        codec.unwrap().encode(&[Some(Cell::I64(3)), Some(Cell::I64(11)), Some(Cell::I64(4))], 1).unwrap();
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0].row == 1 && failed[0].text.contains("label 11 is not one of the 10 classes"),
        "{}",
        failed[0].text
    );
    assert_eq!(Vec::<i64>::try_from(encoded.argmax(-1, false)).unwrap(), [3, 0, 4]);
}

#[test]
fn a_panic_in_a_codec_is_an_error_and_poisons_that_instance_only() {
    let mut plugins = LoadedPlugins::default();
    let make = |plugins: &mut LoadedPlugins| {
        Codec::new(plugins, &component("faulty/panics", json!({})), &array(&[1])).unwrap()
    };
    let broken = make(&mut plugins);
    let whole = make(&mut plugins);
    let error = broken.encode(&[Some(Cell::Utf8("panic"))], 1).unwrap_err();
    assert_eq!(error.fault(), Fault::Plugin);
    assert!(error.to_string().contains("faulty/panics") && error.to_string().contains("panicked"), "{error}");
    let again = broken.encode(&[Some(Cell::Utf8("fine"))], 1).unwrap_err();
    assert!(again.to_string().contains("takes no more"), "{again}");
    assert!(whole.encode(&[Some(Cell::Utf8("fine"))], 1).is_ok());
}

#[test]
fn a_module_that_violates_its_descriptor_is_named() {
    let mut plugins = LoadedPlugins::default();
    let input = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    let cases = [
        ("panic", "panicked"),
        ("error", "asked to fail"),
        ("wrong-shape", "its descriptor promises [2, 2]"),
        ("wrong-type", "Double"),
        ("memory", "libtorch"),
    ];
    for (fault, wanted) in cases {
        let error = faulty(&mut plugins, fault).forward(Role::Encode, &input, &[2], false).unwrap_err();
        assert_eq!(error.fault(), Fault::Plugin);
        let text = error.to_string();
        assert!(
            text.contains(wanted) && text.contains("faulty/network") && text.contains("version"),
            "{fault}: {text}"
        );
    }
    assert!(faulty(&mut plugins, "none").forward(Role::Encode, &input, &[2], false).is_ok());
}

/// A copy of a plugin with some bytes of its file changed.
fn patched(plugin: &str, from: &str, to: &str) -> (tempfile::TempDir, String) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(library(plugin)).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| &bytes[*at..at + from.len()] == from.as_bytes()).collect();
    assert!(!places.is_empty(), "{from} is not in {plugin}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libplugin.so");
    std::fs::write(&path, bytes).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn refusal(path: &str) -> String {
    match LoadedPlugins::default().load(path) {
        Err(error @ RunError::Library { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{path} was loaded"),
    }
}

#[test]
fn incompatible_plugins_are_refused_with_both_versions() {
    let (_folder, path) = patched("label", r#""abi":[1,6]"#, r#""abi":[9,0]"#);
    let text = refusal(&path);
    assert!(text.contains("ABI 9.0") && text.contains("this host has 1.6") && text.contains("rebuild"), "{text}");
    // A plugin of an earlier minor has fewer functions, and these are used.
    let (_folder, path) = patched("label", r#""abi":[1,6]"#, r#""abi":[1,0]"#);
    assert!(LoadedPlugins::default().load(&path).is_ok());
    let (_folder, path) = patched("image", r#""libtorch":"2.11.0""#, r#""libtorch":"2.10.0""#);
    let text = refusal(&path);
    assert!(text.contains("libtorch 2.10.0") && text.contains("2.11.0") && text.contains("rebuild"), "{text}");
    let text = refusal("/nowhere/libplugin.so");
    assert!(text.contains("cannot be read"), "{text}");
    let text = refusal(&std::env::current_exe().unwrap().display().to_string());
    assert!(text.contains("no section"), "{text}");
}

#[test]
fn modules_without_memory_have_names_and_shapes() {
    // 2.8 GB in f32.
    let hidden = 1 << 24;
    let parameters = json!({"channel": 1, "height": 4, "width": 4, "latent": 4, "hidden": hidden});
    let options = ModuleOptions { is_dry: true, ..ModuleOptions::drawn(Device::Cpu, 0) };
    let before = peak_memory().unwrap();
    let module = Module::new(&mut LoadedPlugins::default(), &component("image/autoencoder", parameters), options);
    let parameters = module.unwrap().parameters().unwrap();
    let bytes = peak_memory().unwrap() - before;
    // Other tests of this process take memory meanwhile.
    assert!(bytes < 1 << 30, "{bytes}");
    let weight = parameters.iter().find(|parameter| parameter.name == "encoder.hidden.weight").unwrap();
    assert_eq!(weight.tensor.size(), [hidden, 16]);
    assert!(parameters.iter().all(|parameter| parameter.trainable && parameter.tensor.requires_grad()));
}

/// An older plugin makes its parameters as ever, and the host copies into them.
#[test]
fn plugins_without_the_interface_draw_their_parameters() {
    let (_folder, path) = patched("image", r#""abi":[1,6]"#, r#""abi":[1,5]"#);
    let parameters = json!({"channel": 1, "height": 4, "width": 4, "latent": 4, "hidden": 8});
    let of = |library: &str, is_dry: bool| {
        let component = Component { library: library.into(), ..component("image/autoencoder", parameters.clone()) };
        let options = ModuleOptions { is_dry, ..ModuleOptions::drawn(Device::Cpu, 3) };
        let module = Module::new(&mut LoadedPlugins::default(), &component, options).unwrap();
        module.parameters().unwrap().remove(1).tensor
    };
    let new = library("image").display().to_string();
    assert_eq!(of(&path, true), of(&new, false), "drawn from the same seed");
    assert_eq!(of(&new, true).abs().max().double_value(&[]), 0.0, "nothing is drawn");
}

#[test]
fn refused_parameters_are_an_error() {
    let made =
        Codec::new(&mut LoadedPlugins::default(), &component("label/one-hot", json!({"classes": 1})), &array(&[1]));
    let text = made.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(text.contains("label/one-hot") && text.contains("at least 2"), "{text}");
}

#[test]
fn every_decoded_row_is_a_cell_or_an_error() {
    let codec =
        Codec::new(&mut LoadedPlugins::default(), &component("label/one-hot", json!({"classes": 3})), &array(&[3]))
            .unwrap();
    let rows = Tensor::from_slice(&[0.1f32, 2.0, 0.3, f32::NAN, 0.0, 0.0]).reshape([2, 3]);
    let cells = codec.decode(&rows, 1).unwrap();
    assert_eq!(cells[0], Ok(OwnedCell::I64(1)));
    assert!(cells[1].as_ref().is_err_and(|text| text.contains("not a number")));
}
