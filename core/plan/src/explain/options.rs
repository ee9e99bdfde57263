//! Options of kinds and components: all of them, or those that differ from their defaults.

use anyflow_config::{Family, Given, Guidance, Key, Keyed, Kinds, ValueForm, json};
use serde_json::{Map, Value as Json};

use crate::catalog::Catalog;
use crate::explain::words::list;
use crate::plan::Component;
use crate::property;

/// The options to print.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Options<'c> {
    All,
    /// Options that differ from their defaults. The catalog has the defaults of plugins.
    Changed(&'c Catalog),
}

impl Options<'_> {
    /// `kind (key value, ...)`.
    pub fn kind<K: Kinds>(self, kind: &K) -> String {
        self.of_family(K::FAMILY, &json(kind))
    }

    /// The name and the value of each option of a mapping.
    pub fn rows<K: Keyed>(self, keys: &K) -> Vec<[String; 2]> {
        self.shown(K::KEYS, &keys.object())
    }

    /// `kind (key value, ...)` of a kind as JSON.
    fn of_family(self, family: &Family, json: &Json) -> String {
        let Json::Object(object) = json else { return json.to_string() };
        let name = object.get("kind").and_then(Json::as_str).unwrap_or("?");
        let kind = family.kind(name);
        let keys = kind.map(|kind| family.keys(kind)).unwrap_or_default();
        with_options(name.to_string(), &self.of_keys(&keys, object))
    }

    /// `plugin/component (parameter value, ...)`.
    pub fn component(self, component: &Component) -> String {
        let name = format!("{}/{}", component.plugin, component.id);
        let Json::Object(parameters) = &component.parameters else { return name };
        let shown = parameters.iter().filter(|(key, value)| self.default_of(component, key).as_ref() != Some(*value));
        let shown: Vec<String> = shown.map(|(key, value)| format!("{key} {}", plain(value))).collect();
        with_options(name, &shown)
    }

    /// The noise level of observed streams if it is not the default, and guidance.
    pub fn conditioning(self, given: Given, guidance: Option<&Guidance>) -> Vec<String> {
        let noised = (given == Given::Noised).then(|| "given noised".to_string());
        let guidance = guidance.map(|guidance| format!("guidance {}", self.kind(guidance)));
        noised.into_iter().chain(guidance).collect()
    }

    /// True if options with their default values are printed.
    pub fn is_all(self) -> bool {
        matches!(self, Options::All)
    }

    fn of_keys(self, keys: &[Key], object: &Map<String, Json>) -> Vec<String> {
        self.shown(keys, object).iter().map(|named| named.join(" ")).collect()
    }

    fn shown(self, keys: &[Key], object: &Map<String, Json>) -> Vec<[String; 2]> {
        let mut shown = Vec::new();
        for (name, value) in object.iter().filter(|(name, _)| *name != "kind") {
            let key = keys.iter().find(|key| key.name == name);
            let is_default = key.and_then(Key::default).as_ref() == Some(value);
            if self.is_all() || !is_default {
                shown.push([name.clone(), self.value(key.map(|key| key.form), value)]);
            }
        }
        shown
    }

    fn value(self, form: Option<ValueForm>, value: &Json) -> String {
        match (form, value) {
            (Some(ValueForm::Kind(family)), _) => self.of_family(family, value),
            (Some(ValueForm::Mapping(mapping)), Json::Object(object)) => {
                format!("{{{}}}", list(self.of_keys(mapping.keys, object)))
            }
            (Some(ValueForm::Names(of) | ValueForm::NamesOf(_, of)), Json::Object(object)) => {
                let named = object.iter().map(|(name, value)| format!("{name} {}", self.value(Some(*of), value)));
                format!("{{{}}}", list(named))
            }
            _ => plain(value),
        }
    }

    /// The default of a parameter, unless all parameters are printed.
    fn default_of(self, component: &Component, parameter: &str) -> Option<Json> {
        let Options::Changed(catalog) = self else { return None };
        let (plugin, _) = catalog.plugins.get(&component.plugin)?;
        let codecs = plugin.codecs.iter().map(|codec| (&codec.id, &codec.parameters));
        let modules = plugin.modules.iter().map(|module| (&module.id, &module.parameters));
        let (_, parameters) = codecs.chain(modules).find(|(id, _)| **id == component.id)?;
        parameters.get(parameter).and_then(property::default)
    }
}

fn with_options(name: String, options: &[String]) -> String {
    if options.is_empty() { name } else { format!("{name} ({})", options.join(", ")) }
}

/// A value without quotes; long lists are counted.
fn plain(value: &Json) -> String {
    match value {
        Json::String(word) => word.clone(),
        Json::Object(object) => {
            format!("{{{}}}", list(object.iter().map(|(key, value)| format!("{key} {}", plain(value)))))
        }
        Json::Array(items) if items.len() > 4 => format!("{} items", items.len()),
        Json::Array(items) => format!("[{}]", list(items.iter().map(plain))),
        other => other.to_string(),
    }
}
