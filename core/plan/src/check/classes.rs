//! Rule: all judges have the same number of classes, or their answers cannot be compared.

use indexmap::IndexMap;

use crate::error::Report;
use crate::plan::ScorerConfig;
use crate::problem::Problem;
use crate::spec::JudgeSpec;

/// Compares every judge with the first.
pub(crate) fn check(judges: &IndexMap<String, ScorerConfig>, specs: &[JudgeSpec], report: &mut Report) {
    let Some((one, first)) = judges.first() else { return };
    for (other, judge) in judges.iter().filter(|(_, judge)| judge.classes != first.classes) {
        let problem = Problem::ClassesMismatch {
            one: one.clone(),
            one_classes: first.classes,
            other: other.clone(),
            other_classes: judge.classes,
        };
        if let Some(spec) = specs.iter().find(|spec| spec.stream.value == *other) {
            report.error(spec.stream.span, problem);
        }
    }
}
