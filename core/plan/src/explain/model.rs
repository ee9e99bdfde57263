//! Lines about the model, shared by all printed plans.

use anyflow_config::{Aggregation, Auxiliary, Precision};

use crate::explain::options::Options;
use crate::explain::words::{list, section};
use crate::plan::{Checkpoint, DenoiserConfig, Form, Model, PairConfig, PromptConfig};

/// The model: streams, prompts and denoisers.
pub(crate) fn lines(model: &Model, options: Options) -> String {
    let weights = model.checkpoint.as_ref().map_or("none".into(), Checkpoint::to_string);
    let parts = [
        section("streams", streams(model, options)),
        section("prompts", prompts(model, options)),
        section("scorers", model.scorers.iter().map(|(name, it)| pair(name, it)).collect()),
        section("denoisers", model.denoisers.iter().map(|(name, it)| denoiser(name, it, options)).collect()),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("model {} ({}), weights {weights}\n\n{}", model.name, model.source, parts.join("\n"))
}

fn row(name: &str, word: &str, what: String) -> Vec<String> {
    vec![name.to_string(), word.to_string(), what]
}

fn streams(model: &Model, options: Options) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (name, stream) in &model.streams {
        let shape = match &stream.array.form {
            Form::Array { shape, .. } => format!("{shape:?}"),
            _ => String::new(),
        };
        rows.push(row(name, "codec", options.component(&stream.codec)));
        let module = stream.module.as_ref().map_or("none".into(), |module| options.component(module));
        rows.push(row("", "module", module));
        rows.push(row("", "shapes", format!("{shape} -> {:?}", stream.latent)));
        if let Some(schedule) = &stream.schedule {
            rows.push(row("", "schedule", options.kind(schedule)));
        }
    }
    rows
}

fn prompts(model: &Model, options: Options) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (name, prompt) in &model.prompts {
        match prompt {
            PromptConfig::Encoded(prompt) => {
                let shapes = prompt.array.elements().map_or(String::new(), |(shape, _)| format!("{shape:?} -> "));
                let tokens = prompt.tokens.iter().map(|tokens| format!("{tokens:?}"));
                let vector = prompt.vector.iter().map(|size| format!("vector [{size}]"));
                rows.push(row(name, "codec", options.component(&prompt.codec)));
                rows.push(row("", "module", options.component(&prompt.module)));
                rows.push(row("", "shapes", format!("{shapes}{}", list(tokens.chain(vector)))));
            }
            PromptConfig::Joined(prompt) => {
                rows.push(row(name, "features", list(&prompt.features)));
                rows.push(row("", "shapes", format!("{:?}", prompt.tokens)));
            }
            PromptConfig::Numbers(prompt) => rows.push(row(name, "numbers", prompt.numbers.to_string())),
        }
    }
    rows
}

fn pair(name: &str, scorer: &PairConfig) -> Vec<String> {
    let [one, other] = &scorer.between;
    let scale = scorer.scale.map_or("a learned factor".into(), |scale| scale.to_string());
    row(name, "cosine", format!("{one}, {other} x {scale}"))
}

fn denoiser(name: &str, denoiser: &DenoiserConfig, options: Options) -> Vec<String> {
    let mut what = format!("predicts {} over {}", denoiser.predict, list(&denoiser.over));
    if denoiser.precision != Precision::F32 || options.is_all() {
        what.push_str(&format!(" in {}", denoiser.precision));
    }
    for (stream, auxiliary) in &denoiser.companions {
        what.push_str(&auxiliary_stream(stream, auxiliary));
    }
    if !denoiser.prompts.is_empty() {
        what.push_str(&format!(", prompts {}", list(&denoiser.prompts)));
    }
    if !denoiser.planes.is_empty() {
        what.push_str(&format!(", planes {}", list(&denoiser.planes)));
    }
    if let Some(vectors) = &denoiser.vectors {
        what.push_str(&format!(", vectors {} ({})", list(vectors.from.keys()), vectors.by));
    }
    vec![name.to_string(), what, options.kind(&denoiser.network), options.kind(&denoiser.schedule)]
}

fn auxiliary_stream(stream: &str, auxiliary: &Auxiliary) -> String {
    let mut out = String::new();
    if let Some(added) = &auxiliary.aggregate {
        let Aggregation { weight, law, .. } = &added.aggregation;
        out.push_str(&format!(", adds {weight:?} x {stream} into {} ({law})", added.into));
    }
    if let Some(head) = &auxiliary.head {
        out.push_str(&format!(", predicts {stream} at {} by {}", head.reads, head.loss));
    }
    out
}
