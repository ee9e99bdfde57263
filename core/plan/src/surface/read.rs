//! How to read a value of a form.

use anyflow_config::ValueForm;
use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::surface::fields::Fields;
use crate::surface::fill;
use crate::surface::reader::Reader;
use crate::yaml::{Content, Entry, Node};

impl Reader for ValueForm {
    fn read(&self, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
        match (self, &node.content) {
            (ValueForm::Any, _) => Some(node.json()),
            (ValueForm::Flag, Content::Flag(flag)) => Some(Json::Bool(*flag)),
            (ValueForm::String | ValueForm::Name(_), Content::String(text)) => Some(Json::from(text.as_str())),
            (ValueForm::Integer { .. }, Content::Number(number)) if !number.is_f64() => {
                in_bounds(self, node.json(), node, what, report)
            }
            (ValueForm::Number { .. }, Content::Number(number)) => {
                in_bounds(self, Json::from(number.as_f64()?), node, what, report)
            }
            (ValueForm::Choice(words), Content::String(text)) => choose(words, text, node, what, report),
            (ValueForm::Kind(family), _) => fill::fill(family, Some(node), node.span, report),
            (ValueForm::List(of) | ValueForm::OneOrMore(of), Content::List(items)) => {
                let read: Vec<_> = items.iter().map(|item| of.read(item, what, report)).collect();
                read.into_iter().collect::<Option<Vec<Json>>>().map(Json::from)
            }
            (ValueForm::OneOrMore(of), _) => of.read(node, what, report).map(|one| Json::from(vec![one])),
            (ValueForm::Or(_, of), Content::Mapping(_)) | (ValueForm::Or(of, _), _) => of.read(node, what, report),
            (ValueForm::Names(of) | ValueForm::NamesOf(_, of), Content::Mapping(entries)) => {
                let read = |entry: &Entry| {
                    let what = format!("`{}` in {what}", entry.key.value);
                    Some((entry.key.value.clone(), of.read(&entry.node, &what, report)?))
                };
                let read: Vec<_> = entries.iter().map(read).collect();
                read.into_iter().collect::<Option<Map<_, _>>>().map(Json::Object)
            }
            (ValueForm::Mapping(mapping), Content::Mapping(_)) => {
                Fields::open(node, mapping, what.into(), node.span, report)?.all(report).map(Json::Object)
            }
            _ => {
                self.wrong(node, what, report);
                None
            }
        }
    }

    fn wrong(&self, node: &Node, what: &str, report: &mut Report) {
        let expected = self.expected();
        let found = node.found_for(&expected);
        let problem = Problem::WrongForm { what: what.into(), expected, found };
        report.error(node.span, problem);
    }
}

/// Some programs draw another seed each time for -1.
const NO_RANDOM_SEED: &str = "; without the key, the seed is a fixed one; each other number is another draw";

fn in_bounds(form: &ValueForm, value: Json, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
    if form.bounds(&value) {
        return Some(value);
    }
    let written = node.json().to_string();
    let value = if what.starts_with("`seed`") { format!("{written}{NO_RANDOM_SEED}") } else { written };
    report.error(node.span, Problem::OutOfBounds { what: what.into(), value, bound: form.expected() });
    None
}

fn choose(words: &[&str], text: &str, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
    if words.contains(&text) {
        return Some(Json::from(text));
    }
    let hint = Hint::among(text, words.iter().copied());
    report.error(node.span, Problem::BadWord { what: what.into(), word: text.into(), hint });
    None
}
