//! Every code with its explanation.

use crate::check::{classes, cycle, guidance, inputs, late, stages, subsets, tables, tasks, types};
use crate::component::ComponentProblem;
use crate::graph::{
    AuxiliaryProblem, DiffusionProblem, NodeProblem, PartProblem, PortProblem, ReadsProblem, RoleProblem, ScoreProblem,
    ShapeProblem,
};
use crate::include::IncludeProblem;
use crate::infer::ParameterProblem;
use crate::lower::scorers::ScorerProblem;
use crate::lower::variants::VariantProblem;
use crate::overrides::OverrideProblem;
use crate::problem::{Caution, CodeEntry, Problem};
use crate::spec::{ActionProblem, TemplateProblem};

/// The codes of every type of problems. A type that is missing here is reported as dead code.
const CATALOGUE: [fn() -> Vec<CodeEntry>; 29] = [
    Problem::codes,
    Caution::codes,
    ActionProblem::codes,
    AuxiliaryProblem::codes,
    classes::ClassesProblem::codes,
    ComponentProblem::codes,
    cycle::CycleProblem::codes,
    DiffusionProblem::codes,
    guidance::GuidanceProblem::codes,
    IncludeProblem::codes,
    inputs::InputProblem::codes,
    late::LateProblem::codes,
    NodeProblem::codes,
    OverrideProblem::codes,
    ParameterProblem::codes,
    PartProblem::codes,
    PortProblem::codes,
    ReadsProblem::codes,
    RoleProblem::codes,
    ScoreProblem::codes,
    ScorerProblem::codes,
    ShapeProblem::codes,
    stages::StageProblem::codes,
    subsets::SubsetsProblem::codes,
    tables::TableProblem::codes,
    tasks::TaskProblem::codes,
    TemplateProblem::codes,
    types::TypeProblem::codes,
    VariantProblem::codes,
];

/// The codes of all errors and warnings with their explanations, as `anyflow explain CODE` prints them.
pub fn codes() -> Vec<CodeEntry> {
    CATALOGUE.iter().flat_map(|codes| codes()).collect()
}
