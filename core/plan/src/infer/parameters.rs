//! Parameters of a component: free ones take their defaults, then all values are collected.

use serde_json::{Map, Value as Json};

use crate::component::Placed;
use crate::error::Report;
use crate::infer::{End, Solver};
use crate::plan::Component;
use crate::problem::{Problem, problems};
use crate::property;

problems! {
    /// What can be wrong with the parameters that a file leaves out.
    pub(crate) enum ParameterProblem {
        /// A parameter of a component has no default, and the shapes do not determine it.
        /// Example: A module with a parameter `hidden` without a default.
        /// Cure: Write the component as a mapping and set the parameter: `{use: PLUGIN/module, hidden: 64}`.
        #[error("parameter `{parameter}` of `{component}` has no default and does not follow from the shapes; set it")]
        MissingParameter { component: String, parameter: String },
    }
}

impl Solver {
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

    /// The sizes of an end, if all are known.
    pub fn sizes(&self, end: &End) -> Option<Vec<i64>> {
        end.axes.iter().map(|axis| self.value(axis.size)).collect()
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
                None if self.broken => {}
                None => {
                    let component = placed.component.value.clone();
                    let parameter = name.clone();
                    report.error(placed.component.span, ParameterProblem::MissingParameter { component, parameter });
                }
            }
        }
        let plugin = placed.plugin.clone();
        let id = placed.id.clone();
        let library = placed.library.clone();
        Component { plugin, id, library, parameters: Json::Object(parameters) }
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
