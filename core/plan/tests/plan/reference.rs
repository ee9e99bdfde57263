//! The reference in `pipelines/REFERENCE.md` matches the tables, and every key ships with a file that uses it.
//! `ANYFLOW_UPDATE_SCHEMA=1 cargo test -p anyflow-plan` rewrites the reference and its list of examples.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyflow_plan::Source;
use anyflow_plan::reference::{self, Examples};

use crate::bench::{folder, generators};

fn pipelines() -> PathBuf {
    folder().join("../../pipelines")
}

/// All YAML files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

/// Key -> the best shipped file that uses it: a product file before an example, an example before an experiment.
fn examples() -> Examples {
    let root = pipelines();
    let mut found = Vec::new();
    files(&root, &mut found);
    let mut best: BTreeMap<String, (u8, String)> = BTreeMap::new();
    for path in found {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let has = |part: &str| name.split('/').any(|folder| folder == part);
        let is_experiment = ["experiments", "ablations", "baselines"].into_iter().any(has);
        let rank = if is_experiment { 2 } else { u8::from(has("examples")) };
        for key in reference::used_keys(&Source::new(&name, std::fs::read_to_string(&path).unwrap())).unwrap() {
            let candidate = (rank, name.clone());
            let kept = best.entry(key).or_insert_with(|| candidate.clone());
            if candidate < *kept {
                *kept = candidate;
            }
        }
    }
    best.into_iter().map(|(key, (_, file))| (key, file)).collect()
}

fn assert_fresh(path: &Path, wanted: &str) {
    if std::env::var_os("ANYFLOW_UPDATE_SCHEMA").is_some() {
        std::fs::write(path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: set ANYFLOW_UPDATE_SCHEMA=1 and run the tests again", path.display());
}

#[test]
fn the_reference_is_up_to_date() {
    let examples = examples();
    let mut lines = String::new();
    examples.iter().for_each(|(key, file)| writeln!(lines, "{key}\t{file}").unwrap());
    assert_fresh(&folder().join("src/reference/examples.tsv"), &lines);
    assert_fresh(
        &pipelines().join("REFERENCE.md"),
        &reference::markdown(&reference::sections(&examples, &generators())),
    );
}

#[test]
fn every_key_and_kind_ships_with_a_file_that_uses_it() {
    let examples = examples();
    let mut unused = Vec::new();
    for section in reference::sections(&examples, &generators()) {
        if section.is_kind() && section.used_in.is_none() {
            unused.push(section.name.clone());
        }
        unused.extend(section.keys.iter().filter(|entry| entry.used_in.is_none()).map(|entry| entry.key.clone()));
    }
    assert!(unused.is_empty(), "add a file below pipelines/examples, or remove the keys: {unused:?}");
}

#[test]
fn keys_are_found_by_the_end_of_their_name() {
    let keys = |name: &str| -> Vec<String> {
        let sections = reference::find(name, &generators()).unwrap();
        sections.iter().flat_map(|section| &section.keys).map(|entry| entry.key.clone()).collect()
    };
    assert_eq!(keys("sampler.ddim.eta"), ["sampler.ddim.eta"]);
    assert_eq!(keys("ddim"), ["sampler.ddim.eta"]);
    assert_eq!(keys("eta"), ["sampler.ddim.eta", "sampler.euler-ancestral.eta"]);
    assert!(keys("sampler").contains(&"sampler.steps".to_string()));
    assert_eq!(reference::find("obsrve", &generators()).unwrap_err().suggestion.as_deref(), Some("observe"));
    assert_eq!(reference::find("xyzzy", &generators()).unwrap_err().suggestion, None);
}
