//! Shape inference: sizes that descriptors leave to parameters are found by unification.
//!
//! Every axis size is a term: a number, or a parameter of one of the components. Ports that meet are unified axis by
//! axis; what is still free then takes its default, codecs before modules, so that a module follows its codec.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::component::Placed;
use crate::descriptor::{AxisSize, PortDescriptor};
use crate::error::{Links, Report};
use crate::plan::{Component, Form, Type};
use crate::problem::Problem;
use crate::property;
use crate::source::Span;

/// One end of an equation: a port of a component, or a shape that was written.
pub(crate) struct End<'p> {
    /// How messages call it.
    pub text: String,
    /// What is underlined.
    pub span: Span,
    dtype: Option<&'p str>,
    range: Option<[f64; 2]>,
    /// Axis names, for messages, and terms.
    axes: Vec<(String, Term)>,
}

type Term = usize;

/// Terms that are known to be equal share a root; the root has their value.
#[derive(Default)]
pub(crate) struct Solver {
    parents: Vec<Term>,
    values: Vec<Option<i64>>,
    /// Where the value was written, if it was.
    origins: Vec<Option<Span>>,
    parameters: IndexMap<(String, String), Term>,
}

impl Solver {
    /// A port of a component. `key` tells the components of one inference apart.
    pub fn port<'p>(&mut self, key: &str, placed: &Placed, port: &'p PortDescriptor, text: &str) -> End<'p> {
        let axes = port.axes.iter().map(|axis| (axis.name.clone(), self.size(key, placed, &axis.size))).collect();
        End {
            text: format!("{text} of {}", placed.label()),
            span: placed.component.span,
            dtype: Some(&port.dtype),
            range: port.range,
            axes,
        }
    }

    /// A shape that is written or already known.
    pub fn shape(&mut self, text: &str, span: Span, sizes: &[i64]) -> End<'static> {
        let axes = sizes.iter().enumerate();
        let axes = axes.map(|(index, size)| (index.to_string(), self.term(Some(*size), Some(span)))).collect();
        End { text: text.to_string(), span, dtype: None, range: None, axes }
    }

    /// An array whose type is known.
    pub fn array<'p>(&mut self, text: &str, span: Span, kind: &'p Type) -> Option<End<'p>> {
        let Form::Array { dtype, axes, shape, range } = &kind.form else { return None };
        let axes = axes.iter().zip(shape).map(|(name, size)| (name.clone(), self.term(Some(*size), None)));
        Some(End { axes: axes.collect(), dtype: Some(dtype), range: *range, text: text.to_string(), span })
    }

    fn size(&mut self, key: &str, placed: &Placed, size: &AxisSize) -> Term {
        let name = match size {
            AxisSize::Fixed(size) => return self.term(Some(*size), None),
            AxisSize::Parameter(name) => name,
        };
        let known = (key.to_string(), name.clone());
        if let Some(term) = self.parameters.get(&known) {
            return *term;
        }
        let (value, origin) = given(placed, name);
        let term = self.term(value, origin);
        self.parameters.insert(known, term);
        term
    }

    fn term(&mut self, value: Option<i64>, origin: Option<Span>) -> Term {
        self.parents.push(self.parents.len());
        self.values.push(value);
        self.origins.push(origin);
        self.parents.len() - 1
    }

    fn root(&self, mut term: Term) -> Term {
        while self.parents[term] != term {
            term = self.parents[term];
        }
        term
    }

    fn value(&self, term: Term) -> Option<i64> {
        self.values[self.root(term)]
    }

    /// Makes two ends equal; says so where they cannot be.
    pub fn unify(&mut self, one: &End, other: &End, report: &mut Report) {
        if let Some((a, b)) = one.dtype.zip(other.dtype).filter(|(a, b)| a != b) {
            let texts = [format!("{} is {a}", one.text), format!("{} is {b}", other.text)];
            return mismatch("dtypes", texts, one, other, report);
        }
        if let Some((a, b)) = one.range.zip(other.range).filter(|(a, b)| a != b) {
            let texts = [format!("{} lies in {a:?}", one.text), format!("{} in {b:?}", other.text)];
            return mismatch("ranges", texts, one, other, report);
        }
        if one.axes.len() != other.axes.len() {
            return mismatch("shapes", [self.axes(one), self.axes(other)], one, other, report);
        }
        for (a, b) in one.axes.iter().zip(&other.axes) {
            self.unify_axis(one, a, other, b, report);
        }
    }

    fn unify_axis(&mut self, one: &End, a: &(String, Term), other: &End, b: &(String, Term), report: &mut Report) {
        let (root_a, root_b) = (self.root(a.1), self.root(b.1));
        match (self.values[root_a], self.values[root_b]) {
            (Some(x), Some(y)) if x != y => {
                let links = [root_a, root_b].into_iter().filter_map(|root| {
                    Some((self.origins[root]?, format!("{} is given here", self.values[root]?)))
                });
                let problem = Problem::Mismatch {
                    what: "shapes",
                    one: format!("{} has {} = {x}", one.text, axis(&a.0)),
                    other: format!("{} has {} = {y}", other.text, axis(&b.0)),
                };
                report.linked(other.span, problem, links.collect());
            }
            (Some(_), None) => self.parents[root_b] = root_a,
            _ => self.parents[root_a] = root_b,
        }
    }

    fn axes(&self, end: &End) -> String {
        let axes: Vec<String> = end
            .axes
            .iter()
            .map(|(name, term)| {
                let size = self.value(*term).map_or("?".into(), |size| size.to_string());
                if name.starts_with(|c: char| c.is_ascii_digit()) { size } else { format!("{name} {size}") }
            })
            .collect();
        format!("{} has axes [{}]", end.text, axes.join(", "))
    }

    /// Gives the free parameters of a component their defaults.
    pub fn settle(&mut self, key: &str, placed: &Placed) {
        for (name, schema) in placed.schema {
            let Some(term) = self.parameters.get(&(key.to_string(), name.clone())) else { continue };
            let root = self.root(*term);
            if self.values[root].is_none() {
                self.values[root] = property::default(schema).and_then(|value| value.as_i64());
            }
        }
    }

    /// The sizes of an end, when all are known.
    pub fn sizes(&self, end: &End) -> Option<Vec<i64>> {
        end.axes.iter().map(|(_, term)| self.value(*term)).collect()
    }

    /// All parameters of a component: written, inferred, or by default.
    pub fn component(&self, key: &str, placed: &Placed, report: &mut Report) -> Component {
        let mut parameters = Map::new();
        for (name, schema) in placed.schema {
            let inferred = self.parameters.get(&(key.to_string(), name.clone())).and_then(|term| self.value(*term));
            let written = placed.written.get(name).map(|(value, _)| value.clone());
            let plain = schema.get("type").and_then(Json::as_str) != Some("array");
            let value = written.or(inferred.filter(|_| plain).map(Json::from)).or_else(|| property::default(schema));
            match value {
                Some(value) => {
                    in_bounds(name, schema, &value, placed, report);
                    parameters.insert(name.clone(), value);
                }
                None => {
                    let (component, parameter) = (placed.component.value.clone(), name.clone());
                    report.error(placed.component.span, Problem::MissingParameter { component, parameter });
                }
            }
        }
        let (plugin, id, library) = (placed.plugin.clone(), placed.id.clone(), placed.library.clone());
        Component { plugin, id, library, parameters: Json::Object(parameters) }
    }
}

