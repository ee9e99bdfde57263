//! `cargo xtask dist`: one folder with all our files, which runs with any libtorch of the right version.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use object::Endianness;
use object::elf::{DT_RPATH, DT_RUNPATH};
use object::read::elf::ElfFile64;
use serde::Deserialize;

use crate::workspace::Workspace;
use crate::{cluster, process, setup};

/// Programs in the folder `bin`.
const PROGRAMS: [&str; 2] = ["anyflow", "anyflow-engine"];

/// The profile of what is shipped. A wheel for tests may have another.
pub const SHIPPED_PROFILE: &str = "compact";

/// Packages that users do not need.
const LEFT_OUT: [&str; 3] = ["xtask", "anyflow-tests", "anyflow-plugin-faulty"];

/// The plugin among them.
const FAULTY: &str = "anyflow_faulty";

/// Files copied from the root.
const DOCUMENTS: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Folders of `pipelines` that stay in the repository: comparisons, and what the quick training writes.
const NOT_SHIPPED: [&str; 2] = ["experiments", "trained"];

/// The entries of the finished folder.
const CONTENTS: [&str; 6] = ["bin", "plugins", "pipelines", DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[2]];

/// Size limit in MB: 55 for programs and plugins, plus the weights of four systems.
pub const LIMIT_BYTES: u64 = 90_000_000;

/// Builds the folder. A rename publishes it as a whole.
///
/// # Errors
///
/// A failed build, a missing file, a result above the size limit, or another folder in its place.
pub fn run(workspace: &Workspace, output: Option<PathBuf>) -> Result<()> {
    let output = output.unwrap_or_else(|| workspace.target.join("dist").join("anyflow"));
    let output = std::path::absolute(&output).with_context(|| format!("{} is not a path", output.display()))?;
    ensure_replaceable(&output)?;
    let built = build(workspace, SHIPPED_PROFILE)?;
    built.ensure_no_run_path()?;

    let parent = output.parent().context("the output cannot be the root of the file system")?;
    let cannot_write = || format!("cannot write to {}", parent.display());
    fs::create_dir_all(parent).with_context(cannot_write)?;
    let work = tempfile::tempdir_in(parent).with_context(cannot_write)?;
    let folder = work.path().join("anyflow");
    fill(&folder, &built, &workspace.root)?;
    weigh(&folder)?;
    if output.exists() {
        fs::rename(&output, work.path().join("earlier")).with_context(cannot_write)?;
    }
    fs::rename(&folder, &output).with_context(cannot_write)?;
    println!("{}", output.display());
    Ok(())
}

/// The built files that go into the folder.
#[derive(Debug, Default, PartialEq)]
pub struct Built {
    /// Both programs.
    pub programs: Vec<PathBuf>,
    /// The libraries of the shipped plugins.
    pub plugins: Vec<PathBuf>,
}

impl Built {
    /// Handles one line of cargo's JSON.
    fn add(&mut self, line: &str) {
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else { return };
        let is = |kind: &str| artifact.target.kind.iter().any(|own| own == kind);
        if is("bin") && PROGRAMS.contains(&artifact.target.name.as_str()) {
            self.programs.extend(artifact.executable);
        } else if is("cdylib") && artifact.target.name != FAULTY {
            self.plugins
                .extend(artifact.filenames.into_iter().filter(|file| file.extension().is_some_and(|e| e == "so")));
        }
    }

    /// Refuses files with a run path.
    ///
    /// # Errors
    ///
    /// A file has one, or cannot be read.
    pub fn ensure_no_run_path(&self) -> Result<()> {
        self.programs.iter().chain(&self.plugins).try_for_each(|file| ensure_no_run_path(file))
    }
}

