//! A pipeline without some of its inputs: the same file, with everything removed that only reads them.

use crate::error::Report;
use crate::include::{child, entry};
use crate::source::{Source, SourceId};
use crate::yaml::{self, Content, Entry, Node};

/// Inputs cannot be left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputNeeded {
    /// The user must name an input of the pipeline.
    #[error("the pipeline has no input `{input}` to leave out")]
    Unknown {
        /// The name.
        input: String,
    },
    /// The user must give the input.
    #[error("node `{node}` cannot do without {}", .inputs.join(", "))]
    Node {
        /// The node.
        node: String,
        /// The inputs that were to be left out.
        inputs: Vec<String>,
    },
    /// The user must give the input.
    #[error("no output would be left without {}", .inputs.join(", "))]
    Outputs {
        /// The inputs that were to be left out.
        inputs: Vec<String>,
    },
    /// The file cannot be read or written as YAML.
    #[error("the pipeline is not valid YAML")]
    Yaml,
}

/// A pipeline without some inputs. Nodes that encode or embed them leave with them. A stream that was observed from them is
/// sampled with the others, and a prompt is absent. A prompt can be absent where the node guides by it, since guidance
/// compares with the prediction without it.
///
/// # Errors
/// [`InputNeeded`]: a node or all outputs depend on the inputs.
pub fn without_inputs(pipeline: &Source, inputs: &[String]) -> Result<Source, InputNeeded> {
    let mut root = yaml::parse(&pipeline.text, SourceId(0), &mut Report::default()).ok_or(InputNeeded::Yaml)?;
    let mut left_out = LeftOut { inputs, gone: inputs.to_vec() };
    left_out.inputs(&mut root)?;
    left_out.nodes(&mut root)?;
    left_out.outputs(&mut root)?;
    let text = serde_saphyr::to_string(&root.json()).map_err(|_| InputNeeded::Yaml)?;
    Ok(Source { text, ..pipeline.clone() })
}

struct LeftOut<'a> {
    inputs: &'a [String],
    /// The inputs, and the nodes that left with them.
    gone: Vec<String>,
}

