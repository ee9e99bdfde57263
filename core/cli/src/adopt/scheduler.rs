//! Schedulers of diffusers: what the network was trained to predict, the noise schedule, and a sampler with the points that the
//! scheduler would visit.

use std::path::Path;

use serde_json::{Value, json};

use super::config::Config;
use super::error::{AdoptError, Result};
use super::model::{mapping, unless};

/// What a scheduler says.
pub(super) struct AdoptedScheduler {
    pub predict: &'static str,
    pub schedule: Value,
    pub sampler: Value,
    /// What a reader should know about it.
    pub comment: String,
}

/// Classes with the names of their steps: a table in diffusers' documentation, and ours.
const KNOWN: [&str; 7] =
    ["PNDM", "DDIM", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "DPMSolverMultistep", "UniPCMultistep"];
/// The steps of a published chain.
const STEPS: i64 = 1000;
const NAME: &str = "a name";
const FLAG: &str = "true or false";

/// Reads `scheduler/scheduler_config.json` of a pipeline.
pub(super) fn adopt(pipeline: &Path) -> Result<AdoptedScheduler> {
    let path = pipeline.join("scheduler/scheduler_config.json");
    if !path.is_file() {
        return Err(AdoptError::NoPart { folder: pipeline.display().to_string(), part: "scheduler".into() });
    }
    let config = Config::read(&path)?;
    let class = config.class()?;
    let name = class.trim_start_matches("Flax").trim_end_matches("Scheduler").to_string();
    if !KNOWN.contains(&name.as_str()) {
        let reason = match name.as_str() {
            "LCM" | "TCD" => "belongs to distilled models, which are not built here",
            _ => "is not known",
        };
        let known = KNOWN.map(|known| format!("{known}Scheduler")).join(", ");
        return Err(AdoptError::Scheduler { path: config.path(), class, reason, known });
    }
    for (key, usual) in [
        ("num_train_timesteps", json!(STEPS)),
        ("trained_betas", Value::Null),
        ("thresholding", json!(false)),
        ("use_beta_sigmas", json!(false)),
        ("use_lu_lambdas", json!(false)),
        ("use_flow_sigmas", json!(false)),
        ("euler_at_final", json!(false)),
        ("lower_order_final", json!(true)),
        ("interpolation_type", json!("linear")),
        ("timestep_type", json!("discrete")),
        ("variance_type", Value::Null),
        ("sigma_min", Value::Null),
        ("sigma_max", Value::Null),
    ] {
        config.usual(key, &usual)?;
    }
    let comment = match name.as_str() {
        "PNDM" => "Scheduler PNDM: its points, solved by dpmpp-2m.".to_string(),
        _ => format!("Scheduler {name}."),
    };
    Ok(AdoptedScheduler {
        predict: predict(&config)?,
        schedule: schedule(&config, &name)?,
        sampler: sampler(&config, &name)?,
        comment,
    })
}

fn predict(config: &Config) -> Result<&'static str> {
    match config.get("prediction_type", "epsilon".to_string(), NAME)?.as_str() {
        "epsilon" => Ok("eps"),
        "v_prediction" => Ok("v"),
        "sample" => Ok("x0"),
        _ => Err(config.unusual("prediction_type", "epsilon, v_prediction or sample".into())),
    }
}

fn schedule(config: &Config, name: &str) -> Result<Value> {
    let betas = match config.get("beta_schedule", "linear".to_string(), NAME)?.as_str() {
        "linear" => "linear",
        "scaled_linear" => "scaled-linear",
        "squaredcos_cap_v2" => "squared-cosine",
        _ => return Err(config.unusual("beta_schedule", "linear, scaled_linear or squaredcos_cap_v2".into())),
    };
    // Heun alone has the rates of latent diffusion as its default.
    let default = if name == "HeunDiscrete" { [0.00085, 0.012] } else { [0.0001, 0.02] };
    let start: f64 = config.get("beta_start", default[0], "a number")?;
    let end: f64 = config.get("beta_end", default[1], "a number")?;
    let (start, end) = if betas == "squared-cosine" { (Value::Null, Value::Null) } else { (json!(start), json!(end)) };
    let zero_snr: bool = config.get("rescale_betas_zero_snr", false, FLAG)?;
    Ok(mapping([
        ("kind", json!("discrete")),
        ("betas", json!(betas)),
        ("beta_start", start),
        ("beta_end", end),
        ("zero_snr", unless(zero_snr, false)),
    ]))
}