/// A message of cargo about a built file. Other messages lack these fields.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// Sets up and builds both programs and all shipped plugins.
///
/// # Errors
///
/// The set-up or the build fails.
pub fn build(workspace: &Workspace, profile: &str) -> Result<Built> {
    setup::run(workspace)?;
    let mut command = build_command(workspace.cargo(), profile);
    process::announce(&command);
    let mut running = command.spawn().context("cannot start cargo")?;
    let mut built = Built::default();
    if let Some(messages) = running.stdout.take() {
        BufReader::new(messages).lines().map_while(Result::ok).for_each(|line| built.add(&line));
    }
    ensure!(running.wait()?.success(), "the build failed");
    ensure!(built.programs.len() == PROGRAMS.len(), "the build made {:?}, not {PROGRAMS:?}", built.programs);
    Ok(built)
}

/// In a checkout, programs find libtorch next to the target folder by a run path. Shipped programs must not have one:
/// where they are unpacked, it could lead to a folder that others control. `anyflow` tells the engine where libtorch
/// is. Other profiles build the same as `cargo build`, so that nothing is compiled again.
fn build_command(mut command: Command, profile: &str) -> Command {
    command.args(["build", "--profile", profile, "--workspace", "--exclude", cluster::PACKAGE]);
    if profile == SHIPPED_PROFILE {
        command.env("CARGO_ENCODED_RUSTFLAGS", "");
        command.args(LEFT_OUT.iter().flat_map(|package| ["--exclude", package]));
    }
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    command
}

/// Refuses a file with a run path.
fn ensure_no_run_path(file: &Path) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Ok(elf) = ElfFile64::<Endianness>::parse(bytes.as_slice()) else { return Ok(()) };
    let table = elf.elf_section_table().dynamic_table(elf.endian(), bytes.as_slice())?;
    let has_one = table.iter().any(|entry| matches!(entry.tag, DT_RUNPATH | DT_RPATH));
    ensure!(!has_one, "{} has a run path that leads out of its folder", file.display());
    Ok(())
}

/// Copies the built files, the documents and the pipelines into the folder.
///
/// # Errors
///
/// A file cannot be read or written.
pub fn fill(folder: &Path, built: &Built, root: &Path) -> Result<()> {
    copy_all(&built.programs, &folder.join("bin"))?;
    copy_all(&built.plugins, &folder.join("plugins"))?;
    copy_all(&DOCUMENTS.map(|name| root.join(name)), folder)?;
    copy_tree(&root.join("pipelines"), &folder.join("pipelines"))
}

