//! Every code is explained, and a broken file shows it: each snapshot of `check` begins with the codes in it.

use std::collections::BTreeSet;

use anyflow_plan::codes;

use crate::bench::folder;

/// The codes in the snapshots of broken files.
fn shown() -> (usize, BTreeSet<String>) {
    let files = std::fs::read_dir(folder().join("tests/snapshots")).unwrap().map(|entry| entry.unwrap().path());
    let of_errors = |name: &str| name.starts_with("error-") || name.starts_with("warn");
    let broken = files.filter(|path| of_errors(path.file_name().unwrap().to_str().unwrap()));
    let texts: Vec<String> = broken.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let first = |text: &str| text.splitn(3, "---\n").nth(2).unwrap().lines().next().unwrap_or_default().to_string();
    let codes = texts.iter().map(|text| first(text));
    let codes = codes.flat_map(|line| line.split(", ").map(str::to_string).collect::<Vec<_>>());
    (texts.len(), codes.collect())
}

#[test]
fn every_code_has_cause_example_and_cure() {
    let codes = codes();
    for entry in &codes {
        let parts = [&entry.cause, &entry.example, &entry.cure];
        assert!(parts.iter().all(|part| part.len() > 1 && part.ends_with('.')), "{entry:?}");
    }
    let names: BTreeSet<&str> = codes.iter().map(|entry| entry.code.as_str()).collect();
    assert!(names.len() == codes.len() && codes.len() > 60, "{} codes, {} names", codes.len(), names.len());
}

#[test]
fn a_broken_file_shows_each_code() {
    let (files, shown) = shown();
    // Nothing shows a bug, and the code of the surplus is told by the errors that it counts.
    let shows_itself = |code: &String| !["internal", "more"].contains(&code.as_str());
    let known: BTreeSet<String> = codes().into_iter().map(|entry| entry.code).filter(shows_itself).collect();
    let missing: Vec<&String> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "no broken file of tests/plan shows {missing:?}");
    assert!(files >= 80, "only {files} broken files");
}
