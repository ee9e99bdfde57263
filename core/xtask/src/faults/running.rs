//! One of our commands as a process that may be killed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Time limit: after it, a command counts as hanging. Long, since builds may use the machine at the same time.
const PATIENCE: Duration = Duration::from_secs(300);
/// Polling interval.
const PAUSE: Duration = Duration::from_millis(1);

/// The processes to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The program that the user started.
    Front,
    /// Its engine.
    Engine,
    /// Both.
    Both,
}

impl Victim {
    /// All of them.
    pub const ALL: [Victim; 3] = [Victim::Front, Victim::Engine, Victim::Both];

    /// The name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Victim::Front => "killed front",
            Victim::Engine => "killed engine",
            Victim::Both => "killed both",
        }
    }
}

/// A running command.
pub struct Running {
    child: Child,
    log: PathBuf,
    begin: Instant,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if it died of a signal or was killed because it hung.
    pub code: Option<i32>,
    how: String,
    /// The end of its output.
    pub log: String,
    /// Its duration.
    pub seconds: f64,
}

impl Running {
    /// Starts a command, with its output in `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let out = fs::File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Running { child, log: log.into(), begin: Instant::now() })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its child processes.
    pub fn engines(&self) -> Vec<Pid> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let of = |list: String| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>();
        lists.flat_map(of).filter_map(Pid::from_raw).collect()
    }

    /// True if it has ended.
    ///
    /// # Errors
    /// Its status cannot be read.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Kills at once. Returns false if there was nothing to kill, and the engines that survive.
    ///
    /// # Errors
    /// The command's status cannot be read.
    pub fn kill(&mut self, victim: Victim) -> Result<(bool, Vec<Pid>)> {
        if self.has_ended()? {
            return Ok((false, Vec::new()));
        }
        let engines = self.engines();
        let mut killed = false;
        if victim != Victim::Front {
            killed = engines.iter().filter(|pid| kill_process(**pid, Signal::KILL).is_ok()).count() > 0;
        }
        if victim != Victim::Engine {
            killed |= self.child.kill().is_ok();
        }
        Ok((killed, engines))
    }

    /// Waits for its end, and kills it if it hangs.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn end(mut self) -> Result<Ended> {
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break Some(status),
                None if self.begin.elapsed() > PATIENCE => {
                    self.kill(Victim::Both)?;
                    self.child.wait()?;
                    break None;
                }
                None => std::thread::sleep(PAUSE),
            }
        };
        let log = fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        let how = status.map_or_else(|| format!("no end after {} s", PATIENCE.as_secs()), how);
        let code = status.and_then(|status| status.code());
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned();
        Ok(Ended { code, how, log, seconds: self.begin.elapsed().as_secs_f64() })
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

impl Ended {
    /// What is wrong if it ended by a signal or a panic, or not at all.
    pub fn disorder(&self) -> Option<String> {
        (!matches!(self.code, Some(0..=3))).then(|| self.description())
    }

    /// How it ended, with the last lines of its output.
    pub fn description(&self) -> String {
        let last: Vec<&str> = self.log.lines().rev().filter(|line| !line.trim().is_empty()).take(2).collect();
        let words: String = last.iter().rev().copied().collect::<Vec<_>>().join(" | ").chars().take(300).collect();
        format!("{}: {words}", self.how)
    }
}

/// Waits until all processes are gone; says which one is left.
pub fn all_gone(pids: &[Pid]) -> Option<String> {
    let begin = Instant::now();
    for pid in pids {
        while is_alive(*pid) {
            if begin.elapsed() > PATIENCE / 2 {
                let _ = kill_process(*pid, Signal::KILL);
                return Some(format!("process {} lives on after its front is gone", pid.as_raw_nonzero()));
            }
            std::thread::sleep(PAUSE);
        }
    }
    None
}

/// A zombie does not count as alive.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}
