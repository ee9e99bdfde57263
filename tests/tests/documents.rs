//! The documents keep their promises: links lead somewhere, commands name files that exist, examples compile, and the first
//! page stays short.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_tests::{Output, command_in, files_below};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const README: &str = include_str!("../../README.md");
const LANGUAGE: &str = include_str!("../../pipelines/README.md");

/// Folders of this repository that commands name.
const FOLDERS: [&str; 5] = ["pipelines/", "datasets/", "plugins/", "core/", "tests/"];

/// A fenced block of a document.
struct Block<'a> {
    language: &'a str,
    text: String,
}

/// A document, split into its fenced blocks and the lines outside of them.
struct Document<'a> {
    prose: Vec<&'a str>,
    blocks: Vec<Block<'a>>,
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        let mut document = Document { prose: Vec::new(), blocks: Vec::new() };
        let mut open: Option<Block<'_>> = None;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => document.blocks.push(block),
                (Some(language), None) => open = Some(Block { language, text: String::new() }),
                (None, Some(mut block)) => {
                    block.text += line;
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => document.prose.push(line),
            }
        }
        assert!(open.is_none(), "a fenced block does not end");
        document
    }

    fn blocks_of(&self, languages: &[&str]) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter(move |block| languages.contains(&block.language)).map(|block| block.text.as_str())
    }
}

/// Every tracked document: its path from the root, and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let listed = Command::new("git").args(["ls-files", "-z", "*.md"]).current_dir(ROOT).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<PathBuf> = listed.split_terminator('\0').map(PathBuf::from).collect();
    assert!(files.len() >= 10, "{files:?}");
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap())).collect()
}

/// The targets of links and images, without what stands in back quotes.
fn links(line: &str) -> Vec<&str> {
    let code = |start: usize| line[..start].matches('`').count() % 2 == 1;
    let found = line.match_indices("](").filter(|(start, _)| !code(*start));
    found.filter_map(|(start, _)| line[start + 2..].split([')', ' ']).next()).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(file: &Path, wanted: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    let document = Document::new(&text);
    let headings = document.prose.iter().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#'))).any(|found| found == wanted)
}

/// Why a link leads nowhere; links to other hosts are not followed.
fn broken(file: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, fragment) = target.split_once('#').map_or((target, None), |(path, fragment)| (path, Some(fragment)));
    let document = Path::new(ROOT).join(file);
    let found = if path.is_empty() { document } else { document.parent()?.join(path) };
    if !found.exists() {
        return Some(format!("{}: link to {target}, which does not exist", file.display()));
    }
    let missing = fragment.filter(|fragment| !has_anchor(&found, fragment))?;
    Some(format!("{}: link to {target}, which has no heading #{missing}", file.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut findings = Vec::new();
    let mut count = 0;
    for (file, text) in documents() {
        for target in Document::new(&text).prose.iter().flat_map(|line| links(line)) {
            count += 1;
            findings.extend(broken(&file, target));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(count > 50, "{count}");
}

/// The words of a line of shell.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || "'\"=;,()".contains(c)).filter(|word| !word.is_empty())
}

/// What a line of shell writes.
fn written(line: &str) -> Option<&str> {
    if line.starts_with("cp ") { words(line).last() } else { words(line).skip_while(|word| *word != "--output").nth(1) }
}

/// A path of this repository, if the word is one; of a pattern the folder before it.
fn path(word: &str) -> Option<&str> {
    let is_ours = FOLDERS.iter().any(|folder| word.starts_with(folder));
    let end = word.find(['*', '{', '$']).map(|end| word[..end].rfind('/').unwrap_or(0));
    is_ours.then(|| &word[..end.unwrap_or(word.len())])
}

#[test]
fn every_file_that_a_command_names_exists() {
    let mut findings = Vec::new();
    let mut count = 0;
    for (file, text) in documents() {
        let document = Document::new(&text);
        let lines: Vec<&str> = document.blocks_of(&["sh", "console"]).flat_map(str::lines).collect();
        let made: Vec<&str> = lines.iter().copied().filter_map(written).collect();
        for path in lines.iter().copied().flat_map(words).filter_map(path) {
            count += 1;
            let is_made = made.iter().any(|made| path.starts_with(made));
            if !is_made && !Path::new(ROOT).join(path).exists() {
                findings.push(format!("{}: a command names {path}, which does not exist", file.display()));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(count > 10, "{count}");
}

#[test]
fn the_first_page_stays_short() {
    let lines = README.lines().count();
    assert!(lines <= 250, "README.md has {lines} lines; at most 250: move details to the README of their folder");
    assert!(README.len() <= 16 << 10, "README.md has {} bytes; at most 16 KiB", README.len());
    for (number, line) in (1..).zip(README.lines()) {
        let length = line.chars().count();
        assert!(line.starts_with('|') || length <= 160, "README.md:{number} has {length} characters; at most 160");
    }
}

/// A copy of the shipped YAML files and of the words that they name, for examples to stand among.
fn pipelines() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(ROOT);
    let shipped = ["yaml", "txt"].into_iter().flat_map(|extension| files_below(&root.join("pipelines"), extension));
    for file in shipped {
        let copy = folder.path().join(file.strip_prefix(root).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&file, &copy).unwrap();
    }
    folder
}

/// Writes the examples of a document into the file that the first line of each names.
fn write_examples(document: &str, root: &Path) -> Vec<PathBuf> {
    let document = Document::new(document);
    let write = |block: &str| {
        let name = block.lines().next().unwrap().strip_prefix("# ").filter(|name| name.starts_with("pipelines/"));
        let file = root.join(name.unwrap_or_else(|| panic!("the first line names no file below pipelines/:\n{block}")));
        std::fs::write(&file, block).unwrap();
        file
    };
    document.blocks_of(&["yaml"]).map(write).collect()
}

fn check(file: &Path) -> Output {
    let name = file.file_name().unwrap();
    Output::of(command_in(file.parent().unwrap(), &[], ["check".as_ref(), name]))
}

#[test]
fn every_example_of_the_language_compiles() {
    let folder = pipelines();
    let examples = [LANGUAGE, README].into_iter().flat_map(|text| write_examples(text, folder.path()));
    let examples: Vec<PathBuf> = examples.collect();
    assert!(examples.len() >= 11, "{examples:?}");
    for example in examples {
        let output = check(&example);
        assert_eq!(output.code, 0, "{}:\n{}{}", example.display(), output.out, output.err);
    }
}

#[test]
fn the_errors_on_the_first_page_are_those_that_the_program_prints() {
    let folder = pipelines();
    let example = write_examples(README, folder.path()).remove(0);
    let mut text = std::fs::read_to_string(&example).unwrap();
    for (right, wrong) in [("encode: image/autoencoder", "encode: image/autoencodr"), ("joint.audio", "joint.audoi")] {
        assert!(text.contains(right), "{right}");
        text = text.replace(right, wrong);
    }
    std::fs::write(&example, text).unwrap();
    let output = check(&example);
    let document = Document::new(README);
    let shown = document.blocks_of(&["text"]).next().unwrap();
    assert_eq!(output.code, 2);
    assert_eq!(output.err.trim(), shown.trim());
}
