//! The steps of a node that compares two prompts.

use petgraph::graph::NodeIndex;

use super::Steps;
use crate::descriptor::Role;
use crate::graph::{LABEL, PairNode, SCORE, SCORES, Slot};
use crate::plan::Op;

impl Steps<'_> {
    /// Makes the vector of each side, and compares them.
    pub(super) fn compare(&mut self, index: NodeIndex, node: String, pair: PairNode) -> Option<()> {
        let [first, second] = &pair.between;
        let from = self.read(index, &Slot::From)?;
        let from = self.vector(&node, first, from, "from")?;
        let against = match pair.classes.is_empty() {
            true => {
                let against = self.read(index, &Slot::Against)?;
                Some(self.vector(&node, second, against, "against")?)
            }
            false => None,
        };
        let read = self.pipeline.read_ports(index);
        let port = |port: &str| read.iter().any(|read| read == port).then(|| format!("{node}.{port}"));
        let scores = if pair.classes.is_empty() { SCORE } else { SCORES };
        let [label, written] = [LABEL, scores].map(port);
        let modality = &self.model.encoded(second)?.modality;
        let made = [(&label, LABEL), (&written, scores)].into_iter();
        let made = made.filter_map(|(id, port)| Some((id.clone()?, PairNode::type_of_port(port, modality)))).collect();
        let PairNode { scorer, classes, .. } = pair;
        self.push(&node, Op::Compare { scorer, from, against, classes, label, scores: written }, made);
        Some(())
    }

    /// The vector of a prompt.
    fn vector(&mut self, node: &str, prompt: &str, from: String, side: &str) -> Option<String> {
        let plan = self.model.encoded(prompt)?;
        let array = self.array(node, prompt, from, format!("{node}.{side}.array"), plan);
        let to = format!("{node}.{side}");
        self.encode(node, prompt, Role::Pool, &array, to.clone())?;
        Some(to)
    }
}
