//! Files that another file includes: the model that a model starts from, pipelines that a pipeline uses, and word lists.
//!
//! A model with `from: ../model.yaml` is that model with changes. A list of words (`classes`, or a parameter of a
//! codec or module) may be the name of a `.txt` file with one entry per line.

use crate::compile::FileKind;
use crate::error::Report;
use crate::keymap::is_file;
use crate::plan::FILES;
use crate::problem::{Problem, problems};
use crate::source::{Source, SourceId, Span, joined, normalized};
use crate::surface;
use crate::yaml::{self, Content, Entry, Node};

problems! {
    /// What can be wrong with a file that another one includes.
    pub(crate) enum IncludeProblem {
        /// A value from the command line names a file to include. Only files that other files name are read.
        /// Example: `--set model.streams.label.codec.classes=words.txt`, where no file names `words.txt`.
        /// Cure: Write the name into the file.
        #[error("{what} `{path}` was not read; write its name into the file")]
        NotRead { what: &'static str, path: String },
        /// A model starts from a model that starts from another one, or from itself.
        /// Example: `from: b.yaml` in `a.yaml`, where `b.yaml` has a `from` as well.
        /// Cure: Name a model without `from`.
        #[error("`from` of {path} names {base}, which has a `from` itself; name a model without one")]
        ChainedFrom { path: String, base: String },
    }
}

/// The key that names the model to start from.
const FROM: &str = "from";
/// The key that names the pipeline that a node uses, or a component.
const USE: &str = "use";
/// Extension of a word list.
const WORDS: &str = ".txt";

/// The files that a file includes, joined to its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Includes {
    /// The model that it starts from.
    pub base: Option<String>,
    /// Word lists, each once.
    pub words: Vec<String>,
    /// Pipelines that its nodes use, each once, without `.` and `..`.
    pub pipelines: Vec<String>,
}

/// The files to read into [`Source::includes`]. Empty if the text is not YAML; compiling it reports that.
pub fn includes(source: &Source) -> Includes {
    let mut found = Includes::default();
    let Some(mut root) = yaml::parse(&source.text, SourceId(0), &mut Report::default()) else { return found };
    if FileKind::of(&root) == Some(FileKind::Model)
        && let Some(entry) = entry(&root, FROM)
        && let Content::String(path) = &entry.node.content
    {
        found.base = Some(source.beside(path));
    }
    for path in used_pipelines(&root).map(|path| normalized(&source.beside(path))) {
        if !found.pipelines.contains(&path) {
            found.pipelines.push(path);
        }
    }
    each_word_list(&mut root, &mut |node| {
        if let Content::String(name) = &node.content
            && !found.words.contains(&source.beside(name))
        {
            found.words.push(source.beside(name));
        }
    });
    found
}

/// The pipelines that the nodes of a pipeline use, as written.
fn used_pipelines(root: &Node) -> impl Iterator<Item = &str> {
    let nodes = entry(root, "nodes").map(|entry| &entry.node.content);
    let nodes = nodes.into_iter().flat_map(|content| match content {
        Content::Mapping(nodes) => nodes.as_slice(),
        _ => &[],
    });
    nodes.filter_map(|node| match &entry(&node.node, USE)?.node.content {
        Content::String(path) => Some(path.as_str()),
        _ => None,
    })
}

/// Merges a model into the model that it starts from. `id` is its index among the files.
pub(crate) fn inherited(mut root: Node, id: SourceId, files: &[&Source], report: &mut Report) -> Option<Node> {
    let Some(from) = entry(&root, FROM) else { return Some(root) };
    let path = surface::text(&from.node, "`from` of the model", report)?;
    let source = files.get(id.0)?;
    let base = source.beside(&path.value);
    let Some(index) = files.iter().position(|file| file.path == base) else {
        report.error(path.span, IncludeProblem::NotRead { what: "model", path: base });
        return None;
    };
    let mut tree = yaml::parse(&files[index].text, SourceId(index), report)?;
    if let Some(again) = entry(&tree, FROM) {
        let problem = IncludeProblem::ChainedFrom { path: source.path.clone(), base };
        report.error_with(path.span, problem, again.key.span, "its own `from`");
        return None;
    }
    if FileKind::of(&tree) != Some(FileKind::Model) {
        let found = format!("`from` names {base}, which has no `streams`");
        report.error(path.span, Problem::WrongFile { expected: FileKind::Model.name().into(), found });
        return None;
    }
    // A path in the other file is relative to that file.
    if let Some(folder) = path.value.rfind('/').map(|slash| &path.value[..slash]) {
        weights_of(&mut tree).into_iter().for_each(|file| *file = joined(folder, file));
    }
    if let Content::Mapping(entries) = &mut root.content {
        entries.retain(|entry| entry.key.value != FROM);
    }
    Some(merged(tree, root))
}

