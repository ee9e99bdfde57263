//! Part `cluster`: `kill -9` of any process of a job on Ballista. Its scheduler and executors are started again, as a service
//! manager would, and so is the command. Each row is there exactly once in the end, and a kill costs the shards in flight.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::crowd::{Crowd, Goal};
use super::job::{Job, ROWS};
use super::random_moment;
use super::running::Running;
use super::seat::Seat;
use super::tally::{Tally, Trial};
use crate::random::Random;

/// Where the test plugin counts the rows that it encodes, also in processes that are killed.
const COUNT: &str = "FAULTS_COUNT";
/// Rows of a shard of [`Job::Run`].
const SHARD_ROWS: u64 = 16;
const EXECUTORS: usize = 2;
/// The longest time from one kill to the next, in microseconds.
const LONGEST: u64 = 900_000;
/// Commands until one succeeds.
const AGAIN: usize = 12;
/// Time in which everything starts, with a margin for a machine that is busy.
const STARTING: Duration = Duration::from_secs(60);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// `anyflow run --on`.
    Command,
    /// What it starts, which gives the shards out.
    Driver,
    Scheduler,
    Executor,
    /// What an executor starts for a job.
    Front,
    Engine,
}

impl Target {
    const ALL: [Target; 6] =
        [Target::Command, Target::Driver, Target::Scheduler, Target::Executor, Target::Front, Target::Engine];

    fn name(self) -> &'static str {
        match self {
            Target::Command => "killed command",
            Target::Driver => "killed driver",
            Target::Scheduler => "killed scheduler",
            Target::Executor => "killed executor",
            Target::Front => "killed front",
            Target::Engine => "killed engine",
        }
    }
}

/// Runs tries until so many processes were killed.
///
/// # Errors
/// A process cannot be started, or an output cannot be read.
pub fn all(crowd: &Crowd<'_>, kills: u64) -> Result<Tally> {
    let seat = Seat::new(crowd.project, "counted")?;
    let counted = seat.folder.join("count");
    let ended = seat.start(seat.command(Job::Run).env(COUNT, &counted), "log")?.end()?;
    ensure!(ended.code == Some(0), "an undisturbed command: {}", ended.description());
    let rows = length(&counted);
    crowd.all(Goal::Sum("kills", kills), |seat, _, random| attempt(seat, rows, random))
}

/// Kills two to six processes during a job, then has the command run until it succeeds.
fn attempt(seat: &Seat<'_>, rows: u64, random: &mut Random) -> Result<Trial> {
    let mut trial = Trial::of("ballista");
    let counted = seat.folder.join("count");
    let _ = fs::remove_file(&counted);
    seat.clear(Job::Run)?;
    let mut cluster = Cluster::start(seat)?;
    let mut running = cluster.run(seat)?;
    let mut kills = 0;
    for _ in 0..*random.of_all(&[2, 3, 4, 5, 6]) {
        random_moment(random, LONGEST);
        if running.has_ended()? {
            trial.count("too late", 1);
            break;
        }
        let target = *random.of_all(&Target::ALL);
        let struck = cluster.kill(target, random.below(EXECUTORS as u64) as usize, &mut running)?;
        trial.count(if struck { "kills" } else { "not there" }, 1);
        trial.count(target.name(), u64::from(struck));
        kills += u64::from(struck);
        if target == Target::Command && struck {
            running.end()?;
            running = cluster.run(seat)?;
        }
    }
    let mut ended = running.end()?;
    for _ in 0..AGAIN {
        if ended.code == Some(0) {
            break;
        }
        trial.wrong(ended.disorder());
        trial.count("commands given again", 1);
        ended = cluster.run(seat)?.end()?;
    }
    trial.wrong((ended.code != Some(0)).then(|| format!("the job does not end: {}", ended.description())));
    trial.wrong(lack(seat)?);
    // A row that is encoded again is part of a shard that is done again, or of its beginning.
    let again = length(&counted).saturating_sub(rows);
    let shards = again.div_ceil(SHARD_ROWS * (rows / u64::from(ROWS)).max(1));
    trial.count("shards redone", shards);
    let most = (kills + 1) * EXECUTORS as u64;
    trial.wrong((shards > most).then(|| format!("{shards} shards are redone after {kills} kills")));
    Ok(trial)
}

