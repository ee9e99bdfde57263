//! An object that is being read by a table of keys.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::{Family, Key, Kind};

/// An object with known keys and with defaults filled in.
#[derive(Debug)]
pub(crate) struct Given(Map<String, Json>);

impl Given {
    /// Fills in defaults.
    ///
    /// # Errors
    /// An unknown key, a missing key, or a number out of bounds.
    pub fn new(mut object: Map<String, Json>, keys: &[Key]) -> Result<Self, String> {
        if let Some(name) = object.keys().find(|name| !keys.iter().any(|key| key.name == name.as_str())) {
            return Err(format!("unknown key `{name}`"));
        }
        for key in keys {
            match object.get(key.name) {
                Some(value) if !key.form.bounds(value) => {
                    return Err(key.form.refusal(key.name, format_args!("{value}")));
                }
                Some(_) => {}
                None if key.is_required() => return Err(format!("missing key `{}`", key.name)),
                None => object.extend(key.default().map(|value| (key.name.to_string(), value))),
            }
        }
        Ok(Given(object))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// A value of another form.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, String> {
        let value = self.0.get(key).cloned().unwrap_or(Json::Null);
        serde_json::from_value(value).map_err(|error| format!("`{key}`: {error}"))
    }
}

/// True if an object has a kind of a family.
pub(crate) fn is_of(family: &Family, object: &Map<String, Json>) -> bool {
    object.get("kind").and_then(Json::as_str).is_some_and(|name| family.kind(name).is_some())
}

/// Splits `{kind: ..., ...}` into its kind, by default that of the family, and its other keys.
pub(crate) fn kind(family: &Family, object: &mut Map<String, Json>) -> Result<&'static Kind, String> {
    let found = match object.shift_remove("kind") {
        None => family.default_kind().ok_or_else(|| format!("the {} has no `kind`", family.name))?,
        Some(name) => {
            let kind = name.as_str().and_then(|name| family.kind(name));
            kind.ok_or_else(|| format!("unknown {} {name}", family.name))?
        }
    };
    let full = || family.defaults(found).into_iter().chain(object.clone()).collect();
    order(family, found.name, full)?;
    Ok(found)
}

/// Checks the order of numbers of which one must not be larger than the other.
///
/// # Errors
/// A pair in the wrong order.
pub(crate) fn order(family: &Family, kind: &str, full: impl FnOnce() -> Map<String, Json>) -> Result<(), String> {
    let Some(kind) = family.kind(kind).filter(|kind| !(family.ascending.is_empty() && kind.ascending.is_empty()))
    else {
        return Ok(());
    };
    match family.misordered(kind, &full()).first() {
        None => Ok(()),
        Some(pair) => {
            Err(format!("{} must be at least {} = {}, found {}", pair.large, pair.small, pair.low, pair.high))
        }
    }
}
