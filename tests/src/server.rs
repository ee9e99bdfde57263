//! A running `anyflow serve`, and its engine.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Http, command_in};

/// The longest time that a test waits for something.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server. It is killed when it is dropped.
pub struct Server {
    process: Child,
    /// A client of it.
    pub http: Http,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server of pipelines in the repository's root on a free port, with its queue in `state`.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn start(state: &Path, pipelines: &[&str], more: &[&str]) -> Server {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        Server::start_in(root, state, &[pipelines, more].concat(), &[])
    }

    /// As [`Server::start`], in another folder, with environment variables.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn start_in(folder: &Path, state: &Path, arguments: &[&str], variables: &[(&str, &std::ffi::OsStr)]) -> Server {
        let mut command = command_in(folder, variables, ["serve"]);
        command.args(arguments).args(["--port", "0", "--threads", "1"]).arg("--state").arg(state);
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
        let errors = BufReader::new(process.stderr.take().expect("a pipe"));
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                *lines.lock().expect("a log") += &format!("{line}\n");
            }
        });
        let mut address = None;
        wait_for("the server to listen", || {
            let log = log.lock().expect("a log");
            let rest = log.split_once("open http://");
            address = rest.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            assert!(address.is_some() || process.try_wait().expect("a process").is_none(), "the server ended:\n{log}");
            address.is_some()
        });
        Server { process, http: Http::new(address.expect("an address")), log }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has printed so far.
    ///
    /// # Panics
    /// Never.
    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// The id of its engine's process, once there is one.
    ///
    /// # Panics
    /// If there is none for long.
    pub fn engine(&self) -> u32 {
        let mut found = None;
        wait_for("an engine", || {
            found = children(self.id()).into_iter().find(|id| program(*id) == "anyflow-engine");
            found.is_some()
        });
        found.expect("an engine")
    }

    /// The ids of the processes of its jobs.
    pub fn jobs(&self) -> Vec<u32> {
        children(self.id()).into_iter().filter(|id| program(*id) == "anyflow").collect()
    }

    /// Puts a job into the queue and returns its path.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn submit_job(&self, job: &Value) -> String {
        let response = self.http.post("/v1/jobs", job);
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()["url"].as_str().expect("a path").to_string()
    }

    /// A job once it is as wanted.
    ///
    /// # Panics
    /// If it is not for long.
    #[track_caller]
    pub fn wait_job(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let mut job = Value::Null;
        wait_for("a job", || {
            job = self.http.get(path).json();
            is_wanted(&job)
        });
        job
    }

    /// Ends a process at once.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(process: u32) {
        let status = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -9 {process}");
    }

    /// Puts a run into the queue and returns its id.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn submit(&self, run: &Value) -> String {
        let response = self.http.post("/v1/runs", run);
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()["id"].as_str().expect("an id").to_string()
    }

    /// A run as it is now.
    pub fn run(&self, id: &str) -> Value {
        self.http.get(&format!("/v1/runs/{id}")).json()
    }

    /// A run once it is over.
    ///
    /// # Panics
    /// If it goes on for long.
    #[track_caller]
    pub fn end(&self, id: &str) -> Value {
        self.wait(id, |run| !matches!(run["state"].as_str(), Some("queued" | "running")))
    }

    /// A run once it is as wanted.
    ///
    /// # Panics
    /// If it is not for long.
    #[track_caller]
    pub fn wait(&self, id: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let mut run = Value::Null;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            run = self.run(id);
            if is_wanted(&run) {
                return run;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{run} for too long; the server's log:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until something is true.
///
/// # Panics
/// If it is not for long.
#[track_caller]
pub fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The name of the program of a process.
fn program(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_string()
}

/// The child processes of a process: each of its threads lists its own.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let listed = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    listed.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}
