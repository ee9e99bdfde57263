//! `cargo xtask bench`: compares our workloads with those of other programs.
//!
//! Both sides run alternately in separate processes, pinned to one core, with one thread and the same seeds. Every
//! process warms up first; the median over its repetitions is one reading. The bench compares medians of readings, by
//! wall time and by CPU time. If both sides can use the same weights, it first compares their results.

mod comparison;
mod limit;
mod pin;
mod reading;
mod side;
mod startup;
mod work;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::comparison::{Comparison, Machine};
use self::limit::Limits;
use self::side::{Agreement, Ours, Peers};
use self::work::{WORKS, Work};
use crate::setup;
use crate::workspace::Workspace;

/// The variable that names the folder of the peers' scripts.
const SCRIPTS: &str = "ANYFLOW_PEERS";

/// Arguments of the bench.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Python environment with torch and diffusers; without it, only our side runs
    #[arg(long, value_name = "VENV")]
    peers: Option<PathBuf>,
    /// Folder of the peers' scripts [default: ANYFLOW_PEERS, else `bench` next to VENV]
    #[arg(long, value_name = "DIR", requires = "peers")]
    scripts: Option<PathBuf>,
    /// Workloads to run [default: all]
    #[arg(long, value_name = "WORK", value_delimiter = ',')]
    only: Vec<String>,
    /// Number of processes per side
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs the workloads and prints the results.
///
/// # Errors
///
/// An unknown name, a failed build, a failed side, or results that differ.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let works = chosen(&options.only)?;
    setup::run(workspace)?;
    let ours = Ours::build(workspace, works.iter().any(|work| work.is_startup()))?;
    let peers = options.peers.as_deref().map(|venv| {
        let scripts = scripts(venv, options.scripts.as_deref())?;
        Peers::new(workspace, venv, scripts)
    });
    let peers = peers.transpose()?;
    // Pin only after the build, which may use every core.
    let machine = Machine::new(pin::to_one_core()?);
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let bench = Bench { ours, peers, folder: folder.path(), repeats: options.repeats };
    let limits = Limits::measure(&works, &bench.ours, bench.peers.as_ref())?;
    let mut done = Vec::with_capacity(works.len());
    if !options.json {
        println!("{}", Comparison::HEAD);
    }
    for work in works {
        let comparison = bench.compare(work, &limits).with_context(|| format!("work {}", work.name))?;
        if !options.json {
            println!("{comparison}");
        }
        done.push(comparison);
    }
    if options.json {
        let document = serde_json::json!({ "machine": machine, "limits": limits, "works": done });
        println!("{}", serde_json::to_string_pretty(&document)?);
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Work>> {
    for name in names {
        if !WORKS.iter().any(|work| work.name == name) {
            let known: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
            bail!("there is no workload {name}; choose from {}", known.join(", "));
        }
    }
    Ok(WORKS.iter().filter(|work| names.is_empty() || names.iter().any(|name| name == work.name)).collect())
}

fn scripts(venv: &Path, given: Option<&Path>) -> Result<PathBuf> {
    let named = given.map(PathBuf::from).or_else(|| std::env::var_os(SCRIPTS).map(PathBuf::from));
    let folder = named.unwrap_or_else(|| venv.parent().unwrap_or(venv).join("bench"));
    ensure!(
        folder.join("pf.py").is_file(),
        "{} has no scripts of the peers: set their folder with --scripts or {SCRIPTS}",
        folder.display()
    );
    std::path::absolute(&folder).with_context(|| format!("{} is not a path", folder.display()))
}

/// Both sides and the folder that they share.
struct Bench<'a> {
    ours: Ours,
    peers: Option<Peers>,
    folder: &'a Path,
    repeats: u64,
}

impl Bench<'_> {
    fn compare(&self, work: &'static Work, limits: &Limits) -> Result<Comparison> {
        let agreement = self.peers.as_ref().map(|peers| self.agree(work, peers)).transpose()?.flatten();
        let given = agreement.as_ref().map(|_| self.given(work));
        let mut comparison = Comparison::new(work, agreement);
        for reading in 0..self.repeats {
            eprintln!("{}: {} of {}", work.name, reading + 1, self.repeats);
            comparison.ours.push(self.ours.reading(work, given.as_deref(), self.folder)?);
            for (place, peer) in work.peers.iter().enumerate() {
                if let Some(peers) = &self.peers {
                    comparison.peers[place].push(peers.reading(peer, self.folder)?);
                }
            }
        }
        comparison.share_of_limit = limits.share(work, &comparison.ours);
        Ok(comparison)
    }

    /// Compares the results of both sides from the same weights, if the workload can.
    fn agree(&self, work: &Work, peers: &Peers) -> Result<Option<Agreement>> {
        let Some(tolerance) = work.tolerance else { return Ok(None) };
        let given = self.given(work);
        let results = self.folder.join(format!("{}.results", work.name));
        peers.export(work, &given)?;
        self.ours.results(work, &given, &results)?;
        let agreement = peers.compare(work, &given, &results)?;
        ensure!(
            agreement.difference <= tolerance,
            "the two sides differ: {} by {:.2e} of its largest value, but at most {tolerance:.0e} is allowed",
            agreement.at,
            agreement.difference
        );
        Ok(Some(agreement))
    }

    fn given(&self, work: &Work) -> PathBuf {
        self.folder.join(format!("{}.given", work.name))
    }
}
