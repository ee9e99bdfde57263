use anyflow_sdk::tch::{Device, Kind};
use anyflow_sdk::testkit::{assert_golden, closed_form, fill_variables};
use serde_json::{Value, json};

use super::*;

fn parameters(change: Value) -> Parameters {
    let mut parameters = json!({
        "in_channels": 3, "height": 16, "width": 8, "latent_channels": 2, "rows": 8, "columns": 4,
        "block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 4, "scaling_factor": 0.5, "shift_factor": 0.0,
        "use_quant_conv": true, "use_post_quant_conv": true, "mid_block_add_attention": true
    });
    for (name, value) in change.as_object().unwrap() {
        parameters[name] = value.clone();
    }
    Parameters::new(parameters)
}

/// The values depend on the names, so that equal outputs also show equal names.
#[test]
fn outputs_equal_those_of_diffusers() {
    let goldens: Vec<Value> = serde_json::from_str(include_str!("../../goldens/kl.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let numbers = |name: &str| serde_json::from_value::<Vec<f32>>(golden[name].clone()).unwrap();
        let mut config = golden["config"].clone();
        let scale = 1 << (config["block_out_channels"].as_array().unwrap().len() - 1);
        let (channels, maps) = (config["in_channels"].as_i64().unwrap(), config["latent_channels"].as_i64().unwrap());
        config["rows"] = json!(16 / scale);
        config["columns"] = json!(8 / scale);
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Kl::new(&variables.root(), &parameters(config)).unwrap();
        fill_variables(&variables);
        let image = closed_form("image", &[1, channels, 16, 8], 0.5, 0.5);
        assert_golden(&module.encode(&image, false).unwrap(), &numbers("latent"));
        let latent = closed_form("latent", &[1, maps, 16 / scale, 8 / scale], 1.4, 0.0);
        assert_golden(&module.decode(&latent, true).unwrap(), &numbers("image"));
    }
}

#[test]
fn rows_in_slices_equal_rows_together() {
    let variables = nn::VarStore::new(Device::Cpu);
    let mut module = Kl::new(&variables.root(), &parameters(json!({}))).unwrap();
    let images = Tensor::rand([5, 3, 16, 8], (Kind::Float, Device::Cpu));
    let both = |module: &Kl| {
        let latent = module.encode(&images, false).unwrap();
        let back = module.decode(&latent, false).unwrap();
        (latent, back)
    };
    let (latent, back) = both(&module);
    assert_eq!((latent.size(), back.size()), (vec![5, 2, 8, 4], images.size()));
    assert!(back.min().double_value(&[]) >= 0.0 && back.max().double_value(&[]) <= 1.0);
    module.rows = 2;
    let (sliced, again) = both(&module);
    let apart = |one: Tensor, other: Tensor| (one - other).abs().max().double_value(&[]);
    assert!(apart(latent, sliced) < 1e-5 && apart(back, again) < 1e-5, "f32");
}

#[test]
fn large_images_pass_one_by_one() {
    let rows = |side: i64| {
        let config = json!({"height": side, "width": side, "rows": side / 2, "columns": side / 2, "block_out_channels": [128, 256]});
        parameters(config).read::<Config>().unwrap().rows_at_a_time()
    };
    assert_eq!([64, 256, 512, 4096].map(rows), [32, 2, 1, 1]);
}

#[test]
fn impossible_sizes_are_refused() {
    for wrong in [
        json!({"block_out_channels": []}),
        json!({"block_out_channels": [4, 8, 8]}),
        json!({"block_out_channels": [4, 6]}),
        json!({"block_out_channels": [4, 0]}),
        json!({"block_out_channels": [4, i64::MAX - 3]}),
        json!({"norm_num_groups": 0}),
        json!({"layers_per_block": 0}),
        json!({"layers_per_block": i64::MAX}),
        json!({"latent_channels": i64::MAX}),
        json!({"in_channels": 0}),
        json!({"height": 17}),
        json!({"height": i64::MAX, "rows": i64::MAX / 2}),
        json!({"scaling_factor": 0.0}),
    ] {
        let variables = nn::VarStore::new(Device::Cpu);
        let made = Kl::new(&variables.root(), &parameters(wrong.clone()));
        assert!(matches!(made, Err(Error::Parameters(_))), "{wrong}");
    }
}
