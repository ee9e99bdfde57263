//! The reference as Markdown.

use crate::reference::{KeyEntry, Section};

const HEAD: &str = "\
# Reference of the YAML keys

Generated from the tables that read the files; do not edit. `anyflow explain KEY` prints the same in a terminal.

A key is named by its section: `diffuse.sampler` is the key `sampler` of a `diffuse` node, and `sampler.ddim.eta` is the key
`eta` of `{kind: ddim}`. `name: ...` stands for a mapping whose keys are names of your choice, and `{NAME keys}` for a mapping
with the keys of section NAME.
";

/// The whole page. Examples are relative to the `pipelines` folder.
pub fn markdown(sections: &[Section]) -> String {
    let mut out = HEAD.to_string();
    for section in sections {
        out.push_str(&format!("\n## `{}`\n\n", section.name));
        if !section.about.is_empty() {
            let example = section.used_in.as_ref().map(|file| format!(" Used in {}.", link(file))).unwrap_or_default();
            out.push_str(&format!("{}.{example}\n", section.about));
        }
        if section.keys.is_empty() {
            continue;
        }
        if !section.about.is_empty() {
            out.push('\n');
        }
        out.push_str("| key | value | default | meaning | used in |\n|---|---|---|---|---|\n");
        section.keys.iter().for_each(|entry| out.push_str(&row(entry)));
    }
    out
}

fn row(entry: &KeyEntry) -> String {
    let name = entry.name();
    let default = entry.default_text().map(|default| if entry.required { default } else { format!("`{default}`") });
    let default = default.unwrap_or_default();
    let example = entry.used_in.as_deref().map(link).unwrap_or_default();
    format!("| `{name}` | {} | {default} | {} | {example} |\n", cell(&entry.value), cell(&entry.about))
}

fn link(file: &str) -> String {
    format!("[{file}]({file})")
}

/// Text that cannot end a table cell or start a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
