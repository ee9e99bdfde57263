//! Families of kinds: which kinds and keys they have.

use serde_json::{Map, Value as Json};

use super::{Family, Key, Kind, Need};

/// Two keys in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Misordered {
    /// The key that must not be larger.
    pub small: &'static str,
    /// Its value.
    pub low: f64,
    /// The key that must not be smaller.
    pub large: &'static str,
    /// Its value.
    pub high: f64,
}

impl Family {
    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &'static Kind> + use<> {
        self.bases.iter().flat_map(|base| base.own).chain(self.own)
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.kinds().find(|kind| kind.name == name)
    }

    /// The kind that is used where none is written.
    pub fn default_kind(&self) -> Option<&'static Kind> {
        self.kinds().next().filter(|_| self.has_default)
    }

    /// The default kind with all its defaults; empty if the family has no default kind.
    pub fn default_value(&self) -> Json {
        Json::Object(self.default_kind().map(|kind| self.defaults(kind)).unwrap_or_default())
    }

    /// All keys of a kind: the shared ones with the kind's defaults, then its own.
    pub fn keys(&self, kind: &Kind) -> Vec<Key> {
        let shared = self.shared.iter().map(|key| {
            let default = kind.defaults.iter().find(|default| default.key == key.name);
            Key { need: default.map_or(key.need, |default| Need::Default(default.value)), ..*key }
        });
        shared.chain(kind.keys.iter().copied()).collect()
    }

    /// A kind with all its defaults.
    pub fn defaults(&self, kind: &Kind) -> Map<String, Json> {
        let named = [("kind".to_string(), Json::from(kind.name))];
        let defaults = self.keys(kind).into_iter().filter_map(|key| Some((key.name.to_string(), key.default()?)));
        named.into_iter().chain(defaults).collect()
    }

    /// The pairs of keys whose values are in the wrong order.
    pub fn misordered(&self, kind: &Kind, object: &Map<String, Json>) -> Vec<Misordered> {
        let number = |path: &str| {
            let mut keys = path.split('.');
            let first = keys.next().and_then(|key| object.get(key));
            keys.fold(first, |value, key| value.and_then(|value| value.get(key))).and_then(Json::as_f64)
        };
        let pairs = self.ascending.iter().chain(kind.ascending);
        let wrong = pairs.filter_map(|(small, large)| {
            let found = Misordered { small, low: number(small)?, large, high: number(large)? };
            (found.low > found.high).then_some(found)
        });
        wrong.collect()
    }
}
