//! Rule: all judges have the same number of classes, or their answers cannot be compared.

use indexmap::IndexMap;

use crate::error::Report;
use crate::plan::ScorerConfig;
use crate::problem::problems;
use crate::spec::JudgeSpec;

problems! {
    /// Judges that cannot be compared.
    pub(crate) enum ClassesProblem {
        /// Judges have different numbers of classes, so their classes cannot be compared.
        /// Example: One judge with 10 classes and one with 12.
        /// Cure: Use judges of the same classes.
        #[error("judge `{one}` has {one_classes} classes, but judge `{other}` has {other_classes}")]
        ClassesMismatch { one: String, one_classes: i64, other: String, other_classes: i64 },
    }
}

/// Compares every judge with the first.
pub(crate) fn check(judges: &IndexMap<String, ScorerConfig>, specs: &[JudgeSpec], report: &mut Report) {
    let Some((one, first)) = judges.first() else { return };
    for (other, judge) in judges.iter().filter(|(_, judge)| judge.classes != first.classes) {
        let problem = ClassesProblem::ClassesMismatch {
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
