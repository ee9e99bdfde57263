//! Rule: all judges have the same number of classes, or their answers cannot be compared.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::Evaluation;
use crate::problem::{CodeEntry, problems};

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

pub(super) struct Classes;

impl Rule for Classes {
    /// Compares every judge with the first.
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let judges = || evaluation.judges.iter().filter_map(|(spec, judge)| Some((spec, judge.as_ref()?)));
        let Some((first_spec, first)) = judges().next() else { return };
        for (spec, judge) in judges().filter(|(_, judge)| judge.classes != first.classes) {
            let problem = ClassesProblem::ClassesMismatch {
                one: first_spec.stream.value.clone(),
                one_classes: first.classes,
                other: spec.stream.value.clone(),
                other_classes: judge.classes,
            };
            report.error(spec.stream.span, problem);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ClassesProblem::codes()
    }
}
