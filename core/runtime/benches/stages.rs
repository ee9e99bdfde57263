//! Device utilization of a run with expensive cells: images go through the real codec, and a module that sleeps stands for
//! the device. Encoding and decoding cells together take 40 % of the device's time, so overlapping stages can hide all of
//! it. `cargo bench -p anyflow-runtime --bench stages`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops
#![allow(clippy::print_stdout, reason = "a command-line program speaks on standard output")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyflow_datasets::{Expected, Feature, Features, Folder, JobId, OutputDir, OwnedCell, column_from_cells};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Component, Model, PLAN_FORMAT};
use anyflow_runtime::events::Events;
use anyflow_runtime::plugin::{Codec, LoadedPlugins};
use anyflow_runtime::{Session, execute};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Height of the images.
const HEIGHT: i64 = 1024;
/// Width of the images. It is small because the module's matrix product is along it.
const WIDTH: i64 = 64;
/// Rows of a micro-batch.
const BATCH: u64 = 16;
/// Number of micro-batches. The device is idle while the first one is read and the last one is written.
const BATCHES: u64 = 32;
/// Time for encoding and decoding the first cells, as a share of the device's time. The cells of a run take less: 40 %.
const SHARE: f64 = 0.6;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { folder: folder.path(), data: folder.path().join("data") };
    let cells = bench.write_images();
    // A micro-batch is two calls of the module.
    let run = bench.run(cells / SHARE / 2.0);
    let all = run["seconds"].as_f64().unwrap();
    let busy = seconds(&run, "compute");
    println!("rows {} of {HEIGHT} x {WIDTH}, seconds {all:.2}", BATCH * BATCHES);
    println!("cells / device {:.2}", (seconds(&run, "encode") + seconds(&run, "decode")) / busy);
    println!("device busy {:.3}", busy / all);
    println!("stages {}", run["stage_seconds"]);
}

fn seconds(run: &Value, stage: &str) -> f64 {
    run["stage_seconds"][stage].as_f64().unwrap()
}

struct Bench<'a> {
    folder: &'a Path,
    data: PathBuf,
}

impl Bench<'_> {
    /// Writes the images and untrained weights. Returns the codec's seconds per micro-batch, for both directions.
    fn write_images(&self) -> f64 {
        let model = model(self.folder, 0.0);
        let stream = &model.streams["image"];
        let codec = Codec::new(&mut LoadedPlugins::default(), &stream.codec, &stream.array).unwrap();
        let features = Features([("image".to_string(), Feature::Image)].into_iter().collect());
        let expected = Expected { shards: 1, rows: BATCH * BATCHES };
        let job = JobId::default().with("bench", "images");
        let output = OutputDir::open(Folder::open(&self.data).unwrap(), &job, expected).unwrap();
        let mut shard = output.shard(0, &features).unwrap();
        let wave = |length: i64, batch: u64| {
            let ramp = Tensor::linspace(0.0, 6.0 + batch as f64, length, (Kind::Float, Device::Cpu));
            ramp.sin() * 0.25 + 0.25
        };
        let mut spent = Duration::ZERO;
        for batch in 0..BATCHES {
            let image = wave(HEIGHT, batch).view([1, 1, HEIGHT, 1]) + wave(WIDTH, batch).view([1, 1, 1, WIDTH]);
            let images = image.expand([BATCH as i64, 3, HEIGHT, WIDTH], false);
            let started = Instant::now();
            let cells: Vec<_> = codec.decode(&images, 1).unwrap().into_iter().map(Result::ok).collect();
            let views: Vec<_> = cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell)).collect();
            drop(codec.encode(&views, 1).unwrap());
            spent += started.elapsed();
            let column = column_from_cells(&cells, &Feature::Image).unwrap();
            let schema = Schema::new(vec![Field::new("image", column.data_type().clone(), true)]);
            shard.write(&RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()).unwrap();
        }
        shard.commit(&[]).unwrap();
        output.finish().unwrap();
        let session = Session::new(&model, Device::Cpu, 0).unwrap();
        let tensors = session.tensors().unwrap();
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        Tensor::write_safetensors(&tensors, self.folder.join("weights")).unwrap();
        spent.as_secs_f64() / BATCHES as f64
    }

    /// Runs all images through a device that takes `seconds` per call.
    fn run(&self, seconds: f64) -> Value {
        let array = json!(model(self.folder, seconds).streams["image"].array);
        let cells = json!(model(self.folder, seconds).streams["image"].cells);
        let latent = json!({"modality": "image", "form": "latent", "stream": "image", "shape": [3, HEIGHT, WIDTH]});
        let value = |kind: &Value, made: Option<u64>, last: Option<u64>| json!({"type": kind, "made_by": made, "last_use": last});
        let plan = json!({
            "job": "run", "format": PLAN_FORMAT, "name": "bench", "source": "bench.yaml", "model": model(self.folder, seconds),
            "inputs": {"seen": {"column": "image", "type": cells}},
            "values": {
                "seen": value(&cells, None, Some(0)),
                "array": value(&array, Some(0), Some(1)),
                "latent": value(&latent, Some(1), Some(2)),
                "made": value(&array, Some(2), Some(3)),
                "cells": value(&cells, Some(3), None),
            },
            "steps": [
                {"node": "within", "op": "read-cells", "stream": "image", "from": "seen", "to": "array"},
                {"node": "within", "op": "module", "stream": "image", "role": "encode", "from": "array", "to": "latent"},
                {"node": "back", "op": "module", "stream": "image", "role": "decode", "from": "latent", "to": "made"},
                {"node": "back", "op": "write-cells", "stream": "image", "from": "made", "to": "cells"},
            ],
            "outputs": {"image": "cells"},
            // The estimate for a pipeline that holds an image before and after the module.
            "bytes_per_row": 2 * 3 * HEIGHT * WIDTH * 4,
        });
        let order = json!({
            "format": PLAN_FORMAT, "job": plan, "output": self.folder.join("out"), "inputs": [self.data], "shard_rows": 1024,
            "device": "cpu", "threads": 1,
        });
        let order: Order = serde_json::from_value(order).unwrap();
        execute(&order, &crossbeam::channel::never(), &Events::muted()).unwrap()
    }
}

/// A model with the image codec and a module that takes `seconds` per call.
fn model(folder: &Path, seconds: f64) -> Model {
    let component = |plugin: &str, id: &str, parameters: Value| {
        // Cargo puts the libraries of a benchmark's plugin dependencies in the benchmark's folder.
        let folder: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
        let library = folder.join(format!("libanyflow_{plugin}.so")).display().to_string();
        Component { plugin: plugin.into(), id: id.into(), library, parameters }
    };
    let fault = if seconds > 0.0 { "sleep" } else { "none" };
    let parameters = json!({"n": WIDTH, "latent": WIDTH, "fault": fault, "seconds": seconds, "after": 0});
    let stream = json!({
        "modality": "image",
        "codec": component("image", "rgb", json!({"height": HEIGHT, "width": WIDTH})),
        "cells": {"modality": "image", "form": "cells", "cell": "bytes", "feature": "Image"},
        "array": {
            "modality": "image", "form": "array", "dtype": "f32", "axes": ["channel", "height", "width"],
            "shape": [3, HEIGHT, WIDTH], "range": [0.0, 1.0],
        },
        "module": component("faulty", "network", parameters),
        "latent": [3, HEIGHT, WIDTH],
    });
    let model = json!({
        "name": "bench", "source": "bench.yaml", "checkpoint": folder.join("weights"), "streams": {"image": stream},
        "denoisers": {},
    });
    serde_json::from_value(model).unwrap()
}