/// What is given for a parameter at once: a written value, or the length of a list that nothing else can give.
fn given(placed: &Placed, name: &str) -> (Option<i64>, Option<Span>) {
    let size = |value: &Json| value.as_array().map(|list| list.len() as i64).or_else(|| value.as_i64());
    match placed.written.get(name) {
        Some((value, span)) => (size(value), Some(*span)),
        None => {
            let default = placed.schema.get(name).and_then(property::default);
            (default.filter(Json::is_array).as_ref().and_then(size), None)
        }
    }
}

fn in_bounds(name: &str, schema: &Json, value: &Json, placed: &Placed, report: &mut Report) {
    if placed.written.contains_key(name) {
        return;
    }
    if let Some(bound) = property::broken_bound(schema, value) {
        let what = format!("`{name}` of {}, which follows from the shapes,", placed.label());
        report.error(placed.component.span, Problem::OutOfBounds { what, value: value.to_string(), bound });
    }
}

fn axis(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("axis {name}") } else { format!("axis `{name}`") }
}

fn mismatch(what: &'static str, texts: [String; 2], one: &End, other: &End, report: &mut Report) {
    let [text, text_other] = texts;
    let links: Links = vec![(one.span, "the other end".into())];
    report.linked(other.span, Problem::Mismatch { what, one: text, other: text_other }, links);
}
