//! The files of pipelines that use each other.

use std::cell::Cell;

use super::SubgraphProblem;
use crate::compile::FileKind;
use crate::error::Report;
use crate::include::{self, IncludeProblem, entry};
use crate::problem::Problem;
use crate::source::{Source, SourceId, SpannedString, normalized};
use crate::yaml::{self, Content, Node};

/// Maximum number of pipelines that a pipeline uses, those included that they use in turn.
const MOST_USES: usize = 1000;

/// The files of a compilation, and the way down to the pipeline that is read.
#[derive(Clone, Copy)]
pub(in super::super) struct Files<'a> {
    /// The pipeline itself, its model, and all that they include.
    pub(super) all: &'a [&'a Source],
    /// The pipelines that use each other, down to the one that is read.
    pub(super) chain: &'a [SourceId],
    /// Number of pipelines used so far.
    pub(super) uses: &'a Cell<usize>,
}

impl<'a> Files<'a> {
    /// The files of the first pipeline; `uses` starts at 0.
    pub fn new(all: &'a [&'a Source], uses: &'a Cell<usize>) -> Self {
        Files { all, chain: &[SourceId(0)], uses }
    }

    /// A path relative to the file that it is written in.
    pub fn beside(&self, path: &SpannedString) -> String {
        // A value of the command line is relative to the pipeline that it changes.
        let last = || self.all.get(self.chain.last()?.0);
        let owner = self.all.get(path.span.source.0).or_else(last);
        owner.map_or_else(|| path.value.clone(), |owner| owner.beside(&path.value))
    }

    /// The file that a node uses.
    pub(super) fn find(&self, path: &SpannedString, report: &mut Report) -> Option<SourceId> {
        let wanted = normalized(&self.beside(path));
        let is_wanted = |id: &SourceId| self.all.get(id.0).is_some_and(|source| normalized(&source.path) == wanted);
        self.uses.set(self.uses.get() + 1);
        if let Some(start) = self.chain.iter().position(is_wanted) {
            let files = self.chain[start..].iter().filter_map(|id| Some(self.all.get(id.0)?.path.clone()));
            report.error(path.span, SubgraphProblem::UseCycle { files: files.chain([wanted]).collect() });
            return None;
        }
        if self.uses.get() > MOST_USES {
            let what = "the number of pipelines that a pipeline uses".into();
            let bound = format!("at most {MOST_USES}");
            report.error(path.span, Problem::OutOfBounds { what, value: "more".into(), bound });
            return None;
        }
        let found = (0..self.all.len()).map(SourceId).find(is_wanted);
        if found.is_none() {
            report.error(path.span, IncludeProblem::NotRead { what: "pipeline", path: wanted });
        }
        found
    }

    /// The tree of a pipeline.
    pub(super) fn tree(&self, id: SourceId, path: &SpannedString, report: &mut Report) -> Option<Node> {
        let mut root = yaml::parse(&self.all.get(id.0)?.text, id, report)?;
        match FileKind::of(&root) {
            Some(FileKind::Pipeline) => {}
            other => {
                let kind = other.map_or("file of another kind", FileKind::name);
                let found = format!("{} is a {kind}", path.value);
                report.error(path.span, Problem::WrongFile { expected: "pipeline".into(), found });
                return None;
            }
        }
        include::with_words(&mut root, self.all, report);
        self.compare_models(&root, id, report);
        Some(root)
    }

    /// Warns if the pipeline names another model than the one that it runs on, which is the file after the first.
    fn compare_models(&self, root: &Node, id: SourceId, report: &mut Report) {
        let Some(own) = entry(root, "model") else { return };
        let (Some(source), Some(model), Content::String(path)) =
            (self.all.get(id.0), self.all.get(1), &own.node.content)
        else {
            return;
        };
        if normalized(&source.beside(path)) != normalized(&model.path) {
            report.warning(own.node.span, SubgraphProblem::ModelOfPart { model: model.path.clone() });
        }
    }
}