/// What an output lacks of that of a plain run.
fn lack(seat: &Seat<'_>) -> Result<Option<String>> {
    let chosen = |name: &Path| {
        let of_job = ["manifest.json", "job.json", "failures.parquet"].iter().any(|file| name == Path::new(file));
        of_job || name.starts_with("data") || name.starts_with("commits")
    };
    Ok(seat.snapshot()?.lack_of(&seat.project.reference(Job::Run).snapshot, chosen))
}

/// The length of a file; 0 if there is none.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// A scheduler and executors. They are killed when this value is dropped.
struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    plugins: PathBuf,
    address: String,
    scheduler: Child,
    executors: Vec<Child>,
}

impl Cluster {
    fn start(seat: &Seat<'_>) -> Result<Cluster> {
        let program = seat.project.program("anyflow-cluster");
        let plugins = seat.project.root().join("plugins");
        let (scheduler, address) = scheduler(&program, 0)?;
        let folder = seat.folder.clone();
        let mut cluster = Cluster { program, folder, plugins, address, scheduler, executors: Vec::new() };
        for number in 0..EXECUTORS {
            let executor = cluster.executor(number)?;
            cluster.executors.push(executor);
        }
        Ok(cluster)
    }

    fn executor(&self, number: usize) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["executor", "--scheduler", &self.address, "--heartbeat", "1", "--name", &format!("e{number}")]);
        command.env("ANYFLOW_PLUGINS", &self.plugins).env(COUNT, self.folder.join("count"));
        Ok(said(&mut command)?.0)
    }

    /// The command on this cluster.
    fn run(&self, seat: &Seat<'_>) -> Result<Running> {
        let mut command = seat.command(Job::Run);
        command.arg("--on").arg(format!("ballista={}", self.address)).args(["--max-attempts", "1000"]);
        seat.start(&mut command, "log")
    }

    /// Kills a process, and starts another in its place if it is one of the cluster. Returns false if there is none.
    fn kill(&mut self, target: Target, number: usize, running: &mut Running) -> Result<bool> {
        let executor = self.executors[number].id();
        Ok(match target {
            Target::Command => kill(running.id()),
            Target::Driver => children(running.id()).into_iter().any(kill),
            Target::Front => children(executor).into_iter().any(kill),
            Target::Engine => children(executor).into_iter().flat_map(children).any(kill),
            Target::Executor => {
                end(&mut self.executors[number]);
                self.executors[number] = self.executor(number)?;
                true
            }
            Target::Scheduler => {
                end(&mut self.scheduler);
                let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                (self.scheduler, _) = scheduler(&self.program, port.context("an address without a port")?)?;
                true
            }
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.executors.iter_mut().for_each(end);
        end(&mut self.scheduler);
    }
}

fn scheduler(program: &Path, port: u16) -> Result<(Child, String)> {
    let mut command = Command::new(program);
    command.args(["scheduler", "--executor-timeout", "3", "--port", &port.to_string()]);
    let (child, line) = said(&mut command)?;
    Ok((child, line.rsplit(' ').next().unwrap_or_default().trim().to_string()))
}

/// Starts a process that says on a line when it is ready.
fn said(command: &mut Command) -> Result<(Child, String)> {
    let begin = Instant::now();
    // An executor waits for a scheduler by itself; the port of a killed one may be held for a moment.
    while begin.elapsed() < STARTING {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a process without an output")?).read_line(&mut line)?;
        if !line.is_empty() {
            return Ok((child, line));
        }
        child.wait()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("{} does not start", command.get_program().display())
}

fn kill(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| kill_process(process, Signal::KILL).is_ok())
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}
