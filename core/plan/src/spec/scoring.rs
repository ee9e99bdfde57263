//! Classification by the predicted x0 of a stream, as written.

use crate::error::Report;
use crate::plan::StreamRole;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::{RolesSpec, check_unique, other_roles};
use crate::surface::Fields;

/// The placeholder for a class name in a template.
const NAME: &str = "{}";

/// A classification.
#[derive(Debug)]
pub(crate) struct ScoringSpec {
    /// The stream to predict.
    pub stream: SpannedString,
    pub classes: Vec<SpannedString>,
    /// Templates of the cells for a class; by default the cell is its name.
    pub templates: Vec<SpannedString>,
    pub samples: u64,
}

/// Reads the keys of a classification; `None` if its stream or its number of predictions could not be read.
pub(crate) fn scoring(fields: &Fields, report: &mut Report) -> Option<ScoringSpec> {
    let classes = fields.texts("classes", report);
    let templates = fields.texts("templates", report);
    check_unique("class", &classes, report);
    check_unique("template", &templates, report);
    for template in templates.iter().filter(|template| !template.value.contains(NAME)) {
        let text = format!("template `{}` has no `{NAME}` for the class name", template.value);
        report.error(template.span, Problem::Impossible { text });
    }
    if let Some(entry) = fields.entry("classes").filter(|_| classes.len() < 2) {
        let text = format!("`classes` of {} must list at least two classes", fields.within);
        report.error(entry.key.span, Problem::Impossible { text });
    }
    let samples = fields.integer("samples", report);
    Some(ScoringSpec { stream: fields.text("score", report)?, classes, templates, samples: samples? })
}

/// The roles of a classification: it predicts its stream from the observed streams, and samples no other.
pub(crate) fn scoring_roles(fields: &Fields, scoring: &ScoringSpec, report: &mut Report) -> RolesSpec {
    let generate = vec![scoring.stream.clone()];
    RolesSpec { generate, others: StreamRole::Absent, ..other_roles(fields, "score", report) }
}

impl ScoringSpec {
    /// The cells to compare with for a class.
    pub fn cells(&self, class: &str) -> Vec<String> {
        if self.templates.is_empty() {
            return vec![class.to_string()];
        }
        self.templates.iter().map(|template| template.value.replace(NAME, class)).collect()
    }
}
