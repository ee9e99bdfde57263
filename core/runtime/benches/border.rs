//! The cost of the plugin border: a call through the library, as the engine makes it, and the same call of the same code
//! linked statically. `cargo bench -p anyflow-runtime --bench border`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use anyflow_datasets::Cell;
use anyflow_faulty::{Network, Plain};
use anyflow_label::OneHot;
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{Component, Form, Type};
use anyflow_runtime::plugin::{Codec, LoadedPlugins, Module, ModuleOptions};
use anyflow_sdk::{Array, ArrayModule, ArrayMut, Elements, Encoder, Parameters};
use criterion::Criterion;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn main() {
    tch::set_num_threads(1);
    let timing = Criterion::default().sample_size(20);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let mut criterion = timing.configure_from_args();
    let _no_grad = tch::no_grad_guard();
    codec(&mut criterion);
    torch(&mut criterion);
    array(&mut criterion);
    criterion.final_summary();
}

/// A component of a plugin. Cargo puts the libraries of a benchmark's plugin dependencies in the benchmark's folder.
fn component(plugin: &str, id: &str, parameters: &Value) -> Component {
    let folder: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
    let library = folder.join(format!("libanyflow_{plugin}.so")).display().to_string();
    Component { plugin: plugin.into(), id: id.into(), library, parameters: parameters.clone() }
}

/// One cell. Both sides allocate the tensor.
fn codec(criterion: &mut Criterion) {
    let parameters = json!({"classes": 10});
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: vec![10], range: None };
    let kind = Type { modality: "label".into(), form };
    let through =
        Codec::new(&mut LoadedPlugins::default(), &component("label", "one-hot", &parameters), &kind).unwrap();
    let fixed = <OneHot as anyflow_sdk::Codec>::new(&Parameters::new(parameters)).unwrap();
    let mut group = criterion.benchmark_group("codec, one row");
    group.bench_function("border", |bencher| {
        bencher.iter(|| through.encode(&[Some(Cell::I64(black_box(3)))], 1).unwrap());
    });
    group.bench_function("static", |bencher| {
        bencher.iter(|| {
            let tensor = Tensor::f_zeros([1, 10], CPU).unwrap();
            let mut elements = [0.0f32; 10];
            anyflow_sdk::Codec::encode(&fixed, anyflow_sdk::Cell::I64(black_box(3)), &mut elements).unwrap();
            (tensor, elements)
        });
    });
}

/// One call of a linear layer.
fn torch(criterion: &mut Criterion) {
    let parameters = json!({"n": 16, "latent": 4, "fault": "none", "seconds": 0.0, "after": 0});
    let component = component("faulty", "network", &parameters);
    let through = Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 1)).unwrap();
    let variables = nn::VarStore::new(Device::Cpu);
    let fixed = <Network as anyflow_sdk::Module>::new(&variables.root(), &Parameters::new(parameters)).unwrap();
    let input = Tensor::ones([1, 16], CPU);
    let mut group = criterion.benchmark_group("torch module, one call");
    group.bench_function("border", |bencher| {
        bencher.iter(|| through.forward(Role::Encode, black_box(&input), &[4], false).unwrap());
    });
    group.bench_function("static", |bencher| bencher.iter(|| fixed.encode(black_box(&input), false).unwrap()));
}

/// One call of an array module. The static call has no tensors to convert.
fn array(criterion: &mut Criterion) {
    let parameters = json!({"n": 16, "fault": "none", "seconds": 0.0});
    let component = component("faulty", "plain", &parameters);
    let through = Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 1)).unwrap();
    let fixed = Plain::new(&Parameters::new(parameters)).unwrap();
    let input = Tensor::ones([1, 16], CPU);
    let numbers = [1.0f32; 16];
    let shape = [1, 16];
    let mut group = criterion.benchmark_group("array module, one call");
    group.bench_function("border", |bencher| {
        bencher.iter(|| through.forward(Role::Encode, black_box(&input), &[16], false).unwrap());
    });
    group.bench_function("static", |bencher| {
        bencher.iter(|| {
            let mut elements = [0.0f32; 16];
            let input = Array { shape: &shape, elements: Elements::F32(black_box(&numbers)) };
            let mut output = ArrayMut { shape: &shape, elements: &mut elements };
            fixed.forward(anyflow_sdk::Role::Encode, &input, &mut output).unwrap();
            elements
        });
    });
}
