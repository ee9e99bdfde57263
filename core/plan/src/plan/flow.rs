//! What flows between the steps of a run.

use super::Op;

impl Op {
    /// The values that a step reads.
    pub(crate) fn reads(&self) -> Vec<&str> {
        match self {
            Op::ReadCells { from, .. }
            | Op::WriteCells { from, .. }
            | Op::ReadNumbers { from, .. }
            | Op::WriteNumbers { from, .. }
            | Op::Judge { from, .. }
            | Op::Module { from, .. } => vec![from],
            Op::Hide { from, mask, .. } => vec![from, mask],
            Op::Compare { from, against, .. } => std::iter::once(from).chain(against).map(String::as_str).collect(),
            Op::Join { from, .. } => from.iter().map(String::as_str).collect(),
            Op::Diffuse { diffusion, .. } | Op::Score { diffusion, .. } => diffusion.reads().collect(),
        }
    }

    /// The values that a step makes.
    pub(crate) fn makes(&self) -> Vec<&str> {
        match self {
            Op::ReadCells { to, .. }
            | Op::WriteCells { to, .. }
            | Op::ReadNumbers { to, .. }
            | Op::WriteNumbers { to, .. }
            | Op::Hide { to, .. }
            | Op::Join { to, .. }
            | Op::Module { to, .. } => vec![to],
            Op::Diffuse { to, .. } => to.values().map(String::as_str).collect(),
            Op::Score { label, scores, .. } | Op::Compare { label, scores, .. } => {
                label.iter().chain(scores).map(String::as_str).collect()
            }
            Op::Judge { label, scores, features, .. } => {
                label.iter().chain(scores).chain(features).map(String::as_str).collect()
            }
        }
    }
}
