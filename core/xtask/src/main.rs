//! `cargo xtask`: set-up and developer commands.
//!
//! This program runs before anything else can be built, so it depends on none of our crates and not on libtorch.
//! It has one file per command, and beside them one per noun: [`cache`], [`fetch`], [`libtorch`], [`link`],
//! [`process`], [`python`], [`wheel`], [`workspace`].
#![allow(clippy::print_stdout, reason = "a command-line program speaks on standard output")]

mod absent;
mod bench;
mod cache;
mod ci;
mod demo;
mod deny;
mod dist;
#[cfg(target_os = "linux")]
mod faults;
mod fetch;
mod fuzz;
mod header;
mod libtorch;
mod link;
mod miri;
mod process;
mod python;
mod sanitize;
mod setup;
mod test;
mod wheel;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Set-up and developer commands of Anyflow.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find libtorch, or fetch it once, so that plain `cargo build` and `cargo test` work.
    Setup,
    /// Set up, build, and run all tests.
    Test {
        /// Passed on to `cargo test`; `--workspace` is left out when packages are named.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO TEST ARGUMENTS")]
        _arguments: Vec<OsString>,
    },
    /// Everything a change must pass: format, lints, documentation, the C header, dependencies, unit tests of the border under
    /// Miri, tests.
    Ci {
        /// Leave out the tests.
        #[arg(long)]
        no_test: bool,
    },
    /// Run the plugin border's Rust under Miri, where it is installed.
    Miri,
    /// Check licences, sources and known faults of what we depend on.
    Deny,
    /// Load, check and drop every plugin under Valgrind or AddressSanitizer.
    Sanitize {
        /// What watches [default: the first that is installed].
        #[arg(long, value_enum)]
        tool: Option<sanitize::Tool>,
        /// Plugins, by name [default: all].
        plugins: Vec<String>,
    },
    /// Time our workloads, beside those of other programs where there are any.
    Bench(bench::Options),
    /// Set up, build, generate samples with the shipped checkpoints, and write a report of them.
    Demo,
    /// Kill our programs, make their system calls fail, cut the power, and see that nothing is lost or mixed.
    #[cfg(target_os = "linux")]
    Faults(faults::Options),
    /// Run libFuzzer on codecs, files, texts and records, from the corpus of the tests on.
    Fuzz(fuzz::Options),
    /// Write the C header of the plugin border, out of its Rust sources.
    Header {
        /// Only see whether it is up to date.
        #[arg(long)]
        check: bool,
    },
    /// Build one folder that runs wherever libtorch lies.
    Dist {
        /// Where to put it [default: anyflow, in the folder dist of the target directory].
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().verb) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn perform(verb: Verb) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match verb {
        Verb::Setup => setup::run(&workspace)?,
        // Not those that clap took apart: it drops a `--` that comes first, and cargo needs it.
        Verb::Test { .. } => return test::run(&workspace, &env::args_os().skip(2).collect::<Vec<_>>()),
        Verb::Ci { no_test } => return ci::run(&workspace, no_test),
        Verb::Miri => miri::run(&workspace, miri::Scope::Whole)?,
        Verb::Deny => deny::run(&workspace)?,
        Verb::Sanitize { tool, plugins } => sanitize::run(&workspace, tool, &plugins)?,
        Verb::Bench(options) => bench::run(&workspace, &options)?,
        Verb::Demo => demo::run(&workspace)?,
        #[cfg(target_os = "linux")]
        Verb::Faults(options) => return faults::run(&workspace, &options),
        Verb::Fuzz(options) => fuzz::run(&workspace, &options)?,
        Verb::Header { check } => header::run(&workspace, check)?,
        Verb::Dist { output } => dist::run(&workspace, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what went wrong. A command that failed has said why itself, and lends us its exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    error.downcast_ref::<process::Failed>().map_or(ExitCode::FAILURE, process::Failed::exit_code)
}
