//! Builds the test plugin with one fault per library; each macro in its source is a fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Macros that are not faults, or that make the plugin hang.
const APART: [&str; 1] = ["KEEPS_CELLS"];

/// The libraries, each in a folder named after its macro.
pub struct Plugins {
    folders: Vec<PathBuf>,
}

impl Plugins {
    /// Builds one library for each macro of the source.
    ///
    /// # Errors
    /// One does not compile.
    pub fn build(root: &Path, source: &str, folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(source))?;
        let mut folders = Vec::new();
        for name in macros(&text).into_iter().filter(|name| !APART.contains(&name.as_str())) {
            let place = folder.join(&name);
            fs::create_dir_all(&place)?;
            let mut command = Command::new("cc");
            command.args(["-std=gnu11", "-O1", "-w", "-shared", "-fPIC", "-I", "core/abi/include", source, "-o"]);
            command.arg(place.join("libanyflow_faults.so")).arg(format!("-D{name}{}", value(&name)));
            let output = command.current_dir(root).output().context("cannot start cc")?;
            ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            folders.push(place);
        }
        Ok(Plugins { folders })
    }

    /// The folder of a library, and its macro.
    pub fn nth(&self, number: u64) -> (&Path, String) {
        let folder = &self.folders[number as usize % self.folders.len()];
        (folder, folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }
}

/// The macros that the source tests; excludes those that it only gives defaults.
fn macros(text: &str) -> Vec<String> {
    let asked = text.lines().filter_map(|line| line.strip_prefix("#ifdef ").or(line.strip_prefix("#if defined(")));
    let elses = text.lines().filter_map(|line| line.strip_prefix("#elif defined("));
    let names = asked.chain(elses).map(|name| name.trim_end_matches(')').trim().to_string());
    let mut names: Vec<String> =
        names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
    names.sort();
    names.dedup();
    names
}

fn value(name: &str) -> &'static str {
    if name == "CODE_LIBTORCH" { "=\"2.0\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injection_macros_are_read_from_the_source() {
        let text = "#ifndef DEFAULTED\n#ifdef ONE\n#if defined(TWO)\n#elif defined(THREE)\n#ifdef ONE\n";
        assert_eq!(macros(text), ["ONE", "THREE", "TWO"]);
    }
}
