//! Declared kinds as JSON: names, defaults, bounds, and what is refused.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_config::sampler::{Ddim, Dpmpp2m, EulerMaruyama, Heun};
use anyflow_config::schedule::{Cosine, VpLinear};
use anyflow_config::times::{SharedAll, SubsetShared};
use anyflow_config::{
    DenoiserObjective, Guidance, HeadLayers, Kinds, Network, ObjectiveConfig, OptimizerConfig, Parameterization, Per,
    Resample, Sampling, ScheduleConfig, ScoreTaskOptions, StageOptions, TaskOptions, TimeDistribution,
};
use serde_json::{Value, json};

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Every kind whose keys all have defaults is read from its name alone, and written with its defaults.
fn defaults_are_written<K: Kinds>() {
    for kind in K::FAMILY.kinds() {
        let keys = K::FAMILY.keys(kind);
        if keys.iter().any(|key| key.is_required()) {
            continue;
        }
        let full = Value::Object(K::FAMILY.defaults(kind));
        for written in [json!({"kind": kind.name}), full.clone()] {
            let value: K = parsed(written).unwrap();
            assert!(value.check().is_ok(), "{full}");
            assert_eq!(serde_json::to_string(&value).unwrap(), full.to_string());
        }
        let stranger = json!({"kind": kind.name, "strange": 1});
        assert!(parsed::<K>(stranger).err().unwrap().contains("unknown key `strange`"), "{full}");
    }
}

#[test]
fn kinds_survive_a_round_trip() {
    defaults_are_written::<Sampling>();
    defaults_are_written::<ScheduleConfig>();
    defaults_are_written::<Guidance>();
    defaults_are_written::<Network>();
    defaults_are_written::<HeadLayers>();
    defaults_are_written::<ObjectiveConfig>();
    defaults_are_written::<TimeDistribution>();
    defaults_are_written::<OptimizerConfig>();
}

#[test]
fn samplers_have_their_own_steps() {
    let steps = |kind: &str| parsed::<Sampling>(json!({"kind": kind})).unwrap();
    assert_eq!(steps("ddim"), Sampling::new(Ddim { eta: 0.0 }, 50));
    assert_eq!(steps("euler-maruyama"), Sampling::new(EulerMaruyama {}, 250));
    assert_eq!(steps("heun"), Sampling::new(Heun {}, 25));
    assert_eq!(steps("dpmpp-2m"), Sampling::new(Dpmpp2m {}, 20));
    assert!(parsed::<Sampling>(json!({"kind": "euler-maruyama", "eta": 0.5})).is_err());
    assert!(parsed::<Sampling>(json!({"kind": "dddim"})).is_err());
}

#[test]
fn shared_keys_surround_those_of_the_sampler() {
    let full = Sampling {
        start_at: Some(0.5),
        resample: Some(Resample { jump: 10, times: 10 }),
        ..Sampling::new(Ddim { eta: 0.2 }, 50)
    };
    let written = r#"{"kind":"ddim","steps":50,"eta":0.2,"start_at":0.5,"resample":{"jump":10,"times":10}}"#;
    assert_eq!(serde_json::to_string(&full).unwrap(), written);
    assert_eq!(parsed::<Sampling>(json!({"kind": "ddim", "eta": 0.2, "start_at": 0.5, "resample": {}})).unwrap(), full);
    assert!(parsed::<Sampling>(json!({"kind": "ddim", "resample": {"leap": 5}})).is_err());
}

#[test]
fn values_out_of_bounds_are_refused() {
    let ddim = |eta| Sampling::new(Ddim { eta }, 10);
    for (sampling, text) in [
        (Sampling::new(Heun {}, 0), "steps must be an integer from 1 to 100000, found 0"),
        (ddim(1.5), "eta must be a number from 0 to 1, found 1.5"),
        (ddim(f64::NAN), "eta must be a number from 0 to 1, found NaN"),
        (Sampling { start_at: Some(0.0), ..ddim(0.0) }, "start_at must be a number above 0 and at most 1, found 0.0"),
        (Sampling { resample: Some(Resample { jump: 11, times: 2 }), ..ddim(0.0) }, "at least resample.jump = 11"),
        (Sampling { resample: Some(Resample { jump: 0, times: 2 }), ..ddim(0.0) }, "jump must be"),
        (Sampling { resample: Some(Resample { jump: 3, times: 0 }), ..ddim(0.0) }, "times must be"),
    ] {
        let error = sampling.check().unwrap_err();
        assert!(error.contains(text), "{error}");
    }
    assert!(Sampling { resample: Some(Resample { jump: 10, times: 1 }), ..ddim(0.0) }.check().is_ok());
    let falling = ScheduleConfig::from(VpLinear { beta_min: 30.0, beta_max: 20.0 });
    assert_eq!(falling.check().unwrap_err(), "beta_max must be at least beta_min = 30, found 20");
    assert!(parsed::<ScheduleConfig>(json!({"kind": "vp-linear", "beta_min": 30.0})).is_err(), "above the default");
    assert!(ScheduleConfig::from(Cosine { offset: 0.0 }).check().is_err());
    let outside = SubsetShared { p_cond: 1.5, ..SubsetShared::default() };
    assert!(TimeDistribution::from(outside).check().is_err());
}

