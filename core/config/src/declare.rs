//! The macros that read declarations. A doc comment is also the text of the reference, a literal is also the name in YAML.

/// The text of a doc comment for the reference: without the space at its start and the full stop at its end.
pub(crate) const fn text(doc: &'static str) -> &'static str {
    let doc = doc.trim_ascii();
    match doc.as_bytes() {
        [rest @ .., b'.'] => match std::str::from_utf8(rest) {
            Ok(text) => text,
            Err(_) => doc,
        },
        _ => doc,
    }
}

/// Declares a mapping: `key: type [form] = default;`. The form may be left out unless it has bounds. A key without a default
/// must be written, unless its type is an `Option`. A name makes the mapping a type of values: `struct Name("section")`.
macro_rules! keys {
    ($(#[doc = $about:literal])* pub struct $name:ident($section:literal) { $($keys:tt)* }) => {
        keys! { $(#[doc = $about])* pub struct $name { $($keys)* } }

        impl crate::Mapped for $name {
            const MAPPING: &'static crate::Mapping =
                &crate::Mapping { name: $section, keys: <$name as crate::Keyed>::KEYS };
        }

        impl crate::Field for $name {
            const FORM: crate::ValueForm = crate::ValueForm::Mapping(<$name as crate::Mapped>::MAPPING);

            fn check_bounds(&self, _: &str, _: &crate::ValueForm) -> Result<(), String> {
                crate::Keyed::check(self)
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $($(#[doc = $doc:literal])+ $key:ident: $type:ty $([$form:expr])? $(= $default:expr)?;)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)*
        }

        impl crate::Keyed for $name {
            const KEYS: &'static [crate::Key] = &[$(crate::Key {
                name: stringify!($key),
                form: keys!(@form $type $(, $form)?),
                need: keys!(@need $type $(, $default)?),
                about: crate::declare::text(concat!($($doc),+)),
            }),*];

            fn object(&self) -> serde_json::Map<String, serde_json::Value> {
                #[allow(unused_mut, reason = "a kind may have no keys")]
                let mut object = serde_json::Map::new();
                $(crate::field::put(&mut object, stringify!($key), &self.$key);)*
                object
            }

            fn read(object: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
                #[allow(unused_variables, reason = "a kind may have no keys")]
                let given = crate::given::Given::new(object, Self::KEYS)?;
                Ok($name { $($key: given.get(stringify!($key))?),* })
            }

            fn check(&self) -> Result<(), String> {
                $(crate::Field::check_bounds(&self.$key, stringify!($key), &keys!(@form $type $(, $form)?))?;)*
                Ok(())
            }
        }

        // All keys have their defaults; those that must be written are empty.
        impl Default for $name {
            fn default() -> Self {
                $name { $($key: keys!(@value $type $(, $default)?)),* }
            }
        }

        as_object!($name);
    };
    (@form $type:ty) => { <$type as crate::Field>::FORM };
    (@form $type:ty, $form:expr) => { $form };
    (@need $type:ty) => {
        if <$type as crate::Field>::IS_OPTIONAL { crate::Need::Optional } else { crate::Need::Required }
    };
    (@need $type:ty, $default:expr) => { crate::Need::Default(|| crate::json::<$type>($default)) };
    (@value $type:ty) => { <$type>::default() };
    (@value $type:ty, $default:expr) => { $default };
}

/// Declares a family, `pub enum Family("name in messages", "section of the reference")`, and its kinds. With `default`, the
/// first kind is used where none is written; `includes One, Two` adds the kinds of other families. `Kind = "name" (key = value) { keys }` gives shared keys another default;
/// `"a" <= "b"` after the keys refuses a larger `a`.
macro_rules! kinds {
    (
        $(#[doc = $about:literal])*
        pub enum $family:ident($name:literal, $path:literal) $(default $first:ident)? $(includes $($base:ident),+)?
            $(shares $shared:ident $(where $($s:literal <= $l:literal),+)?)?
        {
            $(
                $(#[doc = $doc:literal])+
                $kind:ident = $word:literal $(($($other:ident = $value:expr),+))? { $($keys:tt)* } $($small:literal <= $large:literal)?
            )*
        }
    ) => {
        $(keys! { $(#[doc = $doc])+ pub struct $kind { $($keys)* } })*

        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $family {
            $($(#[doc = "A kind of an included family."] $base($base),)+)?
            $($(#[doc = $doc])+ $kind($kind)),*
        }

        impl crate::Kinds for $family {
            const FAMILY: &'static crate::Family = &crate::Family {
                name: $name,
                path: $path,
                bases: &[$($(<$base as crate::Kinds>::FAMILY),+)?],
                own: &[$(crate::Kind {
                    name: $word,
                    about: crate::declare::text(concat!($($doc),+)),
                    keys: <$kind as crate::Keyed>::KEYS,
                    defaults: &[$($(crate::KindDefault { key: stringify!($other), value: || crate::json($value) }),+)?],
                    ascending: &[$(($small, $large))?],
                }),*],
                has_default: kinds!(@has $($first)?),
                shared: kinds!(@keys $($shared)?),
                ascending: &[$($($(($s, $l)),+)?)?],
            };

            fn check(&self) -> Result<(), String> {
                match self {
                    $($($family::$base(kind) => crate::Kinds::check(kind),)+)?
                    $($family::$kind(kind) => crate::Keyed::check(kind),)*
                }?;
                crate::given::order(<Self as crate::Kinds>::FAMILY, self.name(), || self.object())
            }
        }

        impl crate::Field for $family {
            const FORM: crate::ValueForm = crate::ValueForm::Kind(<$family as crate::Kinds>::FAMILY);

            fn check_bounds(&self, _: &str, _: &crate::ValueForm) -> Result<(), String> {
                crate::Kinds::check(self)
            }
        }

        impl $family {
            /// `{kind: ..., ...}` with the keys of the kind.
            pub fn object(&self) -> serde_json::Map<String, serde_json::Value> {
                match self {
                    $($($family::$base(kind) => kind.object(),)+)?
                    $($family::$kind(kind) => crate::field::of_kind($word, kind)),*
                }
            }

            /// The name of the kind, as written in YAML.
            pub fn name(&self) -> &'static str {
                match self {
                    $($($family::$base(kind) => kind.name(),)+)?
                    $($family::$kind(_) => $word),*
                }
            }

            /// Reads `{kind: ..., ...}`, without the shared keys of the family.
            ///
            /// # Errors
            /// An unknown kind, or a wrong key.
            pub fn read(mut object: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
                $($(if crate::given::is_of(<$base as crate::Kinds>::FAMILY, &object) {
                    return $base::read(object).map($family::$base);
                })+)?
                let kind = crate::given::kind(<$family as crate::Kinds>::FAMILY, &mut object)?;
                match kind.name {
                    $($word => <$kind as crate::Keyed>::read(object).map($family::$kind),)*
                    other => Err(format!("unknown kind {other}")),
                }
            }
        }

        $(impl From<$kind> for $family {
            fn from(kind: $kind) -> Self {
                $family::$kind(kind)
            }
        })*

        $($(impl From<$base> for $family {
            fn from(kind: $base) -> Self {
                $family::$base(kind)
            }
        })+)?

        $(impl Default for $family {
            fn default() -> Self {
                $family::$first($first::default())
            }
        })?

        as_object!($family);
    };
    (@has) => { false };
    (@has $first:ident) => { true };
    (@keys) => { &[] };
    (@keys $shared:ident) => { <$shared as crate::Keyed>::KEYS };
}

/// Serializes a type as the object that `object` makes and `read` reads.
macro_rules! as_object {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[allow(unused_imports)]
                use crate::Keyed as _;
                self.object().serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(unused_imports)]
                use crate::Keyed as _;
                Self::read(serde::Deserialize::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Declares a choice of words, `pub enum Name { Variant = "word" }`.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident $(default $first:ident)? { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
        pub enum $name {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// All words.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word, as written in YAML.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word),+
                }
            }
        }

        impl crate::Field for $name {
            const FORM: crate::ValueForm = crate::ValueForm::Choice(&[$($word),+]);
        }

        $(impl Default for $name {
            fn default() -> Self {
                $name::$first
            }
        })?

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}
