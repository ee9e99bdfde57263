//! Scorers that compare two prompts, and the nodes that use them.

use indexmap::IndexMap;

use crate::descriptor::CellKind;
use crate::error::Report;
use crate::graph::{LABEL, ModelGraph, PromptNode, SCORES, ScoreProblem};
use crate::plan::{Form, PairConfig, Type};
use crate::problem::{Problem, problems};
use crate::source::SpannedString;
use crate::spec::{ModelSpec, PairNodeSpec, unknown};

problems! {
    /// What can be wrong with a scorer that compares two prompts.
    pub(crate) enum PairProblem {
        /// A scorer compares a prompt that has no vector of the whole.
        /// Example: `scorers: {fit: {between: [picture, words]}}`, where `words` has `tokens` only.
        /// Cure: Add `vector` to the prompt, with a module that makes one.
        #[error("scorer `{scorer}` compares vectors, but prompt `{prompt}` has no `vector`")]
        NoVector { scorer: String, prompt: String },
    }
}

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

/// Resolves the scorers of a model; `None` for one that is wrong.
pub(super) fn resolve_pairs(
    spec: &ModelSpec,
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> IndexMap<String, Option<PairConfig>> {
    let scorers = spec.scorers.iter();
    scorers
        .map(|(name, written)| {
            let plan = written.as_ref().and_then(|written| {
                let between = between(name, &written.between, prompts, report)?;
                Some(PairConfig { between, scale: written.scale })
            });
            (name.value.clone(), plan)
        })
        .collect()
}

/// Two prompts whose vectors have the same size.
fn between(
    scorer: &SpannedString,
    written: &[String],
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> Option<[String; 2]> {
    let [one, other] = written else {
        let what = format!("`between` of scorer `{}`", scorer.value);
        let wanted = "two prompts".into();
        report.error(scorer.span, Problem::WrongCount { what, wanted, found: written.len() });
        return None;
    };
    let mut size = |prompt: &String| {
        let Some(node) = prompts.get(prompt) else {
            let name = SpannedString::new(prompt.clone(), scorer.span);
            unknown("prompt", &name, prompts.keys().map(String::as_str), report);
            return None;
        };
        let vector = node.plan.as_ref()?.encoded().and_then(|encoded| encoded.vector);
        if vector.is_none() {
            let problem = PairProblem::NoVector { scorer: scorer.value.clone(), prompt: prompt.clone() };
            report.error(scorer.span, problem);
        }
        vector
    };
    let (first, second) = (size(one), size(other));
    let (first, second) = (first?, second?);
    if first != second {
        let one = format!("that of prompt `{one}` has {first} numbers");
        let other = format!("that of prompt `{other}` has {second}");
        report.error(scorer.span, Problem::Mismatch { what: "vectors", one, other });
        return None;
    }
    Some([one.clone(), other.clone()])
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
