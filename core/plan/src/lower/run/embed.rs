//! The steps of a node that makes a prompt.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::Steps;
use crate::descriptor::Role;
use crate::graph::{self, Act, Slot};
use crate::plan::{EncodedPrompt, Op, POOLED, PromptConfig, Type};

impl Steps<'_> {
    /// Makes those values of the node that something reads.
    pub(super) fn embed(&mut self, index: NodeIndex, node: String, prompt: String, from: String) -> Option<()> {
        let model = self.model;
        match model.prompts.get(&prompt)? {
            PromptConfig::Encoded(plan) => {
                let array = self.array(&node, &prompt, from, format!("{node}.array"), plan);
                if self.is_read(index, None, &node) {
                    self.encode(&node, &prompt, Role::Embed, &array, node.clone())?;
                }
                let vector = format!("{node}.{POOLED}");
                if self.is_read(index, Some(POOLED), &vector) {
                    self.encode(&node, &prompt, Role::Pool, &array, vector)?;
                }
            }
            PromptConfig::Joined(plan) => {
                let mut parts = Vec::new();
                for part in &plan.features {
                    let own = model.encoded(part)?;
                    let array = self.array(&node, part, from.clone(), format!("{node}.{part}.array"), own);
                    let [tokens, vector] = [format!("{node}.{part}"), format!("{node}.{part}.{POOLED}")];
                    self.encode(&node, part, Role::Embed, &array, tokens.clone())?;
                    if self.is_read(index, Some(POOLED), &vector) {
                        self.encode(&node, part, Role::Pool, &array, vector)?;
                    }
                    parts.push(tokens);
                }
                let kind = Type::tokens(&plan.modality, &prompt, plan.tokens.clone());
                self.push(&node, Op::Join { from: parts, to: node.clone() }, vec![(node.clone(), kind)]);
            }
            plan @ PromptConfig::Numbers(sizes) => {
                let kind = graph::embedding(&prompt, None, plan)?;
                let op = Op::ReadNumbers { numbers: sizes.numbers, from, to: node.clone() };
                self.push(&node, op, vec![(node.clone(), kind)]);
            }
        }
        Some(())
    }

    /// Reads the cells for a prompt; returns the value with their array.
    pub(super) fn array(&mut self, node: &str, prompt: &str, from: String, to: String, plan: &EncodedPrompt) -> String {
        let op = Op::ReadCells { stream: prompt.to_string(), from, to: to.clone() };
        self.push(node, op, vec![(to.clone(), plan.array.clone())]);
        to
    }

    /// Encodes an array to the tokens or the vector of a prompt.
    pub(super) fn encode(&mut self, node: &str, prompt: &str, role: Role, array: &str, to: String) -> Option<()> {
        let port = if role == Role::Pool { Some(POOLED) } else { None };
        let kind = graph::embedding(prompt, port, self.model.prompts.get(prompt)?)?;
        let op = Op::Module { stream: prompt.to_string(), role, from: array.to_string(), to: to.clone() };
        self.push(node, op, vec![(to, kind)]);
        Some(())
    }

    /// True if a diffusion reads the value, or an output or another node reads this port.
    fn is_read(&self, index: NodeIndex, port: Option<&str>, value: &str) -> bool {
        let graph = &self.pipeline.graph;
        let by_diffusion = graph.acts.iter().flatten().any(|act| match act {
            Act::Diffuse(diffusion) | Act::Score(diffusion, _) => {
                diffusion.streams.reads().any(|read| read.from == value)
            }
            _ => false,
        });
        let edges = graph.edges.edges_directed(index, Direction::Outgoing);
        let mut others =
            edges.filter(|edge| self.pipeline.live[edge.target().index()] && edge.weight().slot != Slot::Condition);
        by_diffusion || others.any(|edge| edge.weight().port.as_deref() == port)
    }
}
