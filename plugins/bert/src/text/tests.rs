use anyflow_sdk::tch::Device;
use anyflow_sdk::testkit::{Kit, assert_golden, fill_variables};
use serde_json::{Value, json};

use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../goldens/bert.json")).unwrap()
}

fn parameters(change: Value) -> Parameters {
    let mut parameters = golden()["sizes"].clone();
    let more = json!({"length": 8, "pooling": "mean", "normalize": true});
    for (name, value) in more.as_object().unwrap().iter().chain(change.as_object().unwrap()) {
        parameters[name] = value.clone();
    }
    Parameters::new(parameters)
}

fn tokens(golden: &Value) -> Tensor {
    let part = |name: &str| -> Vec<Vec<i64>> { serde_json::from_value(golden[name].clone()).unwrap() };
    let [ids, mask] = ["ids", "mask"].map(|name| Tensor::from_slice2(&part(name)));
    Tensor::stack(&[ids, mask], 1)
}

/// The values depend on the names, so that equal outputs also show equal names.
#[test]
fn outputs_equal_those_of_transformers() {
    let golden = golden();
    for (pooling, normalize) in [("mean", true), ("first", false)] {
        let variables = nn::VarStore::new(Device::Cpu);
        let change = json!({"pooling": pooling, "normalize": normalize});
        let module = Text::new(&variables.root(), &parameters(change)).unwrap();
        fill_variables(&variables);
        for (name, found) in
            [(pooling, module.pool(&tokens(&golden), false)), ("states", module.embed(&tokens(&golden), false))]
        {
            assert_golden(&found.unwrap(), &serde_json::from_value::<Vec<f32>>(golden[name].clone()).unwrap());
        }
    }
}

#[test]
fn padding_has_no_influence_and_an_empty_text_is_finite() {
    let variables = nn::VarStore::new(Device::Cpu);
    let module = Text::new(&variables.root(), &parameters(json!({}))).unwrap();
    let all = tokens(&golden());
    let together = module.pool(&all, false).unwrap();
    for row in 0..3 {
        let alone = module.pool(&all.narrow(0, row, 1), false).unwrap();
        let apart = (together.narrow(0, row, 1) - alone).abs().max().double_value(&[]);
        assert!(apart < 1e-6, "f32: row {row} differs by {apart}");
    }
    let empty = module.pool(&all.zeros_like().narrow(0, 0, 1), false).unwrap();
    assert_eq!(empty.isfinite().all().int64_value(&[]), 1);
}

#[test]
fn impossible_sizes_are_refused() {
    for wrong in [
        json!({"length": 17}),
        json!({"num_attention_heads": 3}),
        json!({"num_attention_heads": 0}),
        json!({"num_hidden_layers": 0}),
        json!({"num_hidden_layers": i64::MAX}),
        json!({"vocab_size": i64::MAX}),
        json!({"hidden_size": 0}),
        json!({"intermediate_size": -1}),
        json!({"type_vocab_size": 0}),
        json!({"layer_norm_eps": 0.0}),
    ] {
        let variables = nn::VarStore::new(Device::Cpu);
        let made = Text::new(&variables.root(), &parameters(wrong.clone()));
        assert!(matches!(made, Err(Error::Parameters(_))), "{wrong}");
    }
}

#[test]
fn the_test_kit_passes() {
    Kit::new(crate::ENTRY).check();
    Kit::new(crate::ENTRY).parameter("text", "pooling", "first").parameter("text", "normalize", true).check();
}
