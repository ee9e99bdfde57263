//! Runs one side of a workload in a separate process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use super::startup;
use super::work::{self, Peer, Program, Work};
use crate::process;
use crate::test::ONE_THREAD;
use crate::workspace::Workspace;

/// The program of our workloads.
const WORKLOADS: &str = "workloads";

/// Settings of glibc's allocator that `anyflow` passes to its engine; both sides get them.
const ALLOCATOR: [(&str, &str); 2] =
    [("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_MMAP_THRESHOLD_", "268435456")];

/// The difference between the results of two sides.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Agreement {
    /// The largest difference, relative to the largest value of its tensor.
    pub difference: f64,
    /// The tensor of the largest difference.
    pub at: String,
    /// Number of tensors compared.
    pub compared: u64,
}

/// Our programs.
#[derive(Debug)]
pub struct Ours {
    workloads: PathBuf,
    root: PathBuf,
    anyflow: PathBuf,
}

impl Ours {
    /// Builds our programs with the release profile.
    ///
    /// # Errors
    ///
    /// The build fails.
    pub fn build(workspace: &Workspace, programs: bool) -> Result<Self> {
        let mut command = workspace.cargo();
        // Build all packages both times: the features of dependencies depend on the set of packages.
        command.args(["bench", "--no-run", "--bench", WORKLOADS]);
        command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
        let mut running = command.spawn().context("cannot start cargo")?;
        let messages = running.stdout.take().map(BufReader::new);
        let lines = messages.into_iter().flat_map(|messages| messages.lines().map_while(Result::ok));
        let executables: Vec<PathBuf> = lines.filter_map(|line| executable(&line)).collect();
        ensure!(running.wait()?.success(), "the build failed");
        let workloads = executables.into_iter().next().context("cargo named no program `workloads`")?;
        if programs {
            let mut command = workspace.cargo();
            command.args(["build", "--release"]).stdout(Stdio::null());
            ensure!(command.status().context("cannot start cargo")?.success(), "the build failed");
        }
        let anyflow = workspace.target.join("release").join("anyflow");
        Ok(Ours { workloads, root: workspace.root.clone(), anyflow })
    }

    /// One reading of a workload.
    ///
    /// # Errors
    ///
    /// The program fails.
    pub fn reading(&self, work: &Work, given: Option<&Path>, folder: &Path) -> Result<Reading> {
        match work.ours {
            Program::Workload(name) => {
                let given = given.map(|given| ["--given".into(), given.into()]);
                self.workload(name, given.as_ref().map_or(&[], |given| given))
            }
            Program::Startup => startup::watch(self.run(&folder.join("startup"))?),
        }
    }

    /// Runs a workload once and writes its results.
    ///
    /// # Errors
    ///
    /// The program fails.
    pub fn results(&self, work: &Work, given: &Path, results: &Path) -> Result<()> {
        let Program::Workload(name) = work.ours else { return Ok(()) };
        let once = ["--iterations".into(), "1".into()];
        let paths = ["--given".into(), given.into(), "--results".into(), results.into()];
        self.workload(name, &[paths.as_slice(), &once].concat()).map(drop)
    }

    /// One reading of the program `workloads`.
    ///
    /// # Errors
    ///
    /// The program fails.
    pub fn workload(&self, name: &str, arguments: &[PathBuf]) -> Result<Reading> {
        reading(Command::new(&self.workloads).arg(name).args(arguments).current_dir(&self.root))
    }

    /// Runs `anyflow run` on the shipped joint pipeline into a fresh folder.
    fn run(&self, output: &Path) -> Result<Command> {
        if output.exists() {
            std::fs::remove_dir_all(output).with_context(|| format!("cannot empty {}", output.display()))?;
        }
        let mut command = Command::new(&self.anyflow);
        command.args(["run", "pipelines/mld/joint.yaml", "--rows", startup::ROWS, "--json", "--set"]);
        command.arg(format!("joint.sampler.steps={}", startup::STEPS)).arg("--output").arg(output);
        command.current_dir(&self.root).envs(ONE_THREAD);
        Ok(command)
    }
}

/// The peers' Python, and the folders of their scripts and ours.
#[derive(Debug)]
pub struct Peers {
    python: PathBuf,
    scripts: PathBuf,
    own: PathBuf,
    checkpoint: PathBuf,
}

