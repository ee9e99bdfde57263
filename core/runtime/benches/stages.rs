//! How busy a device is kept by a run whose cells are expensive: pictures go through the real codec, and a module that
//! sleeps stands for the device. Reading and writing cells together take 40 % of what the device takes, which leaves room
//! for all of it beside the device if the stages overlap. `cargo bench -p anyflow-runtime --bench stages`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops
#![allow(clippy::print_stdout, reason = "a command-line program speaks on standard output")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyflow_datasets::{Expected, Feature, Features, Folder, JobId, OutputDir, column_from_cells};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Component, Model};
use anyflow_runtime::events::Events;
use anyflow_runtime::plugin::{Codec, Plugins};
use anyflow_runtime::{Session, execute};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Height and width of the pictures.
const SIDE: i64 = 256;
/// Rows of a micro-batch of such pictures.
const BATCH: u64 = 16;
/// Micro-batches: the first is read, and the last written, while the device has nothing to do.
const BATCHES: u64 = 32;
/// What reading and writing cells take, as a share of what the device takes.
const SHARE: f64 = 0.4;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { folder: folder.path(), data: folder.path().join("data") };
    bench.write_pictures();
    // The first run finds out what cells cost, with a device that takes no time.
    let free = bench.run("free", 0.0);
    let device = cells(&free) / SHARE;
    let calls = 2.0 * BATCHES as f64;
    let run = bench.run("timed", device / calls);
    let (all, busy) = (run["seconds"].as_f64().unwrap(), seconds(&run, "compute"));
    println!("rows {} of {SIDE} x {SIDE}, seconds {all:.2}", BATCH * BATCHES);
    println!("cells / device {:.2}", cells(&run) / busy);
    println!("device busy {:.3}", busy / all);
    println!("stages {}", run["stage_seconds"]);
}

fn seconds(run: &Value, stage: &str) -> f64 {
    run["stage_seconds"][stage].as_f64().unwrap()
}

fn cells(run: &Value) -> f64 {
    seconds(run, "encode") + seconds(run, "decode")
}

struct Bench<'a> {
    folder: &'a Path,
    data: PathBuf,
}

impl Bench<'_> {
    fn write_pictures(&self) {
        let model = model(self.folder, 0.0);
        let stream = &model.streams["picture"];
        let codec = Codec::new(&mut Plugins::default(), &stream.codec, &stream.array).unwrap();
        let features = Features([("picture".to_string(), Feature::Image)].into_iter().collect());
        let expected = Expected { shards: 1, rows: BATCH * BATCHES };
        let job = JobId::default().with("bench", "pictures");
        let output = OutputDir::open(Folder::open(&self.data).unwrap(), &job, expected).unwrap();
        let mut shard = output.shard(0, &features).unwrap();
        let ramp = Tensor::linspace(0.0, 1.0, SIDE, (Kind::Float, Device::Cpu));
        for batch in 0..BATCHES {
            let wave = (&ramp * (1.0 + batch as f64) * 6.0).sin() * 0.4 + 0.5;
            let picture = (wave.view([1, 1, 1, SIDE]) + wave.view([1, 1, SIDE, 1])) / 2.0;
            let pictures = picture.expand([BATCH as i64, 3, SIDE, SIDE], false);
            let cells: Vec<_> = codec.decode(&pictures, 1).unwrap().into_iter().map(Result::ok).collect();
            let column = column_from_cells(&cells, &Feature::Image).unwrap();
            let schema = Schema::new(vec![Field::new("picture", column.data_type().clone(), true)]);
            shard.write(&RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()).unwrap();
        }
        shard.commit(&[]).unwrap();
        output.finish().unwrap();
        let session = Session::new(&model, Device::Cpu, 0).unwrap();
        let tensors = session.tensors().unwrap();
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        Tensor::write_safetensors(&tensors, self.folder.join("weights")).unwrap();
    }

    /// All pictures through a device that takes so many seconds a call.
    fn run(&self, name: &str, seconds: f64) -> Value {
        let array = json!(model(self.folder, seconds).streams["picture"].array);
        let cells = json!(model(self.folder, seconds).streams["picture"].cells);
        let latent = json!({"modality": "picture", "form": "latent", "stream": "picture", "shape": [3, SIDE, SIDE]});
        let value = |kind: &Value, made: Option<u64>, last: Option<u64>| json!({"type": kind, "made_by": made, "last_use": last});
        let plan = json!({
            "job": "run", "format": 1, "name": name, "source": "bench.yaml", "model": model(self.folder, seconds),
            "inputs": {"seen": {"column": "picture", "type": cells}},
            "values": {
                "seen": value(&cells, None, Some(0)),
                "array": value(&array, Some(0), Some(1)),
                "latent": value(&latent, Some(1), Some(2)),
                "made": value(&array, Some(2), Some(3)),
                "cells": value(&cells, Some(3), None),
            },
            "steps": [
                {"node": "within", "op": "read-cells", "stream": "picture", "from": "seen", "to": "array"},
                {"node": "within", "op": "module", "stream": "picture", "role": "encode", "from": "array", "to": "latent"},
                {"node": "back", "op": "module", "stream": "picture", "role": "decode", "from": "latent", "to": "made"},
                {"node": "back", "op": "write-cells", "stream": "picture", "from": "made", "to": "cells"},
            ],
            "outputs": {"picture": "cells"},
            // As a pipeline says it that holds a picture before and after the module.
            "bytes_per_row": 2 * 3 * SIDE * SIDE * 4,
        });
        let order = json!({
            "format": 1, "job": plan, "output": self.folder.join(name), "inputs": [self.data], "shard_rows": 1024,
            "device": "cpu", "threads": 1,
        });
        let order: Order = serde_json::from_value(order).unwrap();
        execute(&order, &Events::to(Box::new(std::io::sink()))).unwrap()
    }
}

/// Pictures through the codec, and a module that takes so many seconds a call.
fn model(folder: &Path, seconds: f64) -> Model {
    let component = |plugin: &str, id: &str, parameters: Value| {
        // Cargo puts the libraries of plugins that a benchmark depends on beside it.
        let beside: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
        let library = beside.join(format!("libanyflow_{plugin}.so")).display().to_string();
        Component { plugin: plugin.into(), id: id.into(), library, parameters }
    };
    let fault = if seconds > 0.0 { "sleep" } else { "none" };
    let stream = json!({
        "modality": "picture",
        "codec": component("image", "rgb", json!({"height": SIDE, "width": SIDE})),
        "cells": {"modality": "picture", "form": "cells", "cell": "bytes", "feature": "Image"},
        "array": {
            "modality": "picture", "form": "array", "dtype": "f32", "axes": ["channel", "height", "width"],
            "shape": [3, SIDE, SIDE], "range": [0.0, 1.0],
        },
        "module": component("faulty", "plain", json!({"n": 3 * SIDE * SIDE, "fault": fault, "seconds": seconds})),
        "latent": [3, SIDE, SIDE],
    });
    let model = json!({
        "name": "bench", "source": "bench.yaml", "checkpoint": folder.join("weights"), "streams": {"picture": stream},
        "denoisers": {},
    });
    serde_json::from_value(model).unwrap()
}
