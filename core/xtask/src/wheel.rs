//! `cargo xtask wheel`: the Python wheel, with the files of `cargo xtask dist` inside the package `anyflow`.

mod archive;
mod metadata;
mod platform;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::dist::{self, Built};
use crate::workspace::Workspace;
use archive::{Archive, Entry};
use metadata::Metadata;

/// The sources of the Python package, relative to the root.
const PACKAGE: &str = "core/python/anyflow";

/// The text that package indexes show.
const DESCRIPTION: &str = "core/python/README.md";

/// The folder of programs, plugins and pipelines inside the package; `anyflow/program.py` looks for it there.
const INSIDE: &str = "anyflow/dist";

/// Options of `cargo xtask wheel`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Output folder [default: dist in the target directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Cargo profile of programs and plugins; other profiles than `compact` make wheels for tests on this machine
    #[arg(long, default_value = dist::SHIPPED_PROFILE)]
    profile: String,
}

/// Builds the programs and writes the wheel. A rename publishes it as a whole.
///
/// # Errors
///
/// A failed build, a file that cannot be read or written, or a wheel above the size limit of `cargo xtask dist`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let output = options.output.clone().unwrap_or_else(|| workspace.target.join("dist"));
    let built = dist::build(workspace, &options.profile)?;
    let is_shipped = options.profile == dist::SHIPPED_PROFILE;
    if is_shipped {
        built.ensure_no_run_path()?;
    }
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let work = tempfile::tempdir_in(&output).with_context(|| format!("cannot write to {}", output.display()))?;
    let wheel = write(work.path(), &built, &workspace.root, is_shipped)?;
    let bytes = fs::metadata(&wheel)?.len();
    ensure!(
        bytes <= dist::LIMIT_BYTES || !is_shipped,
        "the wheel has {} MB, more than the limit of {} MB",
        dist::megabytes(bytes),
        dist::megabytes(dist::LIMIT_BYTES)
    );
    let published = output.join(wheel.file_name().unwrap_or_default());
    fs::rename(&wheel, &published).with_context(|| format!("cannot write {}", published.display()))?;
    println!("{:>8} {}", dist::megabytes(bytes), published.display());
    Ok(())
}

/// Writes the wheel into a folder and returns its path. The same files give the same bytes.
fn write(folder: &Path, built: &Built, root: &Path, is_small: bool) -> Result<PathBuf> {
    let files = folder.join("dist");
    dist::fill(&files, built, root)?;
    let metadata = Metadata::new(platform::tag(built.programs.iter().chain(&built.plugins))?);
    let path = folder.join(metadata.file_name());
    let mut archive = Archive::new(File::create(&path)?, is_small);
    let package = Path::new(PACKAGE).file_name().map(PathBuf::from).unwrap_or_default();
    for entry in sources(&root.join(PACKAGE), &package)?.into_iter().chain(contents(&files)?) {
        archive.add(&entry)?;
    }
    let description =
        fs::read_to_string(root.join(DESCRIPTION)).with_context(|| format!("cannot read {DESCRIPTION}"))?;
    for (name, text) in metadata.files(&description) {
        archive.add(&Entry::new(metadata.inside(name), text))?;
    }
    for license in metadata::LICENSES {
        let text = fs::read(root.join(license)).with_context(|| format!("cannot read {license}"))?;
        archive.add(&Entry::new(metadata.inside(&format!("licenses/{license}")), text))?;
    }
    archive.finish(&metadata.inside("RECORD"))?;
    Ok(path)
}

/// The Python sources, without what Python caches.
fn sources(folder: &Path, inside: &Path) -> Result<Vec<Entry>> {
    let mut entries = Entry::below(folder, inside)?;
    entries.retain(|entry| !entry.name.contains("__pycache__"));
    Ok(entries)
}

