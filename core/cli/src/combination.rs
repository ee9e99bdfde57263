//! A combination of a sweep: the keys that it sets, and why it failed. Its file lies in the folder of its output, where
//! `report` reads it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{CliError, Result};
use crate::order;
use crate::regular;

/// Its file inside the output folder.
const COMBINATION_FILE: &str = "combination.json";

/// Maximum bytes of the name of its folder, without a hash.
const LONGEST_NAME: usize = 120;

/// One value for each key of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    /// Path of a key -> its value, as `--set` takes them.
    pub set: Map<String, Value>,
    /// The error of the last command, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

impl Combination {
    /// Reads the combination of an output folder; `None` if the folder is not part of a sweep.
    pub fn read(folder: &Path) -> Option<Self> {
        regular::json(&folder.join(COMBINATION_FILE))
    }

    /// Writes it into an output folder, which it creates.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(CliError::write(folder))?;
        let text = serde_json::to_vec_pretty(self).map_err(CliError::internal)?;
        order::write_whole(&folder.join(COMBINATION_FILE), &text)
    }

    /// The name of its folder: `joint.sampler.steps=4,joint.seed=1`. Every sweep with this combination finds it there,
    /// whatever the order of its options. Characters that are awkward in file names become `-`, and a hash tells such
    /// names apart.
    pub fn folder_name(&self) -> String {
        let mut pairs: Vec<String> = self.set.iter().map(|(path, value)| format!("{path}={}", plain(value))).collect();
        pairs.sort();
        let exact = pairs.join(",");
        let name = safe(&exact);
        if name == exact && name.len() <= LONGEST_NAME {
            return name;
        }
        let hash = blake3::hash(exact.as_bytes()).to_hex();
        let cut: String = name.chars().take(LONGEST_NAME).collect();
        format!("{}-{}", cut.trim_end_matches('-'), &hash[..8])
    }
}

/// A value without the quotes of a string.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn safe(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || "._=,+-".contains(c) { c } else { '-' };
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(set: Value) -> String {
        Combination { set: set.as_object().unwrap().clone(), error: None }.folder_name()
    }

    #[test]
    fn a_folder_has_a_readable_name_of_its_own() {
        assert_eq!(named(json!({"joint.seed": 1, "joint.sampler.steps": 4})), "joint.sampler.steps=4,joint.seed=1");
        assert_eq!(named(json!({"a.b": -0.5, "c": "x"})), "a.b=-0.5,c=x");
        let kind = named(json!({"joint.sampler": {"kind": "ddim", "steps": 4}}));
        assert!(kind.starts_with("joint.sampler=-kind-ddim-,-steps-4-"), "{kind}");
        let names =
            [json!({"a": "x/y"}), json!({"a": "x-y"}), json!({"a": "x y"}), json!({"a": ["x", "y"]})].map(named);
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| !name.contains(['/', ' '])), "{names:?}");
        let long = named(json!({"a": "x".repeat(1000)}));
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn a_combination_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/one");
        assert_eq!(Combination::read(&path), None);
        let set = json!({"a": 1.5}).as_object().unwrap().clone();
        let combination = Combination { set, error: Some(json!({"code": "plan"})) };
        combination.write(&path).unwrap();
        assert_eq!(Combination::read(&path), Some(combination));
    }
}
