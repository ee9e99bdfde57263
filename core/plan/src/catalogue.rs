//! Every code with its explanation.

use crate::check::{RULES, inputs::InputProblem};
use crate::component::ComponentProblem;
use crate::graph::{
    AuxiliaryProblem, ConditionProblem, DiffusionProblem, NodeProblem, PairProblem, PortProblem, PromptProblem,
    ReferenceProblem, RoleProblem, ScoreProblem, ScorerProblem, StageProblem, SubsetsProblem, TableProblem,
    TaskProblem, VariantProblem,
};
use crate::include::IncludeProblem;
use crate::infer::ParameterProblem;
use crate::overrides::OverrideProblem;
use crate::problem::{CodeEntry, Problem};
use crate::spec::{ActionProblem, ColumnProblem, SubgraphProblem, TemplateProblem};

/// The codes of every type of problems that is not a rule's own. A type that is missing here is reported as dead code.
const CATALOGUE: &[fn() -> Vec<CodeEntry>] = &[
    Problem::codes,
    ActionProblem::codes,
    AuxiliaryProblem::codes,
    ColumnProblem::codes,
    ComponentProblem::codes,
    ConditionProblem::codes,
    DiffusionProblem::codes,
    IncludeProblem::codes,
    InputProblem::codes,
    NodeProblem::codes,
    OverrideProblem::codes,
    PairProblem::codes,
    ParameterProblem::codes,
    PortProblem::codes,
    PromptProblem::codes,
    ReferenceProblem::codes,
    RoleProblem::codes,
    ScoreProblem::codes,
    ScorerProblem::codes,
    StageProblem::codes,
    SubgraphProblem::codes,
    SubsetsProblem::codes,
    TableProblem::codes,
    TaskProblem::codes,
    TemplateProblem::codes,
    VariantProblem::codes,
];

/// The codes of all errors and warnings with their explanations, as `anyflow explain CODE` prints them.
pub fn codes() -> Vec<CodeEntry> {
    let shared = CATALOGUE.iter().flat_map(|codes| codes());
    shared.chain(RULES.iter().flat_map(|rule| rule.codes())).collect()
}
