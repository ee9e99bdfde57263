//! Values of a form: bounds, and the words of messages.

use std::fmt::Debug;

use serde_json::Value as Json;

use super::ValueForm;

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
            ValueForm::Name(part) => format!("the name of a {}", part.word()),
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
            ValueForm::Names(_)
            | ValueForm::NamesOf(..)
            | ValueForm::Mapping(_)
            | ValueForm::Described(_)
            | ValueForm::OneOf(_) => "a mapping".into(),
            ValueForm::Either(forms) => forms.iter().map(ValueForm::expected).collect::<Vec<_>>().join(", or "),
        }
    }

    /// True if all numbers in a value are within the bounds of the form. The rest of a value is checked where it becomes
    /// a type.
    pub fn bounds(&self, value: &Json) -> bool {
        let all_of =
            |of: &ValueForm, values: &Json| values.as_array().is_some_and(|list| list.iter().all(|it| of.bounds(it)));
        match self {
            ValueForm::Integer { .. } => {
                let integer = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                integer.is_some_and(|integer| self.has_integer(integer))
            }
            ValueForm::Number { .. } => value.as_f64().is_some_and(|number| self.has_number(number)),
            ValueForm::List(of) => all_of(of, value),
            ValueForm::OneOrMore(of) => of.bounds(value) || all_of(of, value),
            ValueForm::Or(one, other) => one.bounds(value) || other.bounds(value),
            ValueForm::Names(of) | ValueForm::NamesOf(_, of) => {
                value.as_object().is_some_and(|named| named.values().all(|it| of.bounds(it)))
            }
            _ => true,
        }
    }

    /// True if a finite number is within the bounds of the form.
    pub(crate) fn has_number(&self, number: f64) -> bool {
        match self {
            ValueForm::Number { minimum, maximum, above } => {
                let is_high = if *above { number > *minimum } else { number >= *minimum };
                number.is_finite() && number <= *maximum && is_high
            }
            ValueForm::Or(one, other) => one.has_number(number) || other.has_number(number),
            _ => number.is_finite(),
        }
    }

    /// True if an integer is within the bounds of the form.
    pub(crate) fn has_integer(&self, integer: i128) -> bool {
        match self {
            ValueForm::Integer { minimum, maximum } => (*minimum..=*maximum).contains(&integer),
            ValueForm::Or(one, other) => one.has_integer(integer) || other.has_integer(integer),
            _ => true,
        }
    }

    /// The form of the items of a list or of the values of a mapping.
    pub(crate) fn item(&self) -> &ValueForm {
        match self {
            ValueForm::List(of) | ValueForm::OneOrMore(of) | ValueForm::Names(of) | ValueForm::NamesOf(_, of) => of,
            _ => self,
        }
    }

    /// The message for a value of a key that is out of bounds.
    pub(crate) fn refusal(&self, key: &str, found: impl Debug) -> String {
        format!("{key} must be {}, found {found:?}", self.expected())
    }
}
