//! The planner's table of kinds, as its JSON Schema shows it, agrees with what the engine deserializes: names, keys,
//! defaults and bounds.

use std::collections::BTreeSet;

use anyflow_diffusion::{Guidance, HeadNetwork, Network, Parameterization, Sampling, Schedule, TimeDistribution};
use serde_json::{Map, Value, json};

const SCHEMAS: [&str; 3] = [
    include_str!("../../../../pipelines/schema/model.json"),
    include_str!("../../../../pipelines/schema/pipeline.json"),
    include_str!("../../../../pipelines/schema/training.json"),
];

/// Every family of kinds in the schemas. That of heads is also under `network`.
fn all(family: &str) -> Vec<Value> {
    let is_head = |schema: &Value| schema["oneOf"][0]["properties"]["kind"]["const"] == "mlp";
    let key = if family == "head" { "network" } else { family };
    let of_family = |schema: &Value| is_head(schema) == (family == "head");
    found(key).into_iter().filter(of_family).collect()
}

/// Everything in the schemas under this key.
fn found(key: &str) -> Vec<Value> {
    fn search(value: &Value, key: &str, found: &mut Vec<Value>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(name, value)| {
                if name == key && value.is_object() {
                    found.push(value.clone());
                }
                search(value, key, found);
            }),
            Value::Array(values) => values.iter().for_each(|value| search(value, key, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    SCHEMAS.iter().for_each(|schema| search(&serde_json::from_str(schema).unwrap(), key, &mut found));
    found
}

/// Values for an optional key: its own keys with their defaults, or one name for them all.
fn optional(schema: &Value) -> impl Iterator<Item = Value> {
    let inner = schema["properties"]
        .as_object()
        .map(|inner| inner.iter().map(|(key, schema)| (key.clone(), schema["default"].clone())).collect::<Map<_, _>>());
    let named = schema["additionalProperties"].is_object().then(|| json!({"x": 2.0}));
    [json!({})].into_iter().chain(inner.map(Value::Object)).chain(named)
}

/// The required keys of a kind, with a value each.
fn required(kind: &Value) -> Map<String, Value> {
    let names = kind["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| match name {
        "patterns" => json!([{"x": "noisy"}]),
        "reads" => json!({"y": {"stream": "x", "sites": ["middle"]}}),
        _ => json!({"x": {"kind": "residual-mlp"}, "y": {"kind": "residual-mlp"}}),
    };
    names.filter(|name| *name != "kind").map(|name| (name.to_string(), value(name))).collect()
}

/// Every kind of a family, with its defaults and with each number at either allowed bound; and the names.
fn settings(family: &str) -> (Vec<Value>, BTreeSet<String>) {
    let mut settings = Vec::new();
    let mut names = BTreeSet::new();
    let kinds = all(family).into_iter().filter_map(|schema| schema["oneOf"].as_array().cloned()).flatten();
    for kind in kinds {
        let mut defaults = required(&kind);
        let mut others = Vec::new();
        let properties = kind["properties"].as_object().unwrap().iter();
        for (key, schema) in properties.filter(|(key, _)| !required(&kind).contains_key(*key)) {
            if let Some(fixed) = schema.get("const").or(schema.get("default")) {
                defaults.insert(key.clone(), fixed.clone());
            } else if schema["type"] == "number" {
                others.push((key.clone(), schema["maximum"].clone()));
                continue;
            } else if schema["type"] != "integer" {
                others.extend(optional(schema).map(|value| (key.clone(), value)));
                continue;
            }
            let bounds = ["minimum", "maximum"].iter().filter_map(|bound| schema.get(*bound)).cloned();
            let words = schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
            others.extend(bounds.chain(words).map(|value| (key.clone(), value)));
        }
        names.insert(defaults["kind"].as_str().unwrap().to_string());
        // A number may not exceed its upper partner; the planner checks that separately.
        let others = others.into_iter().filter(|(key, _)| key != "beta_start");
        settings.extend(others.map(|(key, value)| {
            let mut changed = defaults.clone();
            changed.insert(key, value);
            Value::Object(changed)
        }));
        settings.push(Value::Object(defaults));
    }
    (settings, names)
}

#[test]
fn every_schedule_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("schedule");
    assert_eq!(names, ["cosine", "flow", "karras", "scaled-linear", "vp-linear"].map(str::to_string).into());
    settings.iter().for_each(|setting| parsed::<Schedule>(setting).check().unwrap());
}

#[test]
fn every_sampler_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("sampler");
    assert_eq!(names.len(), 9, "{names:?}");
    // Jumps of the default length need as many steps, which the planner checks separately.
    let too_short = |setting: &Value| setting.get("resample").is_some() && setting["steps"] == 1;
    let settings: Vec<_> = settings.iter().filter(|setting| !too_short(setting)).collect();
    assert!(settings.iter().any(|setting| setting["resample"]["jump"] == 10));
    settings.into_iter().for_each(|setting| parsed::<Sampling>(setting).check().unwrap());
}

