//! Classification by the predicted x0 of a stream, as written.

use indexmap::IndexMap;

use crate::error::Report;
use crate::plan::StreamRole;
use crate::problem::{Problem, problems};
use crate::source::SpannedString;
use crate::spec::{RolesSpec, check_unique, other_roles};
use crate::surface::Fields;

problems! {
    /// What can be wrong with a template.
    pub(crate) enum TemplateProblem {
        /// A template of a classification has no `{}`, so all classes would have the same cell.
        /// Example: `templates: [a digit]`.
        /// Cure: Write `{}` where the name of the class belongs: `a digit {}`.
        #[error("template `{template}` has no `{{}}` for the class name")]
        NoPlaceholder { template: String },
    }
}

/// The placeholder for a class name in a template.
const NAME: &str = "{}";

/// A classification.
#[derive(Debug)]
pub(crate) struct ScoringSpec {
    /// The stream to predict.
    pub stream: SpannedString,
    pub classes: ClassesSpec,
    pub samples: u64,
}

/// Classes, each described by cells.
#[derive(Debug, Default)]
pub(crate) struct ClassesSpec {
    pub names: Vec<SpannedString>,
    /// Templates of the cells for a class; by default the cell is its name.
    pub templates: Vec<SpannedString>,
}

/// Reads the keys of a classification; `None` if its stream or its number of predictions could not be read.
pub(crate) fn scoring(fields: &Fields, report: &mut Report) -> Option<ScoringSpec> {
    let classes = classes(fields, report);
    let samples = fields.integer("samples", report);
    Some(ScoringSpec { stream: fields.text("score", report)?, classes, samples: samples? })
}

/// Reads `classes` and `templates`.
pub(super) fn classes(fields: &Fields, report: &mut Report) -> ClassesSpec {
    let names = fields.texts("classes", report);
    let templates = fields.texts("templates", report);
    check_unique("class", &names, report);
    check_unique("template", &templates, report);
    for template in templates.iter().filter(|template| !template.value.contains(NAME)) {
        report.error(template.span, TemplateProblem::NoPlaceholder { template: template.value.clone() });
    }
    if let Some(entry) = fields.entry("classes").filter(|_| names.len() < 2) {
        let what = format!("`classes` of {}", fields.within);
        let wanted = "at least two classes".into();
        report.error(entry.key.span, Problem::WrongCount { what, wanted, found: names.len() });
    }
    ClassesSpec { names, templates }
}

/// The roles of a classification: it predicts its stream from the observed streams, and samples no other.
pub(crate) fn scoring_roles(fields: &Fields, scoring: &ScoringSpec, report: &mut Report) -> RolesSpec {
    let generate = vec![scoring.stream.clone()];
    RolesSpec { generate, others: StreamRole::Absent, ..other_roles(fields, "score", report) }
}

impl ClassesSpec {
    /// Class -> the cells that describe it.
    pub fn cells(&self) -> IndexMap<String, Vec<String>> {
        let cells = |class: &str| match self.templates.as_slice() {
            [] => vec![class.to_string()],
            templates => templates.iter().map(|template| template.value.replace(NAME, class)).collect(),
        };
        self.names.iter().map(|class| (class.value.clone(), cells(&class.value))).collect()
    }
}
