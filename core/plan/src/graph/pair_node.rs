//! Nodes that compare two prompts, resolved against the model.

use indexmap::IndexMap;

use crate::descriptor::CellKind;
use crate::error::Report;
use crate::graph::{LABEL, ModelGraph, PromptNode, SCORES, ScoreProblem};
use crate::plan::{Form, Type};
use crate::spec::{PairNodeSpec, unknown};

/// The port with the score of a row.
pub(crate) const SCORE: &str = "score";

/// A node that compares two prompts.
#[derive(Clone, Debug)]
pub(crate) struct PairNode {
    /// The scorer of the model.
    pub scorer: String,
    /// Its prompts.
    pub between: [String; 2],
    /// Class -> cells of the second prompt; empty if each row has its own.
    pub classes: IndexMap<String, Vec<String>>,
}

impl PairNode {
    /// Its ports.
    pub fn ports(&self) -> &'static [&'static str] {
        if self.classes.is_empty() { &[SCORE] } else { &[LABEL, SCORES] }
    }

    /// The type of a port: the name of the best class, a number for each class, or one number.
    pub fn type_of_port(port: &str, modality: &str) -> Type {
        let (cell, feature) = match port {
            LABEL => (CellKind::Utf8, "Value(string)"),
            SCORES => (CellKind::List(1), "List(Value(float32))"),
            _ => (CellKind::F64, "Value(float32)"),
        };
        Type { modality: modality.to_string(), form: Form::Cells { cell, feature: feature.to_string() } }
    }
}

/// Resolves a node; `None` if something is wrong, which is reported.
pub(super) fn resolve_pair_node(spec: &PairNodeSpec, model: &ModelGraph, report: &mut Report) -> Option<PairNode> {
    let Some(scorer) = model.scorers.get(&spec.score.value) else {
        unknown("scorer", &spec.score, model.scorers.keys().map(String::as_str), report);
        return None;
    };
    let between = scorer.as_ref()?.between.clone();
    let classes = spec.classes.cells();
    let cells = model.prompts.get(&between[1]).and_then(PromptNode::cells)?;
    if !classes.is_empty() && !matches!(cells.form, Form::Cells { cell: CellKind::Utf8, .. }) {
        let problem = ScoreProblem::ClassesAreStrings { stream: between[1].clone(), cells: cells.to_string() };
        report.error(spec.score.span, problem);
        return None;
    }
    Some(PairNode { scorer: spec.score.value.clone(), between, classes })
}
