//! Forms of values: what may be written in one place. A form holds mappings or families of kinds, and these hold keys
//! with their forms.

mod family;
mod value;

use serde_json::{Map, Value as Json};

pub use family::Misordered;

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub enum ValueForm {
    /// Any value; it is checked elsewhere.
    Any,
    /// `true` or `false`.
    Flag,
    /// A string.
    String,
    /// The name of a part of the model, which the planner looks up.
    Name(PartKind),
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
    /// Name of a part of the model -> form.
    NamesOf(PartKind, &'static ValueForm),
    /// A mapping with known keys.
    Mapping(&'static Mapping),
    /// A mapping with known keys and those of the thing that its first key names, which a catalog describes.
    Described(&'static Mapping),
    /// One of several mappings, distinguished by the first key of each.
    OneOf(&'static [&'static Mapping]),
    /// One of several forms with different shapes.
    Either(&'static [ValueForm]),
}

/// What an option can name.
#[derive(Clone, Copy, Debug)]
pub enum PartKind {
    /// A stream of the model.
    Stream,
    /// A prompt of the model.
    Prompt,
}

impl PartKind {
    /// Its name in messages.
    pub fn word(self) -> &'static str {
        match self {
            PartKind::Stream => "stream",
            PartKind::Prompt => "prompt",
        }
    }
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

/// A family of kinds: what `{kind: ..., ...}` can be in one place.
#[derive(Debug)]
pub struct Family {
    /// The name in messages.
    pub name: &'static str,
    /// The first part of the names of its keys, as in `sampler.ddim.eta`.
    pub path: &'static str,
    /// Families whose kinds belong to this family as well, before its own.
    pub bases: &'static [&'static Family],
    /// Its own kinds.
    pub own: &'static [Kind],
    /// True if the first kind is used where none is written.
    pub has_default: bool,
    /// Keys that all kinds have.
    pub shared: &'static [Key],
    /// Pairs of keys of which the first must not be larger, for all kinds; `a.b` is key `b` of the mapping at `a`.
    pub ascending: &'static [(&'static str, &'static str)],
}

/// One kind.
#[derive(Debug)]
pub struct Kind {
    /// The name, as written in YAML.
    pub name: &'static str,
    /// Its meaning.
    pub about: &'static str,
    /// Keys of this kind alone.
    pub keys: &'static [Key],
    /// Defaults of the family's shared keys that differ from kind to kind.
    pub defaults: &'static [KindDefault],
    /// Pairs of keys of this kind of which the first must not be larger.
    pub ascending: &'static [(&'static str, &'static str)],
}

/// The default that a kind gives to a shared key.
#[derive(Debug)]
pub struct KindDefault {
    /// The key.
    pub key: &'static str,
    /// Makes its value.
    pub value: fn() -> Json,
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