/// The solver, its usual number of steps, and where its points are.
fn sampler(config: &Config, name: &str) -> Result<Value> {
    let (kind, steps) = match name {
        "PNDM" => {
            config.usual("skip_prk_steps", &json!(true))?;
            ("dpmpp-2m", 25)
        }
        "DDIM" => {
            // Latents are not bounded.
            match config.get("clip_sample", true, FLAG)? {
                false => ("ddim", 50),
                true => return Err(config.unusual("clip_sample", "false".into())),
            }
        }
        "EulerDiscrete" => ("ddim", 30),
        "EulerAncestralDiscrete" => ("ddim", 30),
        "HeunDiscrete" => {
            config.usual("clip_sample", &json!(false))?;
            ("heun", 25)
        }
        "DPMSolverMultistep" => (multistep(config)?, 25),
        _ => {
            config.usual("solver_order", &json!(2))?;
            config.usual("solver_type", &json!("bh2"))?;
            ("unipc", 20)
        }
    };
    let eta = if name == "EulerAncestralDiscrete" { json!(1.0) } else { Value::Null };
    Ok(mapping([("kind", json!(kind)), ("steps", json!(steps)), ("eta", eta), ("spacing", spacing(config, name)?)]))
}

fn multistep(config: &Config) -> Result<&'static str> {
    config.usual("algorithm_type", &json!("dpmsolver++"))?;
    match config.get("solver_order", 2, "a whole number")? {
        1 => Ok("ddim"),
        2 => {
            config.usual("solver_type", &json!("midpoint"))?;
            Ok("dpmpp-2m")
        }
        _ => Err(config.unusual("solver_order", "1 or 2".into())),
    }
}

fn spacing(config: &Config, name: &str) -> Result<Value> {
    let by_index = ["PNDM", "DDIM"].contains(&name);
    let by_order = ["DPMSolverMultistep", "UniPCMultistep"].contains(&name);
    let default = if by_index { "leading" } else { "linspace" };
    let law: String = config.get("timestep_spacing", default.to_string(), NAME)?;
    if !["leading", "linspace", "trailing"].contains(&law.as_str()) {
        return Err(config.unusual("timestep_spacing", "leading, linspace or trailing".into()));
    }
    let curve = curve(config)?;
    // The multistep solvers bend the whole chain, the others the part between their points.
    let is_stepped = curve.is_none() || !by_order;
    let offset: i64 = config.get("steps_offset", 0, "a whole number")?;
    let offset = if is_stepped && law == "leading" { unless(offset, 0) } else { Value::Null };
    let spare = i64::from(by_order && curve.is_none() && law != "trailing");
    let is_zero = match by_index {
        // The value of the class is true for DDIM, and false for PNDM.
        true => config.get("set_alpha_to_one", name == "DDIM", FLAG)?,
        false => config.get("final_sigmas_type", "zero".to_string(), NAME)? == "zero",
    };
    let starts_at_noise = !by_index && !by_order && law != "leading";
    Ok(mapping([
        ("law", json!(curve.unwrap_or(&law))),
        ("offset", offset),
        ("spare", unless(spare, 0)),
        ("within", if curve.is_some() && !by_order { json!(law) } else { Value::Null }),
        ("round", unless(is_rounded(config, name, curve.unwrap_or(&law)), true)),
        ("last", if is_zero { Value::Null } else { json!("first") }),
        ("start", if starts_at_noise { json!("noise") } else { Value::Null }),
        ("stride", if name == "DDIM" { json!("floor") } else { Value::Null }),
    ]))
}

/// The law of the noise levels between the first and the last, if there is one.
fn curve(config: &Config) -> Result<Option<&'static str>> {
    for curve in ["karras", "exponential"] {
        if config.get(&format!("use_{curve}_sigmas"), false, FLAG)? {
            return Ok(Some(curve));
        }
    }
    Ok(None)
}

/// True if the network is told a whole step, and not the fraction that belongs to a noise level.
fn is_rounded(config: &Config, name: &str, law: &str) -> bool {
    let is_cosine = config.given("beta_schedule") == Some(&json!("squaredcos_cap_v2"));
    match (name, law) {
        (_, "leading" | "trailing") | ("PNDM" | "DDIM", _) => true,
        ("DPMSolverMultistep", "karras") => !is_cosine,
        ("DPMSolverMultistep" | "UniPCMultistep", law) => law != "exponential",
        _ => false,
    }
}
