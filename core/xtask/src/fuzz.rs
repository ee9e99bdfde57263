//! `cargo xtask fuzz`: libFuzzer on codecs, files, texts and records, guided by coverage.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, setup};

/// Where the fuzz targets lie, a crate outside the workspace.
const FOLDER: &str = "tests/fuzz";
/// The instrumentation that libFuzzer reads; any toolchain has it.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cpanic=abort";

/// What to run and for how long.
#[derive(Args, Debug)]
pub struct Options {
    /// Targets, such as `image_gray` [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Builds the targets and runs them one after another, from their seeds on.
///
/// # Errors
///
/// A target does not build, or found an input that breaks what it tries; libFuzzer says where it wrote it.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = workspace.target.join("fuzz");
    let mut build = workspace.cargo();
    // With a target named, build scripts and macros stay without instrumentation.
    build.args(["build", "--release", "--target", &host, "--manifest-path"]).arg(format!("{FOLDER}/Cargo.toml"));
    process::run(build.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", INSTRUMENTED))?;
    let known = targets(&workspace.root)?;
    for name in if options.targets.is_empty() { &known } else { &options.targets } {
        ensure!(known.contains(name), "no fuzz target {name}; there are {}", known.join(", "));
        let found = target.join("corpus").join(name);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut command = std::process::Command::new(target.join(&host).join("release").join(name));
        command.arg(&found).arg(workspace.root.join(seeds(name)));
        command.arg(format!("-max_total_time={}", options.seconds)).arg("-max_len=131072");
        command.args(["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]);
        process::run(command.current_dir(&found).env("LD_LIBRARY_PATH", workspace.link().join("lib")))?;
    }
    Ok(())
}

/// Where a target begins: the planner's own files, or the corpus of its first word.
fn seeds(name: &str) -> String {
    match name.split('_').next().unwrap_or(name) {
        "yaml" => "core/plan/tests/files".into(),
        word => format!("tests/corpus/{word}"),
    }
}

/// The names of all targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER).join("targets");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_string));
    }
    names.sort();
    Ok(names)
}
