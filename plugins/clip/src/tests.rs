use anyflow_sdk::tch::{Device, Tensor, nn};
use anyflow_sdk::testkit::{Kit, assert_golden, closed_form, fill_variables};
use anyflow_sdk::{Error, Module, Parameters, PromptEncoder};
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
    let base = json!({
        "length": 6, "vectors": 6, "features": 12, "output": "tokens", "hidden_state": "last", "final_norm": true
    });
    with(with(base, sizes), change)
}

fn image(sizes: &Value, change: &Value) -> Value {
    let base = json!({"channel": 3, "height": 8, "width": 8, "vectors": 1, "features": 6, "output": "pooled"});
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
fn vectors_of_texts_equal_those_of_transformers() {
    let mut compared = 0;
    for golden in golden()["texts"].as_array().unwrap() {
        for (name, change) in [
            ("last", json!({})),
            ("next-to-last", json!({"hidden_state": "next-to-last", "final_norm": false})),
            ("pooled", json!({"output": "pooled", "vectors": 1, "features": 6})),
        ] {
            if golden[name].is_null() {
                continue;
            }
            compared += 1;
            let (_, module) = made::<Text>(text(&golden["sizes"], &change)).unwrap();
            assert_golden(&module.embed(&tokens(), false).unwrap(), &numbers(&golden[name]));
        }
    }
    assert_eq!(compared, 4);
}

#[test]
fn vectors_of_images_equal_those_of_transformers() {
    let pixels = closed_form("image", &[2, 3, 8, 8], 0.5, 0.5);
    let mut compared = 0;
    for golden in golden()["images"].as_array().unwrap() {
        for (name, change) in
            [("pooled", json!({})), ("tokens", json!({"output": "tokens", "vectors": 5, "features": 12}))]
        {
            if golden[name].is_null() {
                continue;
            }
            compared += 1;
            let (_, module) = made::<Image>(image(&golden["sizes"], &change)).unwrap();
            assert_golden(&module.embed(&pixels, false).unwrap(), &numbers(&golden[name]));
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn weights_of_files_without_a_projection_are_those_of_the_module() {
    let sizes = with(golden()["texts"][0]["sizes"].clone(), &json!({"projection_dim": 0}));
    let (variables, module) = made::<Text>(text(&sizes, &json!({"output": "pooled", "vectors": 1}))).unwrap();
    assert!(variables.variables().keys().all(|name| name.starts_with("text_model.")));
    assert_eq!(module.embed(&tokens(), false).unwrap().size(), [3, 1, 12]);
}

#[test]
fn impossible_sizes_are_refused() {
    let golden = golden();
    for wrong in [
        json!({"length": 9}),
        json!({"vectors": 1}),
        json!({"features": 6}),
        json!({"output": "pooled", "vectors": 1}),
        json!({"num_attention_heads": 5}),
        json!({"num_hidden_layers": 0}),
        json!({"vocab_size": i64::MAX}),
        json!({"projection_dim": i64::MAX}),
        json!({"intermediate_size": 0}),
    ] {
        let refused = made::<Text>(text(&golden["texts"][0]["sizes"], &wrong));
        assert!(matches!(refused, Err(Error::Parameters(_))), "{wrong}");
    }
    for wrong in [
        json!({"patch_size": 3}),
        json!({"patch_size": 0}),
        json!({"image_mean": [0.5]}),
        json!({"image_std": [0.5, 0.5, 0.0]}),
        json!({"vectors": 5}),
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
