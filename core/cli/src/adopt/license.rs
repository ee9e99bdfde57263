//! The license that the authors of a model give in its model card.

use std::io::Read;
use std::path::Path;

use super::error::{AdoptError, Result};
use crate::regular;

/// The longest model card that is read.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// `license` of the front matter of README.md, or `license_name` for one that has no known name; `None` without either.
pub(super) fn of(folder: &Path) -> Result<Option<String>> {
    let path = folder.join("README.md");
    if !path.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = regular::open(&path).and_then(|file| file.take(MAX_CARD_BYTES).read_to_end(&mut text));
    read.map_err(|source| AdoptError::Read { path: path.display().to_string(), source })?;
    Ok(in_card(&String::from_utf8_lossy(&text)))
}

fn in_card(text: &str) -> Option<String> {
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let matter: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let value = |key: &str| {
        let value = matter.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_string())
    };
    let license = value("license");
    match license.as_deref() {
        None | Some("other") => value("license_name").or(license),
        Some(_) => license,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_license_is_that_of_the_front_matter() {
        let of = |text: &str| in_card(text);
        assert_eq!(
            of("---\ntags:\n- x\nlicense: creativeml-openrail-m\n---\n").as_deref(),
            Some("creativeml-openrail-m")
        );
        assert_eq!(of("---\nlicense: other\nlicense_name: \"flux-1\" # x\n---").as_deref(), Some("flux-1"));
        assert_eq!(of("---\nlicense: other\n---").as_deref(), Some("other"));
        assert_eq!(of("---\ntags: []\n---\nlicense: mit"), None);
        assert_eq!(of("license: mit"), None);
    }
}
