//! Declares problems with their codes, which their own documentation explains: `anyflow explain CODE`.

use std::fmt;

use serde::Serialize;

/// A problem with a code, a text (`Display`) and named parts (`Serialize`).
pub(crate) trait Coded: fmt::Display + Serialize {
    /// The code, as `--json` prints it.
    fn code(&self) -> String;
}

/// A code with its explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeEntry {
    /// The code, as `--json` prints it.
    pub code: String,
    /// When the problem occurs.
    pub cause: String,
    /// A text that has it.
    pub example: String,
    /// What to do.
    pub cure: String,
}

/// Declares problems, each with its text and its parts. The documentation of each has three parts: the cause,
/// `Example: ...` and `Cure: ...`. The `codes` of every declared type belong into the catalogue (`catalogue.rs`) or, for a
/// rule, into the list of rules (`check.rs`).
macro_rules! problems {
    (
        $(#[$meta:meta])*
        pub(crate) enum $name:ident {
            $($(#[doc = $doc:literal])+ #[error($($text:tt)*)] $variant:ident { $($field:ident: $type:ty),* $(,)? },)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, thiserror::Error, serde::Serialize)]
        #[serde(untagged)]
        #[allow(clippy::enum_variant_names, reason = "a code stands alone, so it names what it is about")]
        pub(crate) enum $name {
            $($(#[doc = $doc])+ #[error($($text)*)] $variant { $($field: $type),* },)+
        }

        impl $name {
            /// All codes with their explanations.
            pub(crate) fn codes() -> Vec<$crate::problem::CodeEntry> {
                vec![$($crate::problem::CodeEntry::of(stringify!($variant), concat!($($doc),+))),+]
            }
        }

        impl $crate::problem::Coded for $name {
            fn code(&self) -> String {
                $crate::problem::kebab(match self {
                    $($name::$variant { .. } => stringify!($variant)),+
                })
            }
        }
    };
}
pub(crate) use problems;

impl CodeEntry {
    /// The entry of a variant with this documentation.
    pub(crate) fn of(variant: &str, doc: &str) -> Self {
        let (cause, rest) = doc.split_once(" Example: ").unwrap_or((doc, ""));
        let (example, cure) = rest.split_once(" Cure: ").unwrap_or((rest, ""));
        let [cause, example, cure] = [cause, example, cure].map(|part| part.trim().to_string());
        CodeEntry { code: kebab(variant), cause, example, cure }
    }
}

/// `UnknownKey` as `unknown-key`.
pub(crate) fn kebab(variant: &str) -> String {
    let mut out = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
