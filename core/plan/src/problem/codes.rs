//! The codes of problems, explained by their own documentation: `anyflow explain CODE`.

use serde::Serialize;

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

/// Declares the problems. The documentation of each has three parts: the cause, `Example: ...` and `Cure: ...`.
macro_rules! problems {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])+ #[error($($text:tt)*)] $variant:ident { $($field:ident: $type:ty),* $(,)? },)+
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[doc = $doc])+ #[error($($text)*)] $variant { $($field: $type),* },)+
        }

        impl $name {
            /// The code of this problem.
            pub fn code(&self) -> String {
                codes::kebab(match self {
                    $($name::$variant { .. } => stringify!($variant)),+
                })
            }

            /// All codes with their explanations.
            pub fn codes() -> Vec<CodeEntry> {
                vec![$(CodeEntry::of(stringify!($variant), concat!($($doc),+))),+]
            }
        }
    };
}

impl CodeEntry {
    /// The entry of a variant with this documentation.
    pub(super) fn of(variant: &str, doc: &str) -> Self {
        let (cause, rest) = doc.split_once(" Example: ").unwrap_or((doc, ""));
        let (example, cure) = rest.split_once(" Cure: ").unwrap_or((rest, ""));
        let [cause, example, cure] = [cause, example, cure].map(|part| part.trim().to_string());
        CodeEntry { code: kebab(variant), cause, example, cure }
    }
}

/// `UnknownKey` as `unknown-key`, as serde writes it.
pub(super) fn kebab(variant: &str) -> String {
    let mut out = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Problem;

    #[test]
    fn every_code_has_cause_example_and_cure() {
        let codes = Problem::codes();
        for entry in &codes {
            assert!([&entry.cause, &entry.example, &entry.cure].iter().all(|part| part.ends_with('.')), "{entry:?}");
        }
        let mut names: Vec<&str> = codes.iter().map(|entry| entry.code.as_str()).collect();
        names.dedup();
        assert!(names.len() == codes.len() && codes.len() > 30);
    }

    #[test]
    fn codes_are_those_of_json() {
        let known = Problem::codes();
        for problem in [
            Problem::UnknownKey { key: "a".into(), within: "b".into(), hint: Default::default() },
            Problem::NotAColumn { text: "a".into(), hint: Default::default() },
            Problem::Impossible { text: "a".into() },
        ] {
            let json = serde_json::to_value(&problem).unwrap();
            assert_eq!(json["code"], problem.code());
            assert!(known.iter().any(|entry| entry.code == problem.code()), "{json}");
        }
    }
}
