use anyflow_sdk::tch::{Device, Tensor, nn};
use anyflow_sdk::testkit::{Kit, assert_golden, closed_form, fill_variables};
use anyflow_sdk::{Error, Module, Parameters, PooledEncoder, PromptEncoder};
use serde_json::{Value, json};

use crate::{Image, Text};

fn golden() -> Value {
    serde_json::from_str(include_str!("../goldens/clip.json")).unwrap()
}

fn with(mut base: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn numbers(golden: &Value) -> Vec<f32> {
    serde_json::from_value(golden.clone()).unwrap()
}

fn text(sizes: &Value, change: &Value) -> Value {
    let base = json!({"length": 6, "vector": 6, "hidden_state": -1, "final_norm": false});
    with(with(base, sizes), change)
}

fn image(sizes: &Value, change: &Value) -> Value {
    let base = json!({"channel": 3, "height": 8, "width": 8, "tokens": 5, "vector": 6});
    with(with(base, sizes), change)
}

fn made<M: Module>(parameters: Value) -> Result<(nn::VarStore, M), Error> {
    let variables = nn::VarStore::new(Device::Cpu);
    let module = M::new(&variables.root(), &Parameters::new(parameters))?;
    fill_variables(&variables);
    Ok((variables, module))
}

fn tokens() -> Tensor {
    let ids: Vec<Vec<i64>> = serde_json::from_value(golden()["ids"].clone()).unwrap();
    let ids = Tensor::from_slice2(&ids);
    Tensor::stack(&[&ids, &ids.ones_like()], 1)
}

/// The values depend on the names, so that equal outputs also show equal names.
#[test]
fn states_and_vectors_of_texts_equal_those_of_transformers() {
    let mut compared = 0;
    for golden in golden()["texts"].as_array().unwrap() {
        for (name, hidden_state) in [("last", -1), ("next-to-last", -2), ("pooled", -2)] {
            if golden[name].is_null() {
                continue;
            }
            compared += 1;
            let change = json!({"hidden_state": hidden_state});
            let (_, module) = made::<Text>(text(&golden["sizes"], &change)).unwrap();
            let found = if name == "pooled" { module.pool(&tokens(), false) } else { module.embed(&tokens(), false) };
            assert_golden(&found.unwrap(), &numbers(&golden[name]));
        }
    }
    assert_eq!(compared, 4);
}

/// A model of one layer less ends at the state before the last.
#[test]
fn the_final_norm_of_an_earlier_state_is_that_of_a_shorter_model() {
    let sizes = golden()["texts"][0]["sizes"].clone();
    let shorter = with(sizes.clone(), &json!({"num_hidden_layers": 1}));
    let (_, cut) = made::<Text>(text(&shorter, &json!({}))).unwrap();
    let skipping = json!({"hidden_state": -2, "final_norm": true});
    let (_, whole) = made::<Text>(text(&sizes, &skipping)).unwrap();
    let apart = cut.embed(&tokens(), false).unwrap() - whole.embed(&tokens(), false).unwrap();
    assert_eq!(apart.abs().max().double_value(&[]), 0.0);
}

#[test]
fn states_and_vectors_of_images_equal_those_of_transformers() {
    let pixels = closed_form("image", &[2, 3, 8, 8], 0.5, 0.5);
    let mut compared = 0;
    for golden in golden()["images"].as_array().unwrap() {
        let (_, module) = made::<Image>(image(&golden["sizes"], &json!({}))).unwrap();
        for (name, found) in [("pooled", module.pool(&pixels, false)), ("tokens", module.embed(&pixels, false))] {
            if !golden[name].is_null() {
                compared += 1;
                assert_golden(&found.unwrap(), &numbers(&golden[name]));
            }
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn weights_of_files_without_a_projection_are_those_of_the_module() {
    let sizes = with(golden()["texts"][0]["sizes"].clone(), &json!({"projection_dim": 0}));
    let (variables, module) = made::<Text>(text(&sizes, &json!({"vector": 12}))).unwrap();
    assert!(variables.variables().keys().all(|name| name.starts_with("text_model.")));
    assert_eq!(module.pool(&tokens(), false).unwrap().size(), [3, 12]);
}

#[test]
fn impossible_sizes_are_refused() {
    let golden = golden();
    for wrong in [
        json!({"length": 9}),
        json!({"vector": 12}),
        json!({"hidden_state": 0}),
        json!({"hidden_state": -4}),
        json!({"num_attention_heads": 5}),
        json!({"num_hidden_layers": 0}),
        json!({"vocab_size": i64::MAX}),
        json!({"projection_dim": i64::MAX}),
        json!({"intermediate_size": -1}),
    ] {
        let refused = made::<Text>(text(&golden["texts"][0]["sizes"], &wrong));
        assert!(matches!(refused, Err(Error::Parameters(_))), "{wrong}");
    }
    for wrong in [
        json!({"patch_size": 3}),
        json!({"patch_size": 0}),
        json!({"image_mean": [0.5]}),
        json!({"image_std": [0.5, 0.5, 0.0]}),
        json!({"tokens": 4}),
        json!({"vector": 12}),
        json!({"height": i64::MAX}),
    ] {
        let refused = made::<Image>(image(&golden["images"][0]["sizes"], &wrong));
        assert!(matches!(refused, Err(Error::Parameters(_))), "{wrong}");
    }
}

#[test]
fn the_test_kit_passes() {
    Kit::new(crate::ENTRY).check();
}