impl Peers {
    /// # Errors
    ///
    /// The environment has no Python.
    pub fn new(workspace: &Workspace, venv: &Path, scripts: PathBuf) -> Result<Self> {
        let python = venv.join("bin").join("python");
        ensure!(python.exists(), "{} is not a Python environment", venv.display());
        let python = std::path::absolute(&python).with_context(|| format!("{} is not a path", python.display()))?;
        let own = workspace.root.join("core/xtask/src/bench/peers");
        Ok(Peers { python, scripts, own, checkpoint: workspace.root.join("pipelines/mld/weights/digits.safetensors") })
    }

    /// One reading of a peer.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub fn reading(&self, peer: &Peer, folder: &Path) -> Result<Reading> {
        match peer.script {
            "startup.py" => {
                let mut command = self.python(peer.script);
                command.arg(&self.checkpoint).args([startup::ROWS, startup::STEPS]).arg(folder.join("samples.npy"));
                startup::watch(command)
            }
            "peer_io.py" => self.script(peer, &["--dir".into(), folder.join("io")]),
            work::IMAGES => self.script(peer, &[folder.join("images.given")]),
            _ => self.script(peer, &[]),
        }
    }

    /// Runs a script that prints a reading.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub fn script(&self, peer: &Peer, arguments: &[PathBuf]) -> Result<Reading> {
        reading(self.python(peer.script).args(peer.arguments).args(arguments))
    }

    /// Writes the weights and inputs for the peer of a workload.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub fn export(&self, work: &Work, given: &Path) -> Result<()> {
        output(self.python("agree.py").args(["export", work.name]).arg(given)).map(drop)
    }

    /// Compares our results with the peer's.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub fn compare(&self, work: &Work, given: &Path, results: &Path) -> Result<Agreement> {
        last_line(self.python("agree.py").args(["compare", work.name]).arg(given).arg(results))
    }

    fn python(&self, script: &str) -> Command {
        let own = self.own.join(script);
        let mut command = Command::new(&self.python);
        command.arg(if own.exists() { own } else { self.scripts.join(script) });
        command.env("PYTHONPATH", &self.scripts).env("PYTHONDONTWRITEBYTECODE", "1").envs(ONE_THREAD);
        command
    }
}

fn reading(command: &mut Command) -> Result<Reading> {
    let reading: Reading = last_line(command)?;
    ensure!(reading.median_s > 0.0, "`{}` reports no time", process::line(command));
    Ok(reading)
}

/// The last line of a program's output, as JSON.
fn last_line<T: for<'a> Deserialize<'a>>(command: &mut Command) -> Result<T> {
    let said = output(command)?;
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("`{}` says {line:?}", process::line(command)))
}

fn output(command: &mut Command) -> Result<String> {
    command.envs(ONE_THREAD).envs(ALLOCATOR).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start `{}`", process::line(command)))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed:\n{}", process::line(command), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The path of the workloads program, if the message of cargo is about it.
fn executable(line: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        kind: Vec<String>,
        name: String,
    }
    let Artifact { target, executable } = serde_json::from_str(line).ok()?;
    executable.filter(|_| target.name == WORKLOADS && target.kind.iter().any(|kind| kind == "bench"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_workloads_are_taken() {
        let message = |kind: &str, name: &str| {
            format!(r#"{{"target":{{"kind":["{kind}"],"name":"{name}"}},"executable":"/target/{name}-1"}}"#)
        };
        assert_eq!(executable(&message("bench", "workloads")), Some("/target/workloads-1".into()));
        assert_eq!(executable(&message("bin", "anyflow-engine")), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn the_last_line_of_output_is_the_reading() {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo warming up; echo '{"work":"w","median_s":0.5,"cpu_median_s":0.25,"torch":"2"}'"#]);
        let found = reading(&mut command).unwrap();
        assert_eq!((found.median_s, found.cpu_median_s, found.gflop), (0.5, 0.25, None));
        assert!(reading(Command::new("sh").args(["-c", "echo nothing"])).is_err());
        let failed = reading(Command::new("sh").args(["-c", "echo why >&2; exit 1"])).unwrap_err().to_string();
        assert!(failed.contains("why"), "{failed}");
    }
}
