//! `cargo xtask load`: the server under load. Requests of mixed sizes run one after another, grouped as a static batcher
//! would group them, and from several clients at once; then many small requests in a row, to see what memory does.

mod figures;
mod requests;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use self::figures::{Endurance, Mix, Round};
use self::requests::{PAIRS, Pair, Wanted};
use crate::service::{Service, cpu_seconds, resident_mb};
use crate::test::ONE_THREAD;
use crate::workspace::Workspace;
use crate::{process, setup};

/// Requests before memory is read for the first time: caches and the allocator fill up.
const WARM_UP: usize = 300;

/// Arguments: what to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Number of mixed requests
    #[arg(long, default_value_t = 64)]
    requests: usize,
    /// Number of clients
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Number of rounds; each runs all requests in each of the three ways
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Number of small requests in a row [default: none]
    #[arg(long, default_value_t = 0, value_name = "N")]
    in_a_row: usize,
    /// Pairs of pipelines [default: all]
    #[arg(long, value_delimiter = ',', value_name = "PAIR")]
    only: Vec<String>,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the programs [default: those of this checkout, built first]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Measured {
    mixes: Vec<Mix>,
    endurance: Option<Endurance>,
}

/// Measures and prints.
///
/// # Errors
/// The programs do not build, the server cannot start, or a request fails.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let programs = match &options.programs {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            setup::run(workspace)?;
            process::run(workspace.cargo().arg("build"))?;
            workspace.target.join("debug")
        }
    };
    let load = Load { workspace, programs, options };
    let chosen = |pair: &&Pair| options.only.is_empty() || options.only.iter().any(|name| name == pair.name);
    let pairs: Vec<&Pair> = PAIRS.iter().filter(chosen).collect();
    let known: Vec<&str> = PAIRS.iter().map(|pair| pair.name).collect();
    ensure!(!pairs.is_empty(), "there is no such pair; choose from {}", known.join(", "));
    let mixes = pairs.iter().map(|pair| load.mix(pair)).collect::<Result<Vec<_>>>()?;
    let endurance = if options.in_a_row > 0 { Some(load.endure(pairs[0])?) } else { None };
    let measured = Measured { mixes, endurance };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&measured)?);
    }
    Ok(())
}

struct Load<'a> {
    workspace: &'a Workspace,
    programs: PathBuf,
    options: &'a Options,
}

impl Load<'_> {
    fn serve(&self, pair: &Pair, state: &tempfile::TempDir) -> Result<Service> {
        let mut command = Command::new(self.programs.join("anyflow"));
        command.current_dir(&self.workspace.root).envs(ONE_THREAD).arg("serve").args(pair.files);
        command.args(["--max-rows", "4096", "--max-queue", "4096", "--state"]).arg(state.path());
        Service::start(&mut command)
    }

    /// All rounds of the mixed requests of a pair.
    fn mix(&self, pair: &Pair) -> Result<Mix> {
        let state = tempfile::tempdir().context("cannot make a temporary folder")?;
        let service = self.serve(pair, &state)?;
        let wanted = requests::mixed(pair, self.options.requests, self.options.seed);
        let groups = requests::grouped(&wanted);
        // The first request of each pipeline loads its model.
        let warm = Way { service: &service, clients: self.options.clients };
        warm.run(&requests::warm_up(pair))?;
        let mut mix = Mix::new(pair.name, &wanted, self.options.clients);
        for _ in 0..self.options.rounds {
            let one = Way { service: &service, clients: 1 };
            mix.one_after_another.push(one.run(&wanted)?);
            mix.grouped.push(one.run(&groups)?);
            mix.together.push(warm.run(&wanted)?);
        }
        if !self.options.json {
            print!("{mix}");
        }
        Ok(mix)
    }

    /// Many small requests, with the memory of both programs.
    fn endure(&self, pair: &Pair) -> Result<Endurance> {
        let state = tempfile::tempdir().context("cannot make a temporary folder")?;
        let service = self.serve(pair, &state)?;
        let way = Way { service: &service, clients: self.options.clients };
        way.run(&requests::small(pair, WARM_UP))?;
        let memory = || -> Result<[f64; 2]> {
            let engine = service.engine().context("there is no engine")?;
            let of = |process| resident_mb(process).context("the memory of a process cannot be read");
            Ok([of(service.id())?, of(engine)?])
        };
        let engine = service.engine();
        let before = memory()?;
        let round = way.run(&requests::small(pair, self.options.in_a_row))?;
        let after = memory()?;
        ensure!(engine == service.engine(), "the engine died: {}", service.log());
        let endurance = Endurance::new(self.options.in_a_row, before, after, &round);
        if !self.options.json {
            print!("{endurance}");
        }
        Ok(endurance)
    }
}

/// A way to run requests: from some clients at once.
struct Way<'a> {
    service: &'a Service,
    clients: usize,
}

impl Way<'_> {
    /// Runs all requests; each client takes the next one.
    ///
    /// # Errors
    /// A request fails.
    fn run(&self, wanted: &[Wanted]) -> Result<Round> {
        let calls = self.network_calls()?;
        let cpu = self.cpu();
        let next = Mutex::new(wanted.iter());
        let begin = Instant::now();
        let client = || -> Result<Vec<Duration>> {
            let mut latencies = Vec::new();
            loop {
                let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(wanted) = taken else { return Ok(latencies) };
                let begin = Instant::now();
                let id = self.service.submit(&wanted.request)?;
                let run = self.service.end(&id)?;
                latencies.push(begin.elapsed());
                let rows = run["result"]["rows"].as_u64();
                ensure!(run["state"] == "done" && rows == Some(wanted.rows), "a run failed: {run}");
            }
        };
        let latencies = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(client)).collect();
            let ends =
                clients.into_iter().map(|client| client.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")));
            ends.collect::<Result<Vec<_>>>()
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        let cpu_seconds = [self.cpu()[0] - cpu[0], self.cpu()[1] - cpu[1]];
        let network_calls = self.network_calls()?.saturating_sub(calls);
        Ok(Round::new(seconds, cpu_seconds, network_calls, latencies.concat()))
    }

    /// Processor time of server and engine.
    fn cpu(&self) -> [f64; 2] {
        let of = |process: Option<u32>| process.and_then(cpu_seconds).unwrap_or(0.0);
        [of(Some(self.service.id())), of(self.service.engine())]
    }

    fn network_calls(&self) -> Result<u64> {
        let text = self.service.client.get("/metrics")?.text();
        let lines = text.lines().filter(|line| line.starts_with("anyflow_network_calls_total{"));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }
}
