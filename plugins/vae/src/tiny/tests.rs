use std::collections::BTreeMap;

use anyflow_sdk::tch::{Device, Kind};
use anyflow_sdk::testkit::{closed_form, fill_variables};
use serde_json::{Value, json};

use super::*;

fn parameters(height: i64, rows: i64, mid_block_norm: bool) -> Parameters {
    Parameters::new(json!({
        "channel": 3, "height": height, "width": 8, "latent_channels": 2, "rows": rows, "columns": 1, "hidden": 8,
        "mid_block_norm": mid_block_norm
    }))
}

#[test]
fn images_map_to_latents_and_back() {
    for mid_block_norm in [false, true] {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Tiny::new(&variables.root(), &parameters(16, 2, mid_block_norm)).unwrap();
        for rows in [0, 1, 3] {
            let images = Tensor::rand([rows, 3, 16, 8], (Kind::Float, Device::Cpu));
            let back = module.decode(&module.encode(&images, true).unwrap(), true).unwrap();
            assert_eq!(back.size(), [rows, 3, 16, 8]);
        }
        let latent = module.encode(&Tensor::zeros([2, 3, 16, 8], (Kind::Float, Device::Cpu)), false).unwrap();
        assert_eq!(latent.size(), [2, 2, 2, 1]);
        let image = module.decode(&(latent * 100.0), false).unwrap();
        assert!(image.min().double_value(&[]) >= 0.0 && image.max().double_value(&[]) <= 1.0);
    }
}

#[test]
fn names_and_shapes_are_those_of_the_published_files() {
    let variables = nn::VarStore::new(Device::Cpu);
    let taef2 = json!({
        "channel": 3, "height": 8, "width": 8, "latent_channels": 32, "rows": 1, "columns": 1, "hidden": 64,
        "mid_block_norm": true
    });
    Tiny::new(&variables.root(), &Parameters::new(taef2)).unwrap();
    let mut published = BTreeMap::new();
    for (side, lines) in [
        ("encoder", include_str!("../../goldens/taef2_encoder.txt")),
        ("decoder", include_str!("../../goldens/taef2_decoder.txt")),
    ] {
        for line in lines.lines() {
            let (name, shape) = line.split_once(' ').unwrap();
            let shape: Vec<i64> = shape.split(' ').map(|size| size.parse().unwrap()).collect();
            published.insert(format!("{side}.{name}"), shape);
        }
    }
    let ours: BTreeMap<String, Vec<i64>> =
        variables.variables().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    assert_eq!(ours, published);
}

#[test]
fn outputs_equal_those_of_the_published_definition() {
    let goldens: Vec<Value> = serde_json::from_str(include_str!("../../goldens/tiny.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let variables = nn::VarStore::new(Device::Cpu);
        let norm = golden["mid_block_norm"].as_bool().unwrap();
        let module = Tiny::new(&variables.root(), &parameters(16, 2, norm)).unwrap();
        fill_variables(&variables);
        let latent = module.encode(&closed_form("image", &[1, 3, 16, 8], 0.5, 0.5), false).unwrap();
        close(&latent, &golden["latent"]);
        let image = module.decode(&closed_form("latent", &[1, 2, 2, 1], 2.0, 0.0), true).unwrap();
        close(&image, &golden["image"]);
    }
}

/// Within 1e-5 of the largest value, in f32.
fn close(found: &Tensor, golden: &Value) {
    let wanted: Vec<f32> = serde_json::from_value(golden.clone()).unwrap();
    let wanted = Tensor::from_slice(&wanted).view_as(found);
    let worst = (found - &wanted).abs().max().double_value(&[]) / wanted.abs().max().double_value(&[]);
    assert!(worst < 1e-5, "off by {worst} of the largest value");
}

#[test]
fn impossible_sizes_are_refused() {
    let variables = nn::VarStore::new(Device::Cpu);
    for (height, rows) in [(0, 0), (-8, -1), (16, 1), (12, 1), (i64::MAX, 2)] {
        let made = Tiny::new(&variables.root(), &parameters(height, rows, false));
        assert!(matches!(made, Err(Error::Parameters(_))), "height {height}");
    }
}
