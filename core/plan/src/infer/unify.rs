//! Unifies two ends.

use crate::error::Report;
use crate::infer::{Axis, End, Solver};
use crate::problem::Problem;

impl Solver {
    /// Makes two ends equal; reports a mismatch.
    pub fn unify(&mut self, one: &End, other: &End, report: &mut Report) {
        if let Some((a, b)) = one.dtype.zip(other.dtype).filter(|(a, b)| a != b) {
            let texts = [format!("{} is {a}", one.text), format!("{} is {b}", other.text)];
            self.mismatch("dtypes", texts, one, other, report);
        }
        if let Some((a, b)) = one.range.zip(other.range).filter(|(a, b)| a != b) {
            let texts = [format!("{} has range {a:?}", one.text), format!("{} has range {b:?}", other.text)];
            self.mismatch("ranges", texts, one, other, report);
        }
        if one.axes.len() != other.axes.len() {
            let texts = [self.axes(one), self.axes(other)];
            return self.mismatch("shapes", texts, one, other, report);
        }
        for (a, b) in one.axes.iter().zip(&other.axes) {
            self.unify_axis(one, a, other, b, report);
        }
    }

    fn unify_axis(&mut self, one: &End, a: &Axis, other: &End, b: &Axis, report: &mut Report) {
        let root_a = self.root(a.size);
        let root_b = self.root(b.size);
        match (self.values[root_a], self.values[root_b]) {
            (Some(x), Some(y)) if x != y => {
                if !self.first(one, other, format!("{} {x} {y}", a.name)) {
                    return;
                }
                let links = [root_a, root_b]
                    .into_iter()
                    .filter_map(|root| Some((self.origins[root]?, format!("{} is given here", self.values[root]?))));
                let problem = Problem::Mismatch {
                    what: "shapes",
                    one: format!("{} has {} = {x}", one.text, label(&a.name)),
                    other: format!("{} has {} = {y}", other.text, label(&b.name)),
                };
                report.linked(other.span, problem, links.collect());
            }
            (Some(_), None) => self.parents[root_b] = root_a,
            _ => self.parents[root_a] = root_b,
        }
    }

    /// True if a mismatch between two ends was not reported before.
    fn first(&mut self, one: &End, other: &End, detail: String) -> bool {
        self.broken = true;
        let key = (one.span, other.span, detail);
        let first = !self.said.contains(&key);
        if first {
            self.said.push(key);
        }
        first
    }

    fn mismatch(&mut self, what: &'static str, texts: [String; 2], one: &End, other: &End, report: &mut Report) {
        if self.first(one, other, what.to_string()) {
            let [text, text_other] = texts;
            let problem = Problem::Mismatch { what, one: text, other: text_other };
            report.error_with(other.span, problem, one.span, "the other end");
        }
    }

    fn axes(&self, end: &End) -> String {
        let axes: Vec<String> = end
            .axes
            .iter()
            .map(|Axis { name, size }| {
                let size = self.value(*size).map_or("?".into(), |size| size.to_string());
                if name.starts_with(|c: char| c.is_ascii_digit()) { size } else { format!("{name} {size}") }
            })
            .collect();
        format!("{} has axes [{}]", end.text, axes.join(", "))
    }
}

fn label(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("axis {name}") } else { format!("axis `{name}`") }
}
