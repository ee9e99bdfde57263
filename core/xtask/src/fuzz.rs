//! `cargo xtask fuzz`: coverage-guided fuzzing of codecs, files, texts and records with libFuzzer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, setup};

/// The crate of the fuzz targets, outside the workspace.
const FOLDER: &str = "tests/fuzz";
/// The instrumentation that libFuzzer needs; every toolchain supports it.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cpanic=abort";

/// Arguments of the fuzzer.
#[derive(Args, Debug)]
pub struct Options {
    /// Targets, such as `image_gray` [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Builds the targets and runs them one after the other from their seeds.
///
/// # Errors
///
/// A target does not build, or an input fails; libFuzzer prints where it wrote that input.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = workspace.target.join("fuzz");
    let mut build = workspace.cargo();
    // With a target triple, build scripts and macros are not instrumented.
    build.args(["build", "--release", "--target", &host, "--manifest-path"]).arg(format!("{FOLDER}/Cargo.toml"));
    process::run(build.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", INSTRUMENTED))?;
    let known = targets(&workspace.root)?;
    for name in if options.targets.is_empty() { &known } else { &options.targets } {
        ensure!(known.contains(name), "there is no fuzz target {name}; choose from {}", known.join(", "));
        let found = target.join("corpus").join(name);
        fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        let mut command = std::process::Command::new(target.join(&host).join("release").join(name));
        command.arg(&found).arg(workspace.root.join(seeds(name)));
        command.arg(format!("-max_total_time={}", options.seconds)).arg("-max_len=131072");
        command.args(["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]);
        process::run(command.current_dir(&found).env("LD_LIBRARY_PATH", workspace.link().join("lib")))?;
    }
    Ok(())
}

/// The seeds of a target: the planner's own files, or the corpus named by the first word of the target.
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
