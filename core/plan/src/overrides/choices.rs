//! Values that a key takes in turn: `joint.sampler.steps=4,8,16`.

use serde_json::Value as Json;

use crate::error::{Errors, Report};
use crate::overrides::OverrideProblem;
use crate::overrides::fault::OverrideFault;
use crate::problem::Hint;
use crate::source::{Source, SourceId, Span};
use crate::yaml::{self, Content, Node};

/// A key of a file with the values that it takes in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// The path of the key, as in [`Override::parse`](super::Override::parse).
    pub path: String,
    /// The values, at least one.
    pub values: Vec<Json>,
}

impl Choices {
    /// Reads `a.b=1,2,3`. The values are the items of a YAML list without its brackets, so mappings and lists among them
    /// keep theirs.
    ///
    /// # Errors
    /// No `=`, no value, or values that are not valid YAML.
    pub fn parse(text: &str) -> Result<Self, Errors> {
        let mut report = Report::default();
        let source = Source::new("--sweep", text);
        let choices = read(text, &mut report);
        report.finish(choices, &[&source], 0).map(|(choices, _)| choices)
    }
}

fn read(text: &str, report: &mut Report) -> Option<Choices> {
    let whole = Span { source: SourceId(0), start: 0, end: text.len() };
    let bad = |reason| OverrideProblem::BadOverride { path: text.into(), reason, hint: Hint::none() };
    let Some((path, values)) = text.split_once('=') else {
        report.error(whole, bad(OverrideFault::NoValues));
        return None;
    };
    // The bracket takes the place of the equals sign, so that positions are those in `text`.
    let list = format!("{}[{values}]", " ".repeat(path.len()));
    let Node { content: Content::List(items), .. } = yaml::parse(&list, SourceId(0), report)? else {
        report.error(whole, bad(OverrideFault::NotAList));
        return None;
    };
    if items.is_empty() {
        report.error(whole, bad(OverrideFault::EmptyList));
        return None;
    }
    Some(Choices { path: path.to_string(), values: items.iter().map(Node::json).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_items_of_a_list() {
        let choices = Choices::parse("a.b=1,2.5, x ,[y, z],{kind: ddim, steps: 4},\"1,2\",null").unwrap();
        assert_eq!(choices.path, "a.b");
        let values = serde_json::json!([1, 2.5, "x", ["y", "z"], {"kind": "ddim", "steps": 4}, "1,2", null]);
        assert_eq!(Json::from(choices.values), values);
    }

    #[test]
    fn wrong_choices_are_refused_at_their_position() {
        let refused = |text: &str| Choices::parse(text).unwrap_err().to_string();
        assert!(refused("steps").contains("path=value,value"));
        assert!(refused("steps=").contains("no values"));
        let unclosed = refused("a.b=1,{kind: ddim");
        assert!(unclosed.starts_with("--sweep:1:"), "{unclosed}");
        assert!(refused("a=1],[2").starts_with("--sweep:1:"));
    }
}
