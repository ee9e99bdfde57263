//! Forms of values, and mappings with known keys.

use serde_json::{Map, Value as Json};

use crate::Family;

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub enum ValueForm {
    /// Any value; it is checked elsewhere.
    Any,
    /// `true` or `false`.
    Flag,
    /// A string.
    String,
    /// A whole number within bounds, both allowed.
    Integer {
        /// The smallest allowed value.
        minimum: i128,
        /// The largest allowed value.
        maximum: i128,
    },
    /// A number within bounds.
    Number {
        /// The smallest value; allowed unless `above`.
        minimum: f64,
        /// The largest allowed value; infinite for none.
        maximum: f64,
        /// True if `minimum` itself is not allowed.
        above: bool,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `{kind: ..., ...}`.
    Kind(&'static Family),
    /// `plugin/component` or `{use: plugin/component, parameter: value, ...}`.
    Use,
    /// A list with items of a form.
    List(&'static ValueForm),
    /// A value of a form, or a list of such values.
    OneOrMore(&'static ValueForm),
    /// A value of the first form, or a mapping of the second.
    Or(&'static ValueForm, &'static ValueForm),
    /// Name -> form.
    Names(&'static ValueForm),
    /// A mapping with known keys.
    Mapping(&'static Mapping),
    /// A mapping with known keys and those of the thing that its first key names, which a catalog describes.
    Described(&'static Mapping),
    /// One of several mappings, distinguished by the first key of each.
    OneOf(&'static [&'static Mapping]),
    /// One of several forms with different shapes.
    Either(&'static [ValueForm]),
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Mapping {
    /// The first part of the names of its keys, as in `pipeline.nodes`.
    pub name: &'static str,
    /// The keys.
    pub keys: &'static [Key],
}

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name, as written in YAML.
    pub name: &'static str,
    /// The form of its value.
    pub form: ValueForm,
    /// Whether it must be written.
    pub need: Need,
    /// One or two sentences for the schema and the reference, without a full stop at the end.
    pub about: &'static str,
}

/// Whether a key must be written, and its value if it is not.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// It must be written.
    Required,
    /// It may be left out.
    Optional,
    /// It has this value if it is left out.
    Default(fn() -> Json),
}

/// A key that must be written.
pub const fn required(name: &'static str, form: ValueForm, about: &'static str) -> Key {
    Key { name, form, need: Need::Required, about }
}

/// A key that may be left out.
pub const fn optional(name: &'static str, form: ValueForm, about: &'static str) -> Key {
    Key { name, form, need: Need::Optional, about }
}

/// A key with a default.
pub const fn defaulted(name: &'static str, form: ValueForm, default: fn() -> Json, about: &'static str) -> Key {
    Key { name, form, need: Need::Default(default), about }
}

/// The keys of a mapping that has its own keys and those of a type.
pub const fn joined<const N: usize>(own: &[Key], more: &[Key]) -> [Key; N] {
    assert!(own.len() + more.len() == N);
    let mut all = [own[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < own.len() { own[index] } else { more[index - own.len()] };
        index += 1;
    }
    all
}

impl Mapping {
    /// The defaults of the keys that have one.
    pub fn defaults(&self) -> Json {
        self.keys.iter().filter_map(|key| Some((key.name.to_string(), key.default()?))).collect::<Map<_, _>>().into()
    }
}

impl Key {
    /// The default, if the key has one.
    pub fn default(&self) -> Option<Json> {
        match self.need {
            Need::Default(default) => Some(default()),
            _ => None,
        }
    }

    /// True if the key must be written.
    pub fn is_required(&self) -> bool {
        matches!(self.need, Need::Required)
    }
}

impl ValueForm {
    /// A number from 0 to 1.
    pub const FRACTION: ValueForm = ValueForm::Number { minimum: 0.0, maximum: 1.0, above: false };
    /// A number above 0.
    pub const POSITIVE: ValueForm = ValueForm::Number { minimum: 0.0, maximum: f64::INFINITY, above: true };
    /// A number of at least 0.
    pub const NOT_NEGATIVE: ValueForm = ValueForm::Number { minimum: 0.0, maximum: f64::INFINITY, above: false };

    /// An integer of at least `minimum`.
    pub const fn integer_from(minimum: i128) -> ValueForm {
        ValueForm::Integer { minimum, maximum: u32::MAX as i128 }
    }

    /// An integer from `minimum` to `maximum`.
    pub const fn integer(minimum: i128, maximum: i128) -> ValueForm {
        ValueForm::Integer { minimum, maximum }
    }

    /// A number from `minimum` to `maximum`.
    pub const fn number(minimum: f64, maximum: f64) -> ValueForm {
        ValueForm::Number { minimum, maximum, above: false }
    }

    /// A number above `minimum`, up to `maximum`.
    pub const fn above(minimum: f64, maximum: f64) -> ValueForm {
        ValueForm::Number { minimum, maximum, above: true }
    }

    /// The form in words, with bounds.
    pub fn expected(&self) -> String {
        match self {
            ValueForm::Any => "a value".into(),
            ValueForm::Flag => "`true` or `false`".into(),
            ValueForm::String => "a string".into(),
            ValueForm::Integer { minimum, maximum } if *maximum >= i128::from(u32::MAX) => {
                format!("an integer of at least {minimum}")
            }
            ValueForm::Integer { minimum, maximum } => format!("an integer from {minimum} to {maximum}"),
            ValueForm::Number { minimum, maximum, above } => match (above, maximum.is_finite()) {
                (true, true) => format!("a number above {minimum} and at most {maximum}"),
                (true, false) => format!("a number above {minimum}"),
                (false, true) => format!("a number from {minimum} to {maximum}"),
                (false, false) => format!("a number of at least {minimum}"),
            },
            ValueForm::Choice(words) => format!("one of {}", words.join(", ")),
            ValueForm::Kind(family) => format!("a mapping `{{kind: ..., ...}}` (a {})", family.name),
            ValueForm::Use => "`plugin/component` or a mapping `{use: plugin/component, ...}`".into(),
            ValueForm::List(ValueForm::Any) => "a list".into(),
            ValueForm::List(of) => format!("a list, each item {}", of.expected()),
            ValueForm::OneOrMore(of) => format!("{}, or a list of those", of.expected()),
            ValueForm::Or(one, ValueForm::Names(of)) => {
                format!("{}, or a mapping, each value {}", one.expected(), of.expected())
            }
            ValueForm::Or(one, other) => format!("{}, or {}", one.expected(), other.expected()),
            ValueForm::Names(_) | ValueForm::Mapping(_) | ValueForm::Described(_) | ValueForm::OneOf(_) => {
                "a mapping".into()
            }
            ValueForm::Either(forms) => forms.iter().map(ValueForm::expected).collect::<Vec<_>>().join(", or "),
        }
    }

    /// True if all numbers in a value are within the bounds of the form. The rest of a value is checked where it becomes
    /// a type.
    pub fn bounds(&self, value: &Json) -> bool {
        let all_of =
            |of: &ValueForm, values: &Json| values.as_array().is_some_and(|list| list.iter().all(|it| of.bounds(it)));
        match self {
            ValueForm::Integer { minimum, maximum } => {
                let integer = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                integer.is_some_and(|integer| integer >= *minimum && integer <= *maximum)
            }
            ValueForm::Number { minimum, maximum, above } => value.as_f64().is_some_and(|number| {
                number <= *maximum && if *above { number > *minimum } else { number >= *minimum }
            }),
            ValueForm::List(of) => all_of(of, value),
            ValueForm::OneOrMore(of) => of.bounds(value) || all_of(of, value),
            ValueForm::Or(one, other) => one.bounds(value) || other.bounds(value),
            ValueForm::Names(of) => value.as_object().is_some_and(|named| named.values().all(|it| of.bounds(it))),
            _ => true,
        }
    }
}
