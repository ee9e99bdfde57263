//! A pipeline without some of its inputs: the same file, with everything removed that only reads them.

use anyflow_config::Guidance;

use crate::descriptor::Role;
use crate::error::Report;
use crate::include::{child, entry};
use crate::source::{Source, SourceId, SpannedString};
use crate::spec::{Action, CodeSpec, LoneNode, RolesSpec};
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
        let mut specs: Vec<LoneNode> = nodes.iter().map(LoneNode::read).collect();
        // The order of nodes is free, so a node may come before one that it reads.
        while let Some(index) = specs.iter().position(|spec| self.leaves(spec)) {
            specs.remove(index);
            self.gone.push(nodes.remove(index).key.value);
        }
        for (node, spec) in nodes.iter_mut().zip(&specs) {
            if !spec.reads.iter().any(|name| self.is_gone(name)) {
                continue;
            }
            let changed = match &spec.action {
                Some(Action::Diffuse(diffusion)) => self.diffuse(&diffusion.roles, &mut node.node),
                _ => None,
            };
            if changed.is_none() {
                return Err(InputNeeded::Node { node: node.key.value.clone(), inputs: self.inputs.to_vec() });
            }
        }
        Ok(())
    }

    fn outputs(&self, root: &mut Node) -> Result<(), InputNeeded> {
        retain(root, "outputs", |output| {
            let from = entry(&output.node, "from").map_or(&output.node, |from| &from.node);
            !matches!(&from.content, Content::String(from) if self.is_gone(from))
        });
        if mapping(root, "outputs").is_empty() {
            return Err(InputNeeded::Outputs { inputs: self.inputs.to_vec() });
        }
        Ok(())
    }

    /// True for a node that does nothing but encode or embed what is gone.
    fn leaves(&self, spec: &LoneNode) -> bool {
        let Some(Action::Code(CodeSpec { role: Role::Encode | Role::Embed, from: Some(from), .. })) = &spec.action
        else {
            return false;
        };
        self.is_gone(&from.value)
    }

    /// Changes a node that diffuses to one that reads nothing that is gone; `None` if it cannot do without.
    fn diffuse(&self, roles: &RolesSpec, node: &mut Node) -> Option<()> {
        let is_gone = |name: &SpannedString| self.is_gone(&name.value);
        let lacks_mask = roles.masked().any(|(observed, mask)| is_gone(mask) && !is_gone(&observed.from));
        if lacks_mask || roles.planes.iter().any(|plane| is_gone(&plane.from)) {
            return None;
        }
        let prompts = roles.condition.iter().map(|(tokens, _)| tokens).filter(|tokens| is_gone(tokens));
        let prompts: Vec<&str> = prompts.map(|tokens| tokens.value.as_str()).collect();
        if !prompts.is_empty() && !guides_by_conditions(roles) {
            return None;
        }
        let streams = roles.observe.iter().filter(|observed| is_gone(&observed.from));
        let streams: Vec<&str> = streams.map(|observed| observed.stream.value.as_str()).collect();
        let starts = roles.start.iter().filter(|(_, from)| is_gone(from));
        let starts: Vec<&str> = starts.map(|(stream, _)| stream.value.as_str()).collect();
        remove_from(node, "observe", &streams);
        remove_from(node, "condition", &prompts);
        remove_from(node, "start", &starts);
        let is_unobserved = streams.len() == roles.observe.len();
        if guides_by_conditions(roles) && is_unobserved && prompts.len() == roles.condition.len() {
            remove(node, "guidance");
        }
        self.guidance(roles, &[streams, prompts].concat(), node);
        if is_unobserved {
            remove(node, "given");
        }
        Some(())
    }

    /// Removes conditions from the guidance of a node, and the guidance with the last one that has a scale.
    fn guidance(&self, roles: &RolesSpec, conditions: &[&str], node: &mut Node) {
        let Content::Mapping(entries) = &mut node.content else { return };
        let written = entries.iter_mut().find(|entry| entry.key.value == "guidance");
        let (Some(spec), Some(Entry { node: guidance, .. })) = (&roles.guidance, written) else { return };
        let replaced = spec.instead.iter().filter(|instead| self.is_gone(&instead.by.value));
        let replaced: Vec<&str> = replaced.map(|instead| instead.condition.value.as_str()).collect();
        remove_from(guidance, "scale", conditions);
        remove_from(guidance, "instead", &[conditions, &replaced].concat());
        let is_left = |name: &SpannedString| !conditions.contains(&name.value.as_str());
        if !spec.conditions.is_empty() && !spec.conditions.iter().any(is_left) {
            remove(node, "guidance");
        }
    }

    /// True if a reference, `NODE` or `NODE.PORT`, names something that is gone.
    fn is_gone(&self, reference: &str) -> bool {
        self.gone.iter().any(|gone| reference.split('.').next() == Some(gone))
    }
}

/// True for guidance away from the prediction without conditions.
fn guides_by_conditions(roles: &RolesSpec) -> bool {
    roles.guidance.as_ref().is_some_and(|spec| matches!(spec.guidance, Guidance::Cfg(_)))
}

/// The entries of the mapping at a key; empty without such a mapping.
fn mapping<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    match entry(node, key).map(|entry| &entry.node.content) {
        Some(Content::Mapping(entries)) => entries,
        _ => &[],
    }
}

/// Removes entries of the mapping at a key, and the key with the last one.
fn remove_from(node: &mut Node, key: &str, names: &[&str]) {
    retain(node, key, |entry| !names.contains(&entry.key.value.as_str()));
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
outputs: {label: digit, seen: {from: seen, dtype: f16}}
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
        let joint = PIPELINE.replace("kind: cfg, scale: {x: 2.0, meant: 3.0}", "kind: joint");
        assert_eq!(without(&joint, &["words"]), needed("joint", &["words"]));
        let digit = |node: &str| PIPELINE.replace("{decode: label/d, from: joint.label}", node);
        let part = digit("{use: other.yaml, inputs: {photo: seen}}");
        assert_eq!(without(&part, &["x"]), needed("digit", &["x"]));
        let score = digit("{score: label, observe: {x: seen}, classes: words.txt}");
        assert_eq!(without(&score, &["x"]), needed("digit", &["x"]));
        let only = PIPELINE.replace("label: digit, ", "");
        assert_eq!(without(&only, &["x"]), Err(InputNeeded::Outputs { inputs: vec!["x".into()] }));
    }
}
