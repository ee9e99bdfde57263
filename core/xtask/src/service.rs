//! A running `anyflow serve`: its processes, their memory, and its runs.

mod http;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use http::{Answer, Client, answer};

/// Time for a server to listen.
const STARTING: Duration = Duration::from_secs(60);
/// Polling interval.
const PAUSE: Duration = Duration::from_millis(2);
/// The name of the engine's program, as the system shows it.
const ENGINE: &str = "anyflow-engine";

/// A server. It is killed when it is dropped.
pub struct Service {
    child: Child,
    /// A client of it.
    pub client: Client,
    log: Arc<Mutex<String>>,
}

impl Service {
    /// Starts a command that serves on a free port, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or ends.
    pub fn start(command: &mut Command) -> Result<Service> {
        let mut child = command
            .args(["--port", "0", "--threads", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `anyflow serve`")?;
        let errors = child.stderr.take().context("a server without an output")?;
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let begin = Instant::now();
        loop {
            let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(address) = listening(&said) {
                return Ok(Service { child, client: Client::new(address), log });
            }
            if let Some(status) = child.try_wait()? {
                bail!("`anyflow serve` ended ({status}): {said}");
            }
            if begin.elapsed() > STARTING {
                // Nothing else ends it.
                let _ = child.kill();
                bail!("`anyflow serve` does not listen: {said}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The id of its engine's process, if there is one now.
    pub fn engine(&self) -> Option<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let ids = lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>());
        let is_engine =
            |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == ENGINE);
        ids.filter(is_engine).min()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends its engine at once. False if there was none.
    pub fn kill_engine(&self) -> bool {
        let engine = self.engine().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        engine.is_some_and(|engine| kill_process(engine, Signal::KILL).is_ok())
    }

    /// Puts a run into the queue and returns its id.
    ///
    /// # Errors
    /// It is refused.
    pub fn submit(&self, run: &Value) -> Result<String> {
        let answer = self.client.post("/v1/runs", run)?;
        ensure!(answer.status == 201, "{run} was refused: {}", answer.text());
        Ok(answer.json()?["id"].as_str().unwrap_or_default().to_string())
    }

    /// Waits for the end of a run and returns it.
    ///
    /// # Errors
    /// The server goes away.
    pub fn end(&self, id: &str) -> Result<Value> {
        self.client.last_event(&format!("/v1/runs/{id}/events"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that tells it.
fn listening(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("open http://")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The resident memory of a process in MB.
pub fn resident_mb(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// The processor time that a process has used, in seconds.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    // User and system time, in the unit that is 1/100 s on every Linux.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