impl LeftOut<'_> {
    fn inputs(&self, root: &mut Node) -> Result<(), InputNeeded> {
        let known = mapping(root, "inputs");
        for input in self.inputs {
            if !known.iter().any(|entry| entry.key.value == *input) {
                return Err(InputNeeded::Unknown { input: input.clone() });
            }
        }
        retain(root, "inputs", |entry| !self.inputs.contains(&entry.key.value));
        Ok(())
    }

    fn nodes(&mut self, root: &mut Node) -> Result<(), InputNeeded> {
        let Some(Content::Mapping(nodes)) = child(root, "nodes") else { return Ok(()) };
        // The order of nodes is free, so a node may come before one that it reads.
        while let Some(index) = nodes.iter().position(|node| self.leaves(node)) {
            self.gone.push(nodes.remove(index).key.value);
        }
        for node in nodes.iter_mut() {
            if !reads(&node.node).into_iter().any(|name| self.is_gone(name)) {
                continue;
            }
            let is_diffusion = entry(&node.node, "diffuse").is_some();
            if !is_diffusion || self.diffuse(&mut node.node).is_none() {
                return Err(InputNeeded::Node { node: node.key.value.clone(), inputs: self.inputs.to_vec() });
            }
        }
        Ok(())
    }

    fn outputs(&self, root: &mut Node) -> Result<(), InputNeeded> {
        retain(root, "outputs", |entry| !matches!(&entry.node.content, Content::String(from) if self.is_gone(from)));
        if mapping(root, "outputs").is_empty() {
            return Err(InputNeeded::Outputs { inputs: self.inputs.to_vec() });
        }
        Ok(())
    }

    /// True for a node that does nothing but encode or embed what is gone.
    fn leaves(&self, node: &Entry) -> bool {
        let is_code = ["encode", "embed"].iter().any(|action| entry(&node.node, action).is_some());
        is_code && text(&node.node, "from").is_some_and(|from| self.is_gone(from))
    }

    /// Changes a node that diffuses to one that reads nothing that is gone; `None` if it cannot do without.
    fn diffuse(&self, node: &mut Node) -> Option<()> {
        let is_gone = |node: &Node| matches!(&node.content, Content::String(from) if self.is_gone(from));
        if mapping(node, "planes").iter().any(|plane| is_gone(&plane.node)) {
            return None;
        }
        let observed =
            |stream: &Entry| is_gone(&stream.node) || text(&stream.node, "from").is_some_and(|from| self.is_gone(from));
        let masked = |stream: &Entry| text(&stream.node, "mask").is_some_and(|mask| self.is_gone(mask));
        if mapping(node, "observe").iter().any(|stream| masked(stream) && !observed(stream)) {
            return None;
        }
        let mut conditions = names(node, "observe", observed);
        let prompts = names(node, "condition", |prompt| self.is_gone(&prompt.key.value));
        if !prompts.is_empty() && !guides_by_conditions(node) {
            return None;
        }
        conditions.extend(prompts);
        retain(node, "observe", |stream| !observed(stream));
        retain(node, "condition", |prompt| !self.is_gone(&prompt.key.value));
        retain(node, "start", |stream| !is_gone(&stream.node));
        self.guidance(node, &conditions);
        if mapping(node, "observe").is_empty() {
            remove(node, "given");
        }
        Some(())
    }

    /// Removes conditions from the guidance of a node, and the guidance with the last one.
    fn guidance(&self, node: &mut Node, conditions: &[String]) {
        let is_left = !mapping(node, "observe").is_empty() || !mapping(node, "condition").is_empty();
        if guides_by_conditions(node) && !is_left {
            return remove(node, "guidance");
        }
        let Content::Mapping(entries) = &mut node.content else { return };
        let Some(guidance) = entries.iter_mut().find(|entry| entry.key.value == "guidance") else { return };
        let is_kept = |entry: &Entry| {
            let by = matches!(&entry.node.content, Content::String(by) if self.is_gone(by));
            !by && !conditions.contains(&entry.key.value)
        };
        let had_scales = !mapping(&guidance.node, "scale").is_empty();
        retain(&mut guidance.node, "scale", is_kept);
        retain(&mut guidance.node, "instead", is_kept);
        if had_scales && mapping(&guidance.node, "scale").is_empty() {
            remove(node, "guidance");
        }
    }

    /// True if a reference, `NODE` or `NODE.PORT`, names something that is gone.
    fn is_gone(&self, reference: &str) -> bool {
        self.gone.iter().any(|gone| reference.split('.').next() == Some(gone))
    }
}

/// All references of a node.
fn reads(node: &Node) -> Vec<&str> {
    let mut found: Vec<&str> = ["from", "hide", "against"].iter().filter_map(|key| text(node, key)).collect();
    for entry in ["observe", "start", "planes", "inputs"].iter().flat_map(|key| mapping(node, key)) {
        match &entry.node.content {
            Content::String(from) => found.push(from),
            _ => found.extend(["from", "mask"].iter().filter_map(|key| text(&entry.node, key))),
        }
    }
    found.extend(mapping(node, "condition").iter().map(|prompt| prompt.key.value.as_str()));
    let guidance = entry(node, "guidance").map(|guidance| mapping(&guidance.node, "instead"));
    found.extend(guidance.into_iter().flatten().filter_map(|instead| match &instead.node.content {
        Content::String(by) => Some(by.as_str()),
        _ => None,
    }));
    found
}

/// True for guidance away from the prediction without conditions.
fn guides_by_conditions(node: &Node) -> bool {
    let guidance = entry(node, "guidance").map(|guidance| &guidance.node);
    guidance.is_some_and(|guidance| text(guidance, "kind").is_none_or(|kind| kind == "cfg"))
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match &entry(node, key)?.node.content {
        Content::String(text) => Some(text),
        _ => None,
    }
}

