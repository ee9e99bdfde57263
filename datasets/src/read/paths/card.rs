//! Dataset cards: the `configs` in the front matter of a folder's `README.md`, as the Hugging Face hub has them.

mod config;

use std::path::Path;

use serde::Deserialize;

pub(super) use config::Config;

use super::selection::Selection;
use super::tree::Tree;
use super::{Found, shown, splits};
use crate::error::{DatasetError, Result};

const FILE: &str = "README.md";
/// The longest card whose front matter is read.
const MAX_BYTES: u64 = 1 << 20;
/// The name of a configuration that has none.
const DEFAULT: &str = "default";

/// The part of a card that is read.
#[derive(Debug, Default, Deserialize)]
struct Card {
    #[serde(default)]
    configs: Vec<Config>,
}

/// The configurations of a folder's card; `None` if it has no card, or one without configurations.
///
/// # Errors
/// The card has configurations that cannot be read.
pub(super) fn read(tree: &Tree, folder: &Path) -> Result<Option<Vec<Config>>> {
    let path = folder.join(FILE);
    let Some(text) = tree.text(&path, MAX_BYTES)? else { return Ok(None) };
    let Some(front) = front_matter(&text).filter(|front| front.lines().any(|line| line.starts_with("configs:"))) else {
        return Ok(None);
    };
    let card: Card = serde_saphyr::from_str(front).map_err(|error| DatasetError::Record {
        path,
        reason: format!("its `configs` are not those of a dataset card ({error})"),
    })?;
    Ok(Some(card.configs).filter(|configs| !configs.is_empty()))
}

/// The YAML between the first two lines of `---`.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"))?;
    let end = rest.find("\n---")?;
    Some(&rest[..end + 1])
}

/// The files that the user means.
///
/// # Errors
/// [`DatasetError::Splits`] if there are several configurations or splits and none was named, or there is none of this
/// name; [`DatasetError::Empty`] if the card names no Parquet file.
pub(super) fn files(tree: &Tree, folder: &Path, configs: Vec<Config>, selection: &Selection) -> Result<Vec<Found>> {
    let (config, selection) = config_and_split(folder, &configs, selection)?;
    let files = config.files(tree, folder)?;
    let several = configs.len() > 1;
    let chosen = splits::chosen(folder, files, &selection, |file| file.split.clone()).map_err(|error| match error {
        DatasetError::Splits { path, reason, choices } if several => {
            let with_config = |choice: String| choice.replacen('#', &format!("#{}/", config.config_name), 1);
            DatasetError::Splits { path, reason, choices: choices.into_iter().map(with_config).collect() }
        }
        other => other,
    })?;
    Ok(chosen.into_iter().map(|file| Found::named(file.path)).collect())
}

/// The configuration that the user means, and the split of it.
fn config_and_split<'c>(
    folder: &Path,
    configs: &'c [Config],
    selection: &Selection,
) -> Result<(&'c Config, Selection)> {
    let named = |name: &str| configs.iter().find(|config| config.config_name == name);
    if let Selection::Named(name) = selection {
        if let Some(config) = named(name) {
            return Ok((config, Selection::Default));
        }
        if let Some((name, split)) = name.split_once('/')
            && let Some(config) = named(name)
        {
            let split = if split == "all" { Selection::All } else { Selection::Named(split.into()) };
            return Ok((config, split));
        }
    }
    let marked = configs.iter().find(|config| config.default).or_else(|| named(DEFAULT));
    let only = if let [only] = configs { Some(only) } else { marked };
    if let Some(config) = only {
        return Ok((config, selection.clone()));
    }
    let names: Vec<&str> = configs.iter().map(|config| config.config_name.as_str()).collect();
    let reason = match selection {
        Selection::Named(name) => format!("there is no configuration `{name}`; its card has {}", names.join(", ")),
        _ => format!("its card has several configurations: {}", names.join(", ")),
    };
    let choices = names.into_iter().map(|name| shown(folder, name)).collect();
    Err(DatasetError::Splits { path: folder.to_path_buf(), reason, choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_matter_ends_at_the_second_line_of_dashes() {
        assert_eq!(front_matter("---\na: 1\n---\ntext\n---\n"), Some("a: 1\n"));
        assert_eq!(front_matter("---\r\na: 1\r\n---\r\ntext"), Some("a: 1\r\n"));
        for text in ["", "# Title\n---\n", "---\na: 1\n", "---"] {
            assert_eq!(front_matter(text), None, "{text:?}");
        }
    }
}
