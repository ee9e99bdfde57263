//! A running cluster: a scheduler and executors, each a process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Numbers, Output, target};

/// The longest time that a test waits for a cluster.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster. Its processes are killed when it is dropped.
pub struct Cluster {
    scheduler: Child,
    /// Host and port of the scheduler.
    pub address: String,
    /// The executors.
    pub executors: Vec<Executor>,
    variables: Vec<(String, OsString)>,
}

/// An executor.
pub struct Executor {
    process: Child,
    /// Its name, which is that of its part of an output.
    pub name: String,
}

impl Cluster {
    /// Starts a scheduler and so many executors, with the plugins of a project.
    ///
    /// # Panics
    /// If one of them does not start.
    pub fn start(numbers: &Numbers, executors: usize, variables: &[(&str, OsString)]) -> Cluster {
        let mut all: Vec<(String, OsString)> = vec![("ANYFLOW_PLUGINS".into(), numbers.path("plugins").into())];
        all.extend(variables.iter().map(|(name, value)| ((*name).to_string(), value.clone())));
        let (scheduler, address) = scheduler(0);
        let mut cluster = Cluster { scheduler, address, executors: Vec::new(), variables: all };
        (0..executors).for_each(|number| cluster.join(&format!("e{number}"), &[]));
        cluster.wait_for(executors);
        cluster
    }

    /// Starts one more executor, with more arguments.
    ///
    /// # Panics
    /// If it does not start.
    pub fn join(&mut self, name: &str, more: &[&str]) {
        let mut command = program();
        command.args(["executor", "--scheduler", &self.address, "--name", name, "--heartbeat", "1"]).args(more);
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_os_str()));
        command.envs(variables).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the executor starts");
        said(&mut process, "starts");
        self.executors.push(Executor { process, name: name.into() });
    }

    /// Waits until so many executors answer.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_for(&self, executors: usize) {
        let begin = Instant::now();
        loop {
            let found = self.doctor(&["--quick"]);
            let answered = serde_json::from_str::<Value>(&found.out).unwrap_or_default();
            if answered["executors"].as_object().map_or(0, serde_json::Map::len) >= executors {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{executors} executors do not answer: {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs `anyflow-cluster doctor --json`.
    pub fn doctor(&self, more: &[&str]) -> Output {
        let mut command = program();
        command.args(["doctor", "--scheduler", &self.address, "--json"]).args(more);
        Output::of(command)
    }

    /// The argument `--on` for this cluster.
    pub fn on(&self) -> String {
        format!("ballista={}", self.address)
    }

    /// Kills the scheduler and starts another at its address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_scheduler(&mut self) {
        self.kill_scheduler();
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        (self.scheduler, _) = scheduler(port);
    }

    /// Kills the scheduler.
    pub fn kill_scheduler(&mut self) {
        let _ = self.scheduler.kill();
        let _ = self.scheduler.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.executors.iter_mut().for_each(Executor::kill);
        self.kill_scheduler();
    }
}

impl Executor {
    /// Kills the executor. Its processes notice it by themselves.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// True if it runs.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().expect("a process").is_none()
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    /// Its process of `anyflow work`, if it has one.
    pub fn front(&self) -> Option<u32> {
        children(self.process.id()).into_iter().next()
    }

    /// The engine of that process.
    pub fn engine(&self) -> Option<u32> {
        children(self.front()?).into_iter().next()
    }
}

/// Sends a signal to a process.
///
/// # Panics
/// If there is no `kill`.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).stderr(Stdio::null()).status();
    status.expect("kill runs");
}

/// The processes that a process has started.
pub fn children(process: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |child: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        // The name of the program is in parentheses, and may hold spaces.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    processes.filter(|child| parent(*child) == Some(process)).collect()
}

fn scheduler(port: u16) -> (Child, String) {
    let mut command = program();
    command.args(["scheduler", "--port", &port.to_string(), "--executor-timeout", "4"]);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the scheduler starts");
    let line = said(&mut process, "listens on");
    (process, line.rsplit(' ').next().unwrap_or_default().trim().to_string())
}

fn program() -> Command {
    let path = target().join("anyflow-cluster");
    assert!(path.is_file(), "{} is missing: run `cargo xtask test --cluster`", path.display());
    Command::new(path)
}

/// The line with which a process says that it has started.
fn said(process: &mut Child, what: &str) -> String {
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.contains(what), "found {line:?}");
    line
}
