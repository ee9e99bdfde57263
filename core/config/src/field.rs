//! The types that values of keys have.

use std::fmt::Debug;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::{Family, Key, Mapping, Need, ValueForm};

/// A type that the value of a key can have.
pub trait Field: Serialize + DeserializeOwned {
    /// The form of a value. A key of a number states its bounds instead.
    const FORM: ValueForm;
    /// True for `Option`: the key may be left out and has no default.
    const IS_OPTIONAL: bool = false;

    /// Checks the bounds of the numbers of a value that was not read from a file.
    ///
    /// # Errors
    /// A number out of the bounds of `form`, or not finite, in words.
    fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
        let _ = (key, form);
        Ok(())
    }
}

/// A mapping with known keys, declared by `keys!`.
pub trait Keyed: Sized {
    /// The keys.
    const KEYS: &'static [Key];
    /// All keys with their values; optional keys without a value are left out.
    fn object(&self) -> Map<String, Json>;
    /// Reads an object and fills in defaults.
    ///
    /// # Errors
    /// An unknown key, a missing key, or a value of another form or out of bounds.
    fn read(object: Map<String, Json>) -> Result<Self, String>;

    /// Checks the bounds of a value that was not read from a file.
    ///
    /// # Errors
    /// A value out of bounds, in words.
    fn check(&self) -> Result<(), String>;
}

/// A mapping with known keys and a section of the reference, declared by `keys!`.
pub trait Mapped: Keyed {
    /// The name of the section, and the keys.
    const MAPPING: &'static Mapping;
}

/// A choice of `{kind: ..., ...}`, declared by `kinds!`.
pub trait Kinds: Serialize + DeserializeOwned {
    /// The kinds with their keys.
    const FAMILY: &'static Family;

    /// Checks the bounds of a value that was not read from a file. Training checks before every step, so nothing is made
    /// into JSON where only the bounds of single keys count.
    ///
    /// # Errors
    /// A value out of bounds, in words.
    fn check(&self) -> Result<(), String>;
}

/// The error of a number that is not within a form.
fn within(is_within: bool, key: &str, form: &ValueForm, found: &dyn Debug) -> Result<(), String> {
    if is_within { Ok(()) } else { Err(form.refusal(key, found)) }
}

/// A value as JSON.
pub fn json<T: Serialize>(value: T) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// `{kind: ..., ...}` of a kind. Keys with a default come first, as the planner writes them.
pub(crate) fn of_kind<K: Keyed>(name: &str, kind: &K) -> Map<String, Json> {
    let has_default = |name: &str| K::KEYS.iter().any(|key| key.name == name && matches!(key.need, Need::Default(_)));
    let (first, rest): (Map<_, _>, Map<_, _>) = kind.object().into_iter().partition(|(name, _)| has_default(name));
    [("kind".to_string(), Json::from(name))].into_iter().chain(first).chain(rest).collect()
}

/// Inserts a value that is not null.
pub(crate) fn put(object: &mut Map<String, Json>, key: &str, value: impl Serialize) {
    let value = json(value);
    if !value.is_null() {
        object.insert(key.to_string(), value);
    }
}

impl Field for bool {
    const FORM: ValueForm = ValueForm::Flag;
}

impl Field for String {
    const FORM: ValueForm = ValueForm::String;
}

impl Field for f64 {
    const FORM: ValueForm = ValueForm::number(f64::NEG_INFINITY, f64::INFINITY);

    fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
        within(form.has_number(*self), key, form, self)
    }
}

macro_rules! integer {
    ($type:ty, $form:expr) => {
        impl Field for $type {
            const FORM: ValueForm = $form;

            fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
                within(form.has_integer(*self as i128), key, form, self)
            }
        }
    };
}

integer!(usize, ValueForm::integer_from(0));
integer!(u64, ValueForm::integer(0, u64::MAX as i128));
integer!(i64, ValueForm::integer(i64::MIN as i128, i64::MAX as i128));

impl<T: Field> Field for Option<T> {
    const FORM: ValueForm = T::FORM;
    const IS_OPTIONAL: bool = true;

    fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
        self.iter().try_for_each(|value| value.check_bounds(key, form))
    }
}

impl<T: Field> Field for Vec<T> {
    const FORM: ValueForm = ValueForm::List(&T::FORM);

    fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
        self.iter().try_for_each(|value| value.check_bounds(key, form.item()))
    }
}

impl<T: Field> Field for IndexMap<String, T> {
    const FORM: ValueForm = ValueForm::Names(&T::FORM);

    fn check_bounds(&self, key: &str, form: &ValueForm) -> Result<(), String> {
        self.values().try_for_each(|value| value.check_bounds(key, form.item()))
    }
}