#[test]
fn every_guidance_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("guidance");
    assert_eq!(names, ["cfg", "joint"].map(str::to_string).into());
    settings.iter().for_each(|setting| drop(parsed::<Guidance>(setting)));
    let scales = json!({"kind": "cfg", "scale": {"a": 2.0}});
    assert_eq!(parsed::<Guidance>(&scales).branches(&["a"], &["x"]).len(), 1);
}

#[test]
fn every_network_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("network");
    let known = ["coupled", "dual-stream", "residual-mlp", "transformer", "unet", "unet-mlp"];
    assert_eq!(names, known.map(str::to_string).into());
    for setting in &settings {
        // The planner checks separately that groups and heads divide the width.
        let apart = |error: String| ["groups", "heads", "width must be even"].iter().any(|word| error.contains(word));
        let checked = parsed::<Network>(setting).check();
        assert!(checked.is_ok() || apart(checked.unwrap_err().to_string()), "{setting}");
    }
}

#[test]
fn every_head_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("head");
    assert_eq!(names, ["conv", "mlp"].map(str::to_string).into());
    settings.iter().for_each(|setting| _ = parsed::<HeadNetwork>(setting));
}

#[test]
fn every_time_distribution_of_the_planner_is_one_of_the_engine() {
    let (settings, names) = settings("times");
    assert_eq!(names, ["alternating", "independent", "shared-all", "subset-shared"].map(str::to_string).into());
    settings.iter().for_each(|setting| parsed::<TimeDistribution>(setting).check().unwrap());
}

#[test]
fn defaults_are_the_same_on_both_sides() {
    for family in ["schedule", "sampler", "guidance", "network", "head", "times"] {
        for setting in all(family).iter().filter_map(|schema| schema["oneOf"].as_array()).flatten() {
            let properties = setting["properties"].as_object().unwrap();
            let value = |(key, schema): (&String, &Value)| {
                Some((key.clone(), schema.get("const").or(schema.get("default"))?.clone()))
            };
            let written = required(setting);
            let full: Map<_, _> = properties.iter().filter_map(value).chain(written.clone()).collect();
            let short = Value::Object(written.into_iter().chain([("kind".into(), full["kind"].clone())]).collect());
            let full = Value::Object(full);
            match family {
                "schedule" => assert_eq!(parsed::<Schedule>(&short), parsed::<Schedule>(&full)),
                "sampler" => assert_eq!(parsed::<Sampling>(&short), parsed::<Sampling>(&full)),
                "network" => assert_eq!(parsed::<Network>(&short), parsed::<Network>(&full)),
                "head" => assert_eq!(parsed::<HeadNetwork>(&short), parsed::<HeadNetwork>(&full)),
                "times" => assert_eq!(parsed::<TimeDistribution>(&short), parsed::<TimeDistribution>(&full)),
                _ => assert_eq!(parsed::<Guidance>(&short), parsed::<Guidance>(&full)),
            }
        }
    }
}

#[test]
fn every_prediction_of_the_planner_is_one_of_the_engine() {
    let words: Vec<Value> =
        all("predict").iter().flat_map(|schema| schema["enum"].as_array().unwrap().clone()).collect();
    assert!(!words.is_empty());
    assert!(words.iter().all(|word| serde_json::from_value::<Parameterization>(word.clone()).is_ok()), "{words:?}");
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}