#[test]
fn scales_are_one_number_or_one_per_condition() {
    for scale in [json!(3.0), json!({"a": 2.0, "b": 0.0})] {
        let written = json!({"kind": "cfg", "scale": scale});
        assert_eq!(serde_json::to_value(parsed::<Guidance>(written.clone()).unwrap()).unwrap(), written);
    }
    assert!(parsed::<Guidance>(json!({"kind": "cfg", "scale": {"a": -1.0}})).is_err());
    assert!(parsed::<Guidance>(json!({"scale": 1.0})).err().unwrap().contains("no `kind`"));
}

#[test]
fn networks_with_parts_include_the_others() {
    let part = json!({"kind": "residual-mlp", "width": 8, "blocks": 1});
    let network: Network = parsed(part.clone()).unwrap();
    assert_eq!((network.name(), serde_json::to_value(&network).unwrap()), ("residual-mlp", part.clone()));
    let coupled: Network = parsed(json!({"kind": "coupled", "parts": {"x": part}})).unwrap();
    let environment = json!({"width": 128, "tokens": 1, "features": 64});
    assert_eq!(serde_json::to_value(&coupled).unwrap()["environment"], environment);
    let nested = json!({"kind": "coupled", "parts": {"x": {"kind": "coupled", "parts": {}}}});
    assert!(parsed::<Network>(nested).is_err());
    assert!(parsed::<Network>(json!({"kind": "coupled"})).err().unwrap().contains("missing key `parts`"));
}

#[test]
fn the_names_of_words_are_fixed() {
    let words: Vec<&str> = Parameterization::ALL.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["eps", "x0", "v", "flow"]);
    assert_eq!(json!(Parameterization::ALL), json!(words));
    let shared = TimeDistribution::from(SharedAll { per: Per::Batch, ..SharedAll::default() });
    assert_eq!(json!(shared), json!({"kind": "shared-all", "per": "batch", "density": "uniform"}));
}

#[test]
fn an_objective_states_the_facts_of_its_kind() {
    let of = |value: Value| parsed::<ObjectiveConfig>(value).unwrap();
    let patterns = json!([{"x": "noisy", "y": "clean"}]);
    let denoise = of(json!({
        "kind": "denoise", "streams": ["x"], "contrast": {"stream": "x"},
        "times": {"kind": "alternating", "patterns": patterns},
    }));
    let facts = denoise.facts();
    assert_eq!(facts.streams(), Some(&["x".to_string()][..]));
    assert_eq!(json!(facts.patterns().unwrap()), patterns);
    assert_eq!((facts.compared().map(String::as_str), facts.partner(), facts.needs_class()), (Some("x"), None, false));
    let contrast = of(json!({"kind": "contrast", "with": "words"}));
    assert_eq!(contrast.facts().partner().map(String::as_str), Some("words"));
    assert!(of(json!({"kind": "classify"})).facts().needs_class());
    assert!(of(json!({"kind": "denoise"})).facts().patterns().is_none(), "random times have no patterns");
}

#[test]
fn an_objective_belongs_to_what_it_trains() {
    assert!(parsed::<DenoiserObjective>(json!({"kind": "denoise"})).is_ok());
    assert_eq!(
        parsed::<DenoiserObjective>(json!({"kind": "reconstruct"})).unwrap_err(),
        "unknown objective of a denoiser \"reconstruct\""
    );
}

#[test]
fn options_have_their_defaults() {
    let stage: StageOptions = parsed(json!({"batch": 8})).unwrap();
    assert_eq!((stage.steps(), stage.batch, stage.micro_batch()), (0, 8, 8), "a call takes the whole batch");
    let parts: StageOptions = parsed(json!({"batch": 8, "micro_batch": 2})).unwrap();
    assert_eq!(parts.micro_batch(), 2);
    assert!(
        parsed::<StageOptions>(json!({"ema": 1.0})).unwrap_err().contains("ema must be a number from 0 to 0.999999")
    );
    let strict: ScoreTaskOptions = parsed(json!({"min_coherence": 0.5})).unwrap();
    assert_eq!(json!(TaskOptions::from(strict)), json!({"min_coherence": 0.5}));
}
