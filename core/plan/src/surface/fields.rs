//! Reads a mapping by its table.

use anyflow_config::{Key, Keyed, Mapping, ValueForm};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::{Span, Spanned, SpannedString};
use crate::surface::reader::{self, Reader};
use crate::yaml::{Content, Entry, Node};

/// A mapping that is being read.
pub(crate) struct Fields<'a> {
    entries: &'a [Entry],
    mapping: &'static Mapping,
    /// Its name in messages: `node \`x\``.
    pub within: String,
}

impl<'a> Fields<'a> {
    /// Opens a mapping and reports unknown and missing keys. A missing key underlines `owner`.
    pub fn open(
        node: &'a Node,
        mapping: &'static Mapping,
        within: String,
        owner: Span,
        report: &mut Report,
    ) -> Option<Self> {
        let fields = Self::of(node, mapping, within, report)?;
        for entry in fields.others() {
            let name = entry.key.value.as_str();
            let hint = Hint::among(name, mapping.keys.iter().map(|key| key.name));
            let within = fields.within.clone();
            report.error(entry.key.span, Problem::UnknownKey { key: name.into(), within, hint });
        }
        fields.require(owner, report);
        Some(fields)
    }

    /// Opens a mapping that has keys of a described thing as well, which are [`Fields::others`].
    pub fn open_described(
        node: &'a Node,
        mapping: &'static Mapping,
        within: String,
        owner: Span,
        report: &mut Report,
    ) -> Option<Self> {
        let fields = Self::of(node, mapping, within, report)?;
        fields.require(owner, report);
        Some(fields)
    }

    fn of(node: &'a Node, mapping: &'static Mapping, within: String, report: &mut Report) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            ValueForm::Mapping(mapping).wrong(node, &within, report);
            return None;
        };
        Some(Fields { entries, mapping, within })
    }

    fn require(&self, owner: Span, report: &mut Report) {
        for key in self.mapping.keys.iter().filter(|key| key.is_required()) {
            if self.entry(key.name).is_none() {
                report.error(owner, Problem::MissingKey { key: key.name.into(), within: self.within.clone() });
            }
        }
    }

    /// The entries that are no keys of the mapping.
    pub fn others(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|entry| self.key(&entry.key.value).is_none())
    }

    /// The keys that the mapping can have.
    pub fn keys(&self) -> &'static [Key] {
        self.mapping.keys
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.mapping.keys.iter().find(|key| key.name == name)
    }

    /// The entry of a key, as written.
    pub fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key.value == name)
    }

    /// The form of a key; `None` if the mapping does not have it.
    pub fn form(&self, name: &str) -> Option<ValueForm> {
        self.key(name).map(|key| key.form)
    }

    fn what(&self, name: &str) -> String {
        format!("`{name}` of {}", self.within)
    }

    /// The value of a key, read by its form; the default if the key is not written.
    pub fn json(&self, name: &str, report: &mut Report) -> Option<Spanned<Json>> {
        let key = self.key(name)?;
        let Some(entry) = self.entry(name) else {
            return key.default().map(|value| Spanned::new(value, Span::default()));
        };
        let json = key.form.read(&entry.node, &self.what(name), report)?;
        Some(Spanned::new(json, entry.key.span))
    }

    /// The value of a key; the default if the key is not written.
    pub fn value<T: DeserializeOwned>(&self, name: &str, report: &mut Report) -> Option<T> {
        let Spanned { value, span } = self.json(name, report)?;
        reader::value(value, &self.what(name), span, report)
    }

    /// A value whose keys are a part of the mapping, or all of it; `None` if one of them is wrong.
    pub fn part<T: Keyed + DeserializeOwned>(&self, report: &mut Report) -> Option<T> {
        let all = self.those(T::KEYS, report)?;
        let span = self.entries.first().map_or(Span::default(), |entry| entry.key.span);
        reader::value(Json::Object(all), &self.within, span, report)
    }

    /// The values of all keys that are written or have a default; `None` if one of them is wrong or missing.
    pub fn all(&self, report: &mut Report) -> Option<Map<String, Json>> {
        self.those(self.mapping.keys, report)
    }

    fn those(&self, keys: &[Key], report: &mut Report) -> Option<Map<String, Json>> {
        let mut all = Map::new();
        let mut good = true;
        for key in keys {
            if let Some(value) = self.json(key.name, report) {
                all.insert(key.name.into(), value.value);
            } else {
                good &= self.entry(key.name).is_none() && !key.is_required();
            }
        }
        good.then_some(all)
    }

    /// An integer.
    pub fn integer(&self, name: &str, report: &mut Report) -> Option<u64> {
        self.json(name, report)?.value.as_u64()
    }

    /// A string.
    pub fn text(&self, name: &str, report: &mut Report) -> Option<SpannedString> {
        text(&self.entry(name)?.node, &self.what(name), report)
    }

    /// Several strings, each with its position.
    pub fn texts(&self, name: &str, report: &mut Report) -> Vec<SpannedString> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let what = self.what(name);
        match &entry.node.content {
            Content::List(items) => items.iter().filter_map(|item| text(item, &what, report)).collect(),
            _ if self.key(name).is_some_and(|key| matches!(key.form, ValueForm::OneOrMore(_))) => {
                text(&entry.node, &what, report).into_iter().collect()
            }
            _ => {
                ValueForm::List(&ValueForm::String).wrong(&entry.node, &what, report);
                Vec::new()
            }
        }
    }

    /// The entries of a mapping of names.
    pub fn names(&self, name: &str, report: &mut Report) -> &'a [Entry] {
        let Some(entry) = self.entry(name) else { return &[] };
        match &entry.node.content {
            Content::Mapping(entries) => entries,
            // `inputs:` with nothing below it.
            Content::Null => &[],
            _ => {
                ValueForm::Names(&ValueForm::Any).wrong(&entry.node, &self.what(name), report);
                &[]
            }
        }
    }

    /// A mapping of names to strings, each with its position.
    pub fn pairs(&self, name: &str, report: &mut Report) -> Vec<(SpannedString, SpannedString)> {
        let value = |entry: &Entry, report: &mut Report| {
            let what = format!("`{}` in `{name}` of {}", entry.key.value, self.within);
            text(&entry.node, &what, report).map(|value| (entry.key.clone(), value))
        };
        self.names(name, report).iter().filter_map(|entry| value(entry, report)).collect()
    }

    /// A mapping of names to numbers, each with its position. A wrong number is reported and kept as 1, so that its name
    /// is checked as well.
    pub fn numbers(&self, name: &str, report: &mut Report) -> Vec<(SpannedString, f64)> {
        let values = self.json(name, report).map(|json| json.value).unwrap_or_default();
        let number = |entry: &Entry| values.get(&entry.key.value).and_then(Json::as_f64).unwrap_or(1.0);
        self.names(name, report).iter().map(|entry| (entry.key.clone(), number(entry))).collect()
    }
}

/// A node that must be a string.
pub(crate) fn text(node: &Node, what: &str, report: &mut Report) -> Option<SpannedString> {
    match &node.content {
        Content::String(text) => Some(Spanned::new(text.clone(), node.span)),
        _ => {
            ValueForm::String.wrong(node, what, report);
            None
        }
    }
}