/// The entries of the mapping at a key; empty without such a mapping.
fn mapping<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    match entry(node, key).map(|entry| &entry.node.content) {
        Some(Content::Mapping(entries)) => entries,
        _ => &[],
    }
}

fn names(node: &Node, key: &str, is_wanted: impl Fn(&Entry) -> bool) -> Vec<String> {
    mapping(node, key).iter().filter(|entry| is_wanted(entry)).map(|entry| entry.key.value.clone()).collect()
}

/// Keeps some entries of the mapping at a key, and removes the key with the last one.
fn retain(node: &mut Node, key: &str, is_kept: impl Fn(&Entry) -> bool) {
    let Some(Content::Mapping(entries)) = child(node, key) else { return };
    entries.retain(is_kept);
    if entries.is_empty() {
        remove(node, key);
    }
}

fn remove(node: &mut Node, key: &str) {
    if let Content::Mapping(entries) = &mut node.content {
        entries.retain(|entry| entry.key.value != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINE: &str = "
anyflow: 1
name: p
model: model.yaml
inputs: {x: {modality: x}, sound: {modality: y}, words: {modality: text}}
nodes:
  joint:
    diffuse: [label]
    observe: {x: seen, y: heard}
    condition: {meant: 1.0}
    guidance: {kind: cfg, scale: {x: 2.0, meant: 3.0}}
  seen: {encode: x/a, from: x}
  heard: {encode: y/a, from: sound}
  meant: {embed: text/p, from: words}
  digit: {decode: label/d, from: joint.label}
outputs: {label: digit, seen: seen}
";

    fn without(text: &str, inputs: &[&str]) -> Result<serde_json::Value, InputNeeded> {
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let left = without_inputs(&Source::new("p.yaml", text), &inputs)?;
        Ok(yaml::parse(&left.text, SourceId(0), &mut Report::default()).unwrap().json())
    }

    #[test]
    fn what_only_reads_an_input_leaves_with_it() {
        let left = without(PIPELINE, &["x"]).unwrap();
        assert_eq!(left["inputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["sound", "words"]);
        assert!(left["nodes"].get("seen").is_none() && left["outputs"].get("seen").is_none());
        let joint = &left["nodes"]["joint"];
        assert_eq!(joint["observe"], serde_json::json!({"y": "heard"}));
        assert_eq!(joint["guidance"]["scale"], serde_json::json!({"meant": 3.0}));

        let left = without(PIPELINE, &["x", "words", "sound"]).unwrap();
        assert_eq!(left["nodes"]["joint"], serde_json::json!({"diffuse": ["label"]}));
        assert!(left.get("inputs").is_none());
    }

    #[test]
    fn a_node_that_cannot_do_without_is_named() {
        assert_eq!(without(PIPELINE, &["z"]), Err(InputNeeded::Unknown { input: "z".into() }));
        let needed = |node: &str, inputs: &[&str]| {
            let inputs = inputs.iter().map(ToString::to_string).collect();
            Err(InputNeeded::Node { node: node.into(), inputs })
        };
        let unguided = PIPELINE.replace("    guidance: {kind: cfg, scale: {x: 2.0, meant: 3.0}}\n", "");
        assert_eq!(without(&unguided, &["words"]), needed("joint", &["words"]));
        let read = PIPELINE.replace("from: joint.label", "from: seen");
        assert_eq!(without(&read, &["x"]), needed("digit", &["x"]));
        let masked = PIPELINE.replace("x: seen, y: heard", "x: {from: heard, mask: seen}");
        assert_eq!(without(&masked, &["x"]), needed("joint", &["x"]));
        let only = PIPELINE.replace("label: digit, ", "");
        assert_eq!(without(&only, &["x"]), Err(InputNeeded::Outputs { inputs: vec!["x".into()] }));
    }
}