fn copy_all(files: &[PathBuf], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for file in files {
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

/// Copies a folder without the folders of [`NOT_SHIPPED`].
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if NOT_SHIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let source = entry.path();
        let copy = to.join(entry.file_name());
        if source.is_dir() {
            copy_tree(&source, &copy)?;
        } else {
            fs::copy(&source, &copy).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Prints the size of each part and checks the total against the limit.
fn weigh(folder: &Path) -> Result<()> {
    let mut total = 0;
    for name in CONTENTS {
        let bytes = size_bytes(&folder.join(name))?;
        println!("{:>8} {name}", megabytes(bytes));
        total += bytes;
    }
    println!("{:>8} in total", megabytes(total));
    ensure!(
        total <= LIMIT_BYTES,
        "the folder has {} MB, more than the limit of {} MB; see the sizes above",
        megabytes(total),
        megabytes(LIMIT_BYTES)
    );
    Ok(())
}

fn size_bytes(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| size_bytes(&entry?.path())).sum()
}

/// Megabytes with two decimals.
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

/// Refuses to replace a folder that is not an earlier result.
fn ensure_replaceable(output: &Path) -> Result<()> {
    if !output.exists() {
        return Ok(());
    }
    let entries = fs::read_dir(output).with_context(|| format!("{} is not a folder", output.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        if !CONTENTS.iter().any(|own| name == *own) {
            bail!("{} contains {}, which is not from dist: choose another --output", output.display(), name.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, name: &str, files: &[&str], executable: Option<&str>) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "package_id": "x", "target": {"kind": [kind], "name": name},
            "filenames": files, "executable": executable,
        })
        .to_string()
    }

    #[test]
    fn programs_and_plugins_are_picked_from_what_cargo_says() {
        let mut built = Built::default();
        built.add(&message("lib", "anyflow_plan", &["/t/libanyflow_plan.rlib"], None));
        built.add(&message("bin", "other", &["/t/other"], Some("/t/other")));
        built.add(&message("bin", "anyflow", &["/t/anyflow"], Some("/t/anyflow")));
        built.add(&message("cdylib", "anyflow_image", &["/t/libanyflow_image.so", "/t/libanyflow_image.rlib"], None));
        built.add(&message("cdylib", FAULTY, &["/t/libanyflow_faulty.so"], None));
        built.add(r#"{"reason":"build-finished","success":true}"#);
        built.add("not JSON");
        let expected = Built { programs: vec!["/t/anyflow".into()], plugins: vec!["/t/libanyflow_image.so".into()] };
        assert_eq!(built, expected);
    }

    /// A checkout with all files that dist copies.
    fn checkout() -> (tempfile::TempDir, Built) {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            path
        };
        for document in DOCUMENTS {
            file(document);
        }
        file("pipelines/mld/joint.yaml");
        file("pipelines/mld/experiments/compare.yaml");
        let built = Built { programs: vec![file("t/anyflow")], plugins: vec![file("t/libanyflow_text.so")] };
        (root, built)
    }

    #[test]
    fn the_distribution_is_complete() {
        let (root, built) = checkout();
        let folder = root.path().join("dist");
        fill(&folder, &built, root.path()).unwrap();
        for file in ["bin/anyflow", "plugins/libanyflow_text.so", "pipelines/mld/joint.yaml", "LICENSE-MIT"] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        assert!(!folder.join("pipelines/mld/experiments").exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), CONTENTS.len());
        weigh(&folder).unwrap();
    }

    #[test]
    fn shipped_programs_have_no_run_path() {
        let command = build_command(Command::new("cargo"), SHIPPED_PROFILE);
        let flags = command.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS");
        assert_eq!(flags.and_then(|(_, value)| value), Some("".as_ref()));
        let folder = tempfile::tempdir().unwrap();
        let library = |name: &str, option: &str| {
            let path = folder.path().join(name);
            let made = Command::new("cc").args(["-shared", "-x", "c", "/dev/null", option, "-o"]).arg(&path).status();
            assert!(made.unwrap().success());
            path
        };
        ensure_no_run_path(&library("plain.so", "-O1")).unwrap();
        let error = ensure_no_run_path(&library("leads.so", "-Wl,-rpath,$ORIGIN/../..")).unwrap_err().to_string();
        assert!(error.contains("run path"), "{error}");
    }

    #[test]
    fn a_distribution_above_the_size_limit_is_refused() {
        let (root, built) = checkout();
        let folder = root.path().join("dist");
        fill(&folder, &built, root.path()).unwrap();
        let large = fs::File::create(folder.join("pipelines/large.safetensors")).unwrap();
        large.set_len(LIMIT_BYTES).unwrap();
        assert!(weigh(&folder).unwrap_err().to_string().contains("limit of 90.00 MB"));
    }

    #[test]
    fn a_missing_document_is_named() {
        let (root, built) = checkout();
        fs::remove_file(root.path().join("README.md")).unwrap();
        let error = fill(&root.path().join("dist"), &built, root.path()).unwrap_err();
        assert!(error.to_string().ends_with("README.md"), "{error}");
    }

    #[test]
    fn only_an_earlier_distribution_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        ensure_replaceable(&folder.path().join("absent")).unwrap();
        ensure_replaceable(folder.path()).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        ensure_replaceable(folder.path()).unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        assert!(ensure_replaceable(folder.path()).unwrap_err().to_string().contains("thesis.tex"));
    }
}
