//! Shape inference: finds the sizes that descriptors leave to parameters, by unification.
//!
//! Every axis size is a term: a number, or a parameter of a component. Connected ports are unified axis by axis. Then free
//! parameters take their defaults, first those of codecs, so that a module follows its codec.

mod parameters;
mod unify;

pub(crate) use parameters::ParameterProblem;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::component::Placed;
use crate::descriptor::{AxisSize, PortDescriptor};
use crate::plan::{Form, Type};
use crate::property;
use crate::source::Span;

/// Key of the codec in an inference.
pub(crate) const CODEC: &str = "codec";
/// Key of the module in an inference.
pub(crate) const MODULE: &str = "module";

/// One end of an equation: a port of a component, or a written shape.
pub(crate) struct End<'p> {
    /// The name in messages.
    pub text: String,
    /// The text to underline.
    pub span: Span,
    dtype: Option<&'p str>,
    range: Option<[f64; 2]>,
    axes: Vec<Axis>,
}

/// An axis of an end.
struct Axis {
    /// For messages.
    name: String,
    size: Term,
}

type Term = usize;

/// Equal terms share a root; the root has their value.
#[derive(Default)]
pub(crate) struct Solver {
    parents: Vec<Term>,
    values: Vec<Option<i64>>,
    /// The position of the value, if it was written.
    origins: Vec<Option<Span>>,
    parameters: IndexMap<(String, String), Term>,
    /// Reported mismatches, without the port: several ports of one component often mismatch together.
    said: Vec<(Span, Span, String)>,
    /// There was a mismatch, so free parameters cause no further errors.
    broken: bool,
}

impl Solver {
    /// A port of a component. `key` distinguishes the components of one inference.
    pub fn port<'p>(&mut self, key: &str, placed: &Placed, port: &'p PortDescriptor, text: &str) -> End<'p> {
        self.broken |= placed.broken;
        let axes = port.axes.iter();
        let axes =
            axes.map(|axis| Axis { name: axis.name.clone(), size: self.size(key, placed, &axis.size) }).collect();
        End {
            text: format!("{text} of {}", placed.label()),
            span: placed.component.span,
            dtype: Some(&port.dtype),
            range: port.range,
            axes,
        }
    }

    /// A written or known shape.
    pub fn shape(&mut self, text: &str, span: Span, sizes: &[i64]) -> End<'static> {
        let axes = sizes.iter().enumerate();
        let axes = axes
            .map(|(index, size)| Axis { name: index.to_string(), size: self.term(Some(*size), Some(span)) })
            .collect();
        End { text: text.to_string(), span, dtype: None, range: None, axes }
    }

    /// An array of a known type.
    pub fn array<'p>(&mut self, text: &str, span: Span, kind: &'p Type) -> Option<End<'p>> {
        let Form::Array { dtype, axes, shape, range } = &kind.form else { return None };
        let axes =
            axes.iter().zip(shape).map(|(name, size)| Axis { name: name.clone(), size: self.term(Some(*size), None) });
        Some(End { axes: axes.collect(), dtype: Some(dtype), range: *range, text: text.to_string(), span })
    }

    fn size(&mut self, key: &str, placed: &Placed, size: &AxisSize) -> Term {
        let name = match size {
            AxisSize::Fixed(size) => return self.term(Some(*size), None),
            AxisSize::Parameter(name) => name,
        };
        let id = (key.to_string(), name.clone());
        if let Some(term) = self.parameters.get(&id) {
            return *term;
        }
        let (value, origin) = known(placed, name);
        let term = self.term(value, origin);
        self.parameters.insert(id, term);
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
}

/// The known value of a parameter: a written value, or the length of its default list.
fn known(placed: &Placed, name: &str) -> (Option<i64>, Option<Span>) {
    let size = |value: &Json| value.as_array().map(|list| list.len() as i64).or_else(|| value.as_i64());
    match placed.written.get(name) {
        Some((value, span)) => (size(value), Some(*span)),
        None => {
            let default = placed.schema.get(name).and_then(property::default);
            (default.filter(Json::is_array).as_ref().and_then(size), None)
        }
    }
}
