//! A pipeline and its model as two files that stand alone: overrides applied, included files written out.

use super::{FileKind, Trees, read_trees};
use crate::error::{Errors, Report};
use crate::include;
use crate::overrides::{self, Override};
use crate::problem::Problem;
use crate::source::{Source, SourceId, joined, with_includes};
use crate::yaml::{self, Content, Node};

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedFile {
    /// Its name. The pipeline names its model by this name.
    pub name: &'static str,
    /// Its YAML text.
    pub text: String,
}

const PIPELINE_FILE: &str = "pipeline.yaml";
const MODEL_FILE: &str = "model.yaml";

/// The files that plan the same run as `pipeline` with the overrides, wherever they are, as long as both are in one
/// folder. Pipelines that it uses stay where they are. `folder` is the absolute path of the working directory, to which the paths of the sources are relative.
///
/// # Errors
/// The errors of the files as far as they are read: syntax, included files, overrides.
pub fn resolved_files(
    pipeline: &Source,
    model: &Source,
    overrides: &[Override],
    folder: &str,
) -> Result<[ResolvedFile; 2], Errors> {
    let texts = overrides::sources(overrides);
    let named = [pipeline, model];
    let files = with_includes(&named);
    let sources: Vec<&Source> = files.iter().copied().chain(&texts).collect();
    let mut report = Report::default();
    let Trees { main, models } = read_trees(FileKind::Pipeline, &named, overrides, &files, &mut report);
    let trees = main.zip(models.into_iter().next().flatten());
    let written = trees.and_then(|(mut main, mut tree)| {
        include::with_words(&mut tree, &files, &mut report);
        change(&mut main, "model", |_| MODEL_FILE.to_string());
        if let Some(Content::Mapping(nodes)) = include::child(&mut main, "nodes") {
            let used = nodes.iter_mut().map(|entry| &mut entry.node);
            used.for_each(|node| change(node, "use", |path| joined(folder, &pipeline.beside(path))));
        }
        for tree in [&mut main, &mut tree] {
            include::each_file(tree, &mut |path, _| *path = joined(folder, path));
        }
        let weights = include::weights_of(&mut tree).into_iter();
        weights.for_each(|path| *path = joined(folder, &model.beside(path)));
        let pipeline = ResolvedFile { name: PIPELINE_FILE, text: text(&main, &mut report)? };
        Some([pipeline, ResolvedFile { name: MODEL_FILE, text: text(&tree, &mut report)? }])
    });
    report.finish(written, &sources, files.len()).map(|(written, _)| written)
}

/// The text of a pipeline with the overrides, which plans the same run from a file beside the pipeline's own.
///
/// # Errors
/// Invalid YAML; an override that does not fit the file.
pub fn changed_text(pipeline: &Source, overrides: &[Override]) -> Result<String, Errors> {
    let texts = overrides::sources(overrides);
    let sources: Vec<&Source> = [pipeline].into_iter().chain(&texts).collect();
    let mut report = Report::default();
    let written = yaml::parse(&pipeline.text, SourceId(0), &mut report).and_then(|mut root| {
        for (index, given) in overrides.iter().enumerate() {
            overrides::apply(given, SourceId(1 + index), &mut root, FileKind::Pipeline, &mut report);
        }
        text(&root, &mut report)
    });
    report.finish(written, &sources, 1).map(|(written, _)| written)
}

/// Changes the string of a key, if the mapping has it.
fn change(node: &mut Node, key: &str, new: impl FnOnce(&str) -> String) {
    if let Some(Content::String(text)) = include::child(node, key) {
        *text = new(text);
    }
}

fn text(node: &Node, report: &mut Report) -> Option<String> {
    let internal = |error: &dyn std::fmt::Display| Problem::Internal { text: format!("writing YAML: {error}") };
    serde_saphyr::to_string(&node.json()).map_err(|error| report.error(node.span, internal(&error))).ok()
}
