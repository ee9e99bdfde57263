//! Classes that are told by what is recovered of a stream, as written.

use crate::error::Report;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::check_unique;
use crate::surface::Fields;

/// The place of a class's name in a template.
const NAME: &str = "{}";

/// What a scoring is about.
#[derive(Debug)]
pub(crate) struct ScoringSpec {
    /// The stream that is recovered.
    pub stream: SpannedString,
    pub classes: Vec<SpannedString>,
    /// What stands for a class; its name if there are none.
    pub templates: Vec<SpannedString>,
    pub draws: u64,
}

/// Reads the keys of a scoring; nothing where its stream or its draws could not be read.
pub(crate) fn scoring(fields: &Fields, report: &mut Report) -> Option<ScoringSpec> {
    let (classes, templates) = (fields.texts("classes", report), fields.texts("templates", report));
    check_unique("class", &classes, report);
    check_unique("template", &templates, report);
    for template in templates.iter().filter(|template| !template.value.contains(NAME)) {
        let (what, reason) = (format!("template `{}`", template.value), "has no {} for the class".to_string());
        report.error(template.span, Problem::Impossible { what, reason });
    }
    if let Some(entry) = fields.entry("classes").filter(|_| classes.len() < 2) {
        let (what, reason) = (format!("`classes` of {}", fields.within), "names fewer than two".to_string());
        report.error(entry.key.span, Problem::Impossible { what, reason });
    }
    let draws = fields.integer("draws", report);
    Some(ScoringSpec { stream: fields.text("score", report)?, classes, templates, draws: draws? })
}

impl ScoringSpec {
    /// The cells that stand for a class.
    pub fn cells(&self, class: &str) -> Vec<String> {
        match self.templates.is_empty() {
            true => vec![class.to_string()],
            false => self.templates.iter().map(|template| template.value.replace(NAME, class)).collect(),
        }
    }
}
