//! Forms of values, and how to read a value of a form.

use serde_json::{Map, Number, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::surface::fields::Fields;
use crate::surface::fill;
use crate::surface::kinds::Family;
use crate::yaml::{Content, Entry, Node};

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Any value; it is checked elsewhere.
    Any,
    /// `true` or `false`.
    Flag,
    /// A string.
    String,
    /// A whole number within bounds, both allowed.
    Integer { minimum: i128, maximum: i128 },
    /// A number within bounds, both allowed; `above` excludes the lower one.
    Number { minimum: f64, maximum: f64, above: bool },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `{kind: ..., ...}`.
    Kind(Family),
    /// `plugin/component` or `{use: plugin/component, parameter: value, ...}`.
    Use,
    /// A list with items of a form.
    List(&'static Form),
    /// A value of a form, or a list of such values.
    OneOrMore(&'static Form),
    /// A value of the first form, or a mapping of the second.
    Or(&'static Form, &'static Form),
    /// Name -> form.
    Names(&'static Form),
    /// A mapping with known keys.
    Mapping(&'static Mapping),
    /// One of several mappings, distinguished by the first key of each.
    OneOf(&'static [&'static Mapping]),
    /// One of several forms with different shapes.
    Either(&'static [Form]),
}

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The first part of the names of its keys, as in `pipeline.nodes`.
    pub name: &'static str,
    pub keys: &'static [Key],
}

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub form: Form,
    pub need: Need,
    /// One or two sentences for the schema and the reference, without a full stop at the end.
    pub about: &'static str,
}

/// A key that must be written.
pub(crate) const fn required(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, need: Need::Required, about }
}

/// A key that may be left out.
pub(crate) const fn optional(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, need: Need::Optional, about }
}

/// A key with a default.
pub(crate) const fn defaulted(name: &'static str, form: Form, default: Literal, about: &'static str) -> Key {
    Key { name, form, need: Need::Default(default), about }
}