/// The files that `checkpoint` of a model names: itself, or `from` and `map` of each part.
pub(crate) fn weights_of(model: &mut Node) -> Vec<&mut String> {
    match child(model, "checkpoint") {
        Some(Content::String(file)) => vec![file],
        Some(Content::Mapping(parts)) => parts.iter_mut().flat_map(|part| files_of(&mut part.node)).collect(),
        _ => Vec::new(),
    }
}

/// The files that a part names; a built-in key map is none.
fn files_of(part: &mut Node) -> Vec<&mut String> {
    let Content::Mapping(entries) = &mut part.content else { return Vec::new() };
    let files = entries.iter_mut().filter_map(|entry| match (entry.key.value.as_str(), &mut entry.node.content) {
        ("from", Content::String(file)) => Some(file),
        ("map", Content::String(map)) if is_file(map) => Some(map),
        _ => None,
    });
    files.collect()
}

/// The value of a key, if the node is a mapping that has it.
pub(crate) fn child<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Content> {
    let Content::Mapping(entries) = &mut node.content else { return None };
    entries.iter_mut().find(|entry| entry.key.value == key).map(|entry| &mut entry.node.content)
}

/// Merges `change` into `base`: mappings key by key, where `null` removes a key. A mapping with another `kind` or `use`
/// and all other values are replaced.
pub(crate) fn merged(base: Node, change: Node) -> Node {
    let span = change.span;
    let (Content::Mapping(mut entries), Content::Mapping(changes)) = (base.content, change.content.clone()) else {
        return change;
    };
    for changed in changes {
        let index = entries.iter().position(|entry| entry.key.value == changed.key.value);
        let Some(index) = index else {
            entries.push(changed);
            continue;
        };
        if changed.node.content == Content::Null {
            entries.remove(index);
            continue;
        }
        let known = entries[index].node.clone();
        let node = if replaces(&known, &changed.node) { changed.node } else { merged(known, changed.node) };
        entries[index] = Entry { key: changed.key, node };
    }
    Node { span, content: Content::Mapping(entries) }
}

/// True if the keys of `known` belong to another kind or component than those of `change`.
pub(crate) fn replaces(known: &Node, change: &Node) -> bool {
    ["kind", USE].iter().any(|key| {
        let old = entry(known, key);
        let new = entry(change, key);
        new.is_some_and(|new| old.is_none_or(|old| old.node.json() != new.node.json()))
    })
}

/// Joins the files and folders that components name to the folder of the file that names them, and replaces the names
/// of word lists by their lines.
pub(crate) fn with_words(root: &mut Node, files: &[&Source], report: &mut Report) {
    // A value of the command line is relative to the file that it changes.
    let owner = |span: Span| files.get(span.source.0).or(files.first());
    each_file(root, &mut |path, span| {
        if let Some(owner) = owner(span) {
            *path = owner.beside(path);
        }
    });
    each_word_list(root, &mut |node| {
        let Content::String(name) = &node.content else { return };
        let Some(owner) = owner(node.span) else { return };
        let path = owner.beside(name);
        match files.iter().position(|file| file.path == path) {
            Some(index) => node.content = Content::List(lines(&files[index].text, SourceId(index))),
            None => {
                report.error(node.span, IncludeProblem::NotRead { what: "word list", path });
            }
        }
    });
}

fn lines(text: &str, source: SourceId) -> Vec<Node> {
    let mut start = 0;
    let line = |whole: &str| {
        let text = whole.trim_end_matches('\n').trim_end_matches('\r');
        let span = Span { source, start, end: start + text.len() };
        start += whole.len();
        Node { span, content: Content::String(text.to_string()) }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Calls `act` with each value that names a word list.
fn each_word_list(node: &mut Node, act: &mut impl FnMut(&mut Node)) {
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| each_word_list(item, act)),
        Content::Mapping(entries) => {
            let is_component = entries.iter().any(|entry| entry.key.value == USE);
            for Entry { key, node } in entries {
                let is_plain = ![USE, FILES].contains(&key.value.as_str());
                let wants_words = key.value == "classes" || (is_component && is_plain);
                match &node.content {
                    Content::String(name) if wants_words && name.ends_with(WORDS) => act(node),
                    _ => each_word_list(node, act),
                }
            }
        }
        _ => {}
    }
}

/// Calls `act` with each path of a file or folder that a component names.
pub(crate) fn each_file(node: &mut Node, act: &mut impl FnMut(&mut String, Span)) {
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| each_file(item, act)),
        Content::Mapping(entries) => {
            let is_component = entries.iter().any(|entry| entry.key.value == USE);
            for Entry { key, node } in entries {
                let span = node.span;
                match &mut node.content {
                    Content::String(path) if is_component && key.value == FILES => act(path, span),
                    _ => each_file(node, act),
                }
            }
        }
        _ => {}
    }
}

/// The entry of a key, if the node is a mapping that has it.
pub(crate) fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    let Content::Mapping(entries) = &node.content else { return None };
    entries.iter().find(|entry| entry.key.value == key)
}
