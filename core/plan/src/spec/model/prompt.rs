//! A prompt of a model as written.

use anyflow_config::AbsentPrompt;

use super::{Use, shape, used};
use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::spec::{check_name, check_unique};
use crate::surface::{self, Fields};
use crate::yaml::Entry;

/// A prompt. Values that could not be read are `None` and were reported.
#[derive(Debug)]
pub(crate) struct PromptSpec {
    pub name: SpannedString,
    pub codec: Option<Use>,
    pub module: Option<Use>,
    pub tokens: Option<(Vec<i64>, Span)>,
    pub vector: Option<(Vec<i64>, Span)>,
    /// The prompts side by side in it.
    pub features: Vec<SpannedString>,
    /// What stands for it where it is absent.
    pub absent: Option<AbsentPrompt>,
    /// The keys that are written.
    pub keys: Vec<String>,
}

/// Reads a prompt.
pub(super) fn prompt(entry: &Entry, report: &mut Report) -> PromptSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("prompt `{}`", name.value);
    let mut spec = PromptSpec {
        name,
        codec: None,
        module: None,
        tokens: None,
        vector: None,
        features: Vec::new(),
        absent: None,
        keys: Vec::new(),
    };
    let Some(fields) = Fields::open(&entry.node, &surface::PROMPT, within, spec.name.span, report) else {
        return spec;
    };
    spec.codec = used(&fields, "codec", report);
    spec.module = used(&fields, "module", report);
    spec.tokens = shape(&fields, "tokens", report);
    spec.vector = shape(&fields, "vector", report);
    spec.features = fields.texts("features", report);
    check_unique("prompt", &spec.features, report);
    spec.absent = fields.value("absent", report);
    spec.keys =
        surface::PROMPT.keys.iter().filter(|key| fields.entry(key.name).is_some()).map(|key| key.name.into()).collect();
    spec
}