/// The files of the distribution: its programs are executable. The documents at its top are not needed twice.
fn contents(files: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for part in ["bin", "plugins", "pipelines"] {
        entries.extend(Entry::below(&files.join(part), &Path::new(INSIDE).join(part))?);
    }
    let programs = format!("{INSIDE}/bin/");
    entries.iter_mut().for_each(|entry| entry.is_executable = entry.name.starts_with(&programs));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;
    use std::process::Command;

    use zip::ZipArchive;

    use super::*;

    /// A checkout with small files in place of the built ones.
    fn checkout() -> (tempfile::TempDir, Built) {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{name}\n").repeat(9)).unwrap();
            path
        };
        for name in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", DESCRIPTION, "core/python/anyflow/__init__.py"] {
            file(name);
        }
        file("core/python/anyflow/__pycache__/__init__.cpython-311.pyc");
        file("pipelines/mld/joint.yaml");
        let built = Built { programs: vec![file("t/anyflow")], plugins: vec![file("t/libanyflow_text.so")] };
        (root, built)
    }

    fn wheel() -> (tempfile::TempDir, PathBuf) {
        let (root, built) = checkout();
        let path = write(root.path(), &built, root.path(), true).unwrap();
        (root, path)
    }

    fn files(wheel: &Path) -> Vec<(String, Vec<u8>)> {
        let mut archive = ZipArchive::new(File::open(wheel).unwrap()).unwrap();
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.push((entry.name().to_owned(), bytes));
        }
        files
    }

    #[test]
    fn the_wheel_is_complete() {
        let (_root, wheel) = wheel();
        let version = env!("CARGO_PKG_VERSION");
        let names: BTreeSet<String> = files(&wheel).into_iter().map(|(name, _)| name).collect();
        let expected = [
            "anyflow/__init__.py".into(),
            "anyflow/dist/bin/anyflow".into(),
            "anyflow/dist/pipelines/mld/joint.yaml".into(),
            "anyflow/dist/plugins/libanyflow_text.so".into(),
        ];
        let described =
            ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE-APACHE", "licenses/LICENSE-MIT"];
        let described = described.map(|name| format!("anyflow-{version}.dist-info/{name}"));
        assert_eq!(names, expected.into_iter().chain(described).collect());
    }

    #[test]
    fn only_programs_are_executable() {
        let (_root, wheel) = wheel();
        let mut archive = ZipArchive::new(File::open(wheel).unwrap()).unwrap();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).unwrap();
            let is_program = entry.name().starts_with("anyflow/dist/bin/");
            assert_eq!(entry.unix_mode(), Some(if is_program { 0o100_755 } else { 0o100_644 }), "{}", entry.name());
        }
    }

    #[test]
    fn the_record_has_every_file_with_its_length() {
        let (_root, wheel) = wheel();
        let files = files(&wheel);
        let (_, record) = files.iter().find(|(name, _)| name.ends_with("/RECORD")).unwrap();
        let record = String::from_utf8(record.clone()).unwrap();
        let lines: Vec<Vec<&str>> = record.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), files.len());
        for ((name, bytes), line) in files.iter().zip(&lines) {
            assert_eq!(line[0], name);
            assert!(name.ends_with("/RECORD") || line[2] == bytes.len().to_string(), "{line:?}");
        }
    }

    /// The hash of nine lines, as Python's `base64.urlsafe_b64encode(hashlib.sha256(text).digest())` gives it.
    #[test]
    fn the_record_has_the_hash_that_python_computes() {
        let (_root, wheel) = wheel();
        let (_, record) = files(&wheel).pop().unwrap();
        let line = "anyflow/dist/bin/anyflow,sha256=L6Pon-G1xOMXqI4DI-374GteiNgf4KIzOzNUamsWWgc,90\n";
        assert!(String::from_utf8(record).unwrap().contains(line));
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert!(fs::read(wheel().1).unwrap() == fs::read(wheel().1).unwrap());
    }

    /// Building the image needs a registry, so only its instructions are checked.
    #[test]
    fn the_container_takes_it() {
        let (_root, wheel) = wheel();
        let instructions = include_str!("../../python/Containerfile");
        let pattern = instructions.split_whitespace().find(|word| word.starts_with("anyflow-")).unwrap();
        let (start, end) = pattern.split_once('*').unwrap();
        let name = wheel.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(start) && name.ends_with(end), "{name} is not {pattern}");
        let script = files(&wheel).into_iter().find(|(name, _)| name.ends_with("entry_points.txt")).unwrap().1;
        let script = String::from_utf8(script).unwrap();
        let command = script.lines().find_map(|line| line.split_once(" = ")).unwrap().0;
        assert!(instructions.contains(&format!("ENTRYPOINT [\"{command}\"]")), "{instructions}");
    }

    #[test]
    fn pip_installs_it() {
        let (root, wheel) = wheel();
        let site = root.path().join("site");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]).arg(&site);
        let output = pip.arg(wheel).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let program = fs::metadata(site.join("anyflow/dist/bin/anyflow")).unwrap();
        assert!(std::os::unix::fs::PermissionsExt::mode(&program.permissions()) & 0o111 != 0);
        let script = fs::read_to_string(site.join("bin/anyflow")).unwrap();
        assert!(script.contains("from anyflow.__main__ import main"), "{script}");
    }
}