/// Whether a key must be written, and its value if it is not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    Required,
    Optional,
    Default(Literal),
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Literal {
    Flag(bool),
    Integer(i64),
    Number(f64),
    Word(&'static str),
    Flags(&'static [bool]),
    Integers(&'static [i64]),
    /// The default kind of the family with its own defaults.
    Kind(Family),
    /// A mapping with its own defaults.
    Mapping(&'static Mapping),
}

impl Literal {
    pub fn json(self) -> Json {
        match self {
            Literal::Flag(flag) => Json::Bool(flag),
            Literal::Integer(integer) => Json::from(integer),
            Literal::Number(number) => Json::from(number),
            Literal::Word(word) => Json::from(word),
            Literal::Flags(flags) => Json::from(flags),
            Literal::Integers(integers) => Json::from(integers),
            Literal::Kind(family) => fill::defaults(family),
            Literal::Mapping(mapping) => Json::Object(fill::defaults_of_keys(mapping.keys)),
        }
    }
}

impl Form {
    /// An integer of at least `minimum`.
    pub const fn integer_from(minimum: i128) -> Form {
        Form::Integer { minimum, maximum: u32::MAX as i128 }
    }

    /// A number from 0 to 1.
    pub const FRACTION: Form = Form::Number { minimum: 0.0, maximum: 1.0, above: false };

    /// The form in words, with bounds.
    pub fn expected(&self) -> String {
        match self {
            Form::Any => "a value".into(),
            Form::Flag => "`true` or `false`".into(),
            Form::String => "a string".into(),
            Form::Integer { minimum, maximum } if *maximum >= i128::from(u32::MAX) => {
                format!("an integer of at least {minimum}")
            }
            Form::Integer { minimum, maximum } => format!("an integer from {minimum} to {maximum}"),
            Form::Number { minimum, maximum, above } => match (above, maximum.is_finite()) {
                (true, true) => format!("a number above {minimum} and at most {maximum}"),
                (true, false) => format!("a number above {minimum}"),
                (false, true) => format!("a number from {minimum} to {maximum}"),
                (false, false) => format!("a number of at least {minimum}"),
            },
            Form::Choice(words) => format!("one of {}", words.join(", ")),
            Form::Kind(family) => format!("a mapping `{{kind: ..., ...}}` (a {})", family.name()),
            Form::Use => "`plugin/component` or a mapping `{use: plugin/component, ...}`".into(),
            Form::List(Form::Any) => "a list".into(),
            Form::List(of) => format!("a list, each item {}", of.expected()),
            Form::OneOrMore(of) => format!("{}, or a list of those", of.expected()),
            Form::Or(one, Form::Names(of)) => format!("{}, or a mapping, each value {}", one.expected(), of.expected()),
            Form::Or(one, other) => format!("{}, or {}", one.expected(), other.expected()),
            Form::Names(_) | Form::Mapping(_) | Form::OneOf(_) => "a mapping".into(),
            Form::Either(forms) => forms.iter().map(Form::expected).collect::<Vec<_>>().join(", or "),
        }
    }

    /// Reads a value; `what` names it in messages. [`Form::Use`] and [`Form::OneOf`] cannot be read here: a spec reads
    /// them entry by entry.
    pub fn read(&self, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
        match (self, &node.content) {
            (Form::Any, _) => Some(node.json()),
            (Form::Flag, Content::Flag(flag)) => Some(Json::Bool(*flag)),
            (Form::String, Content::String(text)) => Some(Json::from(text.as_str())),
            (Form::Integer { .. }, Content::Number(number)) => self.read_integer(number, node, what, report),
            (Form::Number { .. }, Content::Number(number)) => self.read_number(number, node, what, report),
            (Form::Choice(words), Content::String(text)) => choose(words, text, node, what, report),
            (Form::Kind(family), _) => fill::fill(*family, Some(node), node.span, report),
            (Form::List(of) | Form::OneOrMore(of), Content::List(items)) => {
                let read: Vec<_> = items.iter().map(|item| of.read(item, what, report)).collect();
                read.into_iter().collect::<Option<Vec<Json>>>().map(Json::from)
            }
            (Form::OneOrMore(of), _) => of.read(node, what, report).map(|one| Json::from(vec![one])),
            (Form::Or(_, of), Content::Mapping(_)) | (Form::Or(of, _), _) => of.read(node, what, report),
            (Form::Names(of), Content::Mapping(entries)) => {
                let read = |entry: &Entry| {
                    let what = format!("`{}` in {what}", entry.key.value);
                    Some((entry.key.value.clone(), of.read(&entry.node, &what, report)?))
                };
                let read: Vec<_> = entries.iter().map(read).collect();
                read.into_iter().collect::<Option<Map<_, _>>>().map(Json::Object)
            }
            (Form::Mapping(mapping), Content::Mapping(_)) => {
                Fields::open(node, mapping, what.into(), node.span, report)?.all(report).map(Json::Object)
            }
            _ => {
                self.wrong(node, what, report);
                None
            }
        }
    }

    /// Reports a value of another form.
    pub fn wrong(&self, node: &Node, what: &str, report: &mut Report) {
        let problem = Problem::WrongForm { what: what.into(), expected: self.expected(), found: node.found() };
        report.error(node.span, problem);
    }

    fn read_integer(&self, number: &Number, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
        let Form::Integer { minimum, maximum } = self else { return None };
        let value = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        let Some(value) = value else {
            self.wrong(node, what, report);
            return None;
        };
        if value < *minimum || value > *maximum {
            self.out_of_bounds(number, node, what, report);
            return None;
        }
        Some(Json::Number(number.clone()))
    }

    fn read_number(&self, number: &Number, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
        let Form::Number { minimum, maximum, above } = self else { return None };
        let value = number.as_f64()?;
        let low = if *above { value <= *minimum } else { value < *minimum };
        if low || value > *maximum {
            self.out_of_bounds(number, node, what, report);
            return None;
        }
        Some(Json::from(value))
    }

    fn out_of_bounds(&self, number: &Number, node: &Node, what: &str, report: &mut Report) {
        let bound = self.expected();
        report.error(node.span, Problem::OutOfBounds { what: what.into(), value: number.to_string(), bound });
    }
}

fn choose(words: &[&str], text: &str, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
    if words.contains(&text) {
        return Some(Json::from(text));
    }
    let hint = Hint::among(text, words.iter().copied());
    report.error(node.span, Problem::BadWord { what: what.into(), word: text.into(), hint });
    None
}
