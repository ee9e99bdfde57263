//! Part `requests`: hostile requests to a server of shipped pipelines. Every request is answered or its connection is
//! closed, no answer is an error of the server's own, nothing tells a path, and neither program dies or grows.

mod forms;
mod lines;
mod sockets;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::crowd::{Crowd, Goal};
use super::tally::{Tally, Trial};
use crate::random::Random;
use crate::service::{Answer, Service, resident_mb};
use crate::test::ONE_THREAD;
use crate::workspace::Workspace;

/// Time limit of an answer, in seconds.
const SECONDS: f64 = 20.0;
/// The share of the tries after which memory is read for the first time: the allocators have met uploads of all sizes by then.
const WARM_UP: u64 = 4;
/// How many MB the server and the engine may grow afterwards. Few tries do not warm them up.
const GROWTH: [f64; 2] = [32.0, 192.0];

/// A pipeline that reads one input.
pub struct Target {
    /// The folder of the corpus with cells of this input.
    corpus: &'static str,
    file: &'static str,
    /// The name of the pipeline.
    pub name: &'static str,
    /// The input.
    pub input: &'static str,
    /// The node that samples.
    pub node: &'static str,
}

/// The pipelines: one per modality.
pub const TARGETS: [Target; 6] = [
    Target {
        corpus: "image",
        file: "pipelines/mld/image-to-audio-text.yaml",
        name: "image-to-audio-text",
        input: "image",
        node: "joint",
    },
    Target {
        corpus: "audio",
        file: "pipelines/mld/audio-to-image-text.yaml",
        name: "audio-to-image-text",
        input: "sound",
        node: "joint",
    },
    Target {
        corpus: "text",
        file: "pipelines/mld/text-to-image-audio.yaml",
        name: "text-to-image-audio",
        input: "word",
        node: "joint",
    },
    Target {
        corpus: "label",
        file: "pipelines/mld/label-to-image-audio.yaml",
        name: "label-to-image-audio",
        input: "digit",
        node: "joint",
    },
    Target {
        corpus: "trajectory",
        file: "pipelines/mld/trajectory/trajectory-to-image.yaml",
        name: "trajectory-to-image",
        input: "drawing",
        node: "joint",
    },
    Target {
        corpus: "video",
        file: "pipelines/codi/video-to-text.yaml",
        name: "video-to-text",
        input: "video",
        node: "made",
    },
];

impl Target {
    /// A request without rows.
    pub fn request(&self) -> Value {
        json!({"pipeline": self.name, "set": {format!("{}.sampler.steps", self.node): 2}, "preview_steps": 0})
    }
}

/// A file of the corpus and the pipeline that takes it.
pub struct Upload {
    name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The pipeline.
    pub target: &'static Target,
}

/// What one request led to.
pub struct Outcome {
    /// The request in words.
    pub about: String,
    /// The answer; `None` if the connection was closed.
    pub answer: Option<Answer>,
    /// True if a connection may end without an answer.
    pub may_close: bool,
}

struct Hostile {
    service: Service,
    engine: Option<u32>,
    uploads: Vec<Upload>,
    /// Paths that no answer may tell.
    secrets: Vec<String>,
    memory: Mutex<Option<[f64; 2]>>,
    warm_up: u64,
    _state: tempfile::TempDir,
}

/// Runs the tries: first each file of the corpus as it is, then random requests.
///
/// # Errors
/// The server cannot be started.
pub fn all(crowd: &Crowd<'_>, workspace: &Workspace, programs: &Path, tries: u64) -> Result<Tally> {
    let hostile = Hostile { warm_up: tries / WARM_UP, ..Hostile::start(workspace, programs)? };
    let mut tally = crowd.all(Goal::Tries(tries), |_, number, random| hostile.attempt(number, random))?;
    tally.add(tries, hostile.survived()?);
    Ok(tally)
}

impl Hostile {
    fn start(workspace: &Workspace, programs: &Path) -> Result<Self> {
        let state = tempfile::Builder::new().prefix("anyflow-hostile-").tempdir()?;
        let mut command = Command::new(programs.join("anyflow"));
        command.current_dir(&workspace.root).envs(ONE_THREAD).arg("serve").args(TARGETS.map(|target| target.file));
        command.args(["--max-rows", "8", "--max-steps", "60", "--data", "tests/corpus", "--state"]).arg(state.path());
        let service = Service::start(&mut command)?;
        let secrets = [workspace.root.as_path(), state.path()].map(|path| format!("{}/", path.display())).into();
        let uploads = uploads(&workspace.root.join("tests/corpus"))?;
        Ok(Hostile {
            engine: service.engine(),
            service,
            uploads,
            secrets,
            memory: Mutex::default(),
            warm_up: 0,
            _state: state,
        })
    }

    fn attempt(&self, number: u64, random: &mut Random) -> Result<Trial> {
        let begin = Instant::now();
        let (kind, outcome) = match self.uploads.get(number as usize) {
            Some(upload) => ("corpus", forms::upload(self.service.client, upload)?),
            None => self.random(random)?,
        };
        let mut trial = Trial::of(kind);
        let status = outcome.answer.as_ref().map_or("closed".into(), |answer| answer.status.to_string());
        trial.count(format!("answer {status}"), 1);
        let wrong = self.judged(&outcome, begin.elapsed().as_secs_f64())?;
        trial.wrong(wrong.map(|wrong| format!("{}: {wrong}", outcome.about)));
        if number == self.warm_up {
            *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = self.resident();
        }
        Ok(trial)
    }

    fn random(&self, random: &mut Random) -> Result<(&'static str, Outcome)> {
        let client = self.service.client;
        let target = random.of_all(&TARGETS);
        let upload = random.of_all(&self.uploads);
        Ok(match random.below(6) {
            0 => ("json", values::text(client, target, random)?),
            1 => ("values", values::values(client, target, random)?),
            2 => ("form", forms::broken(client, upload, random)?),
            3 => ("media", forms::changed(client, upload, random)?),
            4 => ("head", lines::request(client, random)?),
            _ => ("socket", sockets::misuse(client, upload, random)?),
        })
    }

    /// What is wrong with an outcome.
    fn judged(&self, outcome: &Outcome, seconds: f64) -> Result<Option<String>> {
        if seconds > SECONDS {
            return Ok(Some(format!("the answer took {seconds:.0} s")));
        }
        let Some(answer) = &outcome.answer else {
            return Ok((!outcome.may_close).then(|| "the connection was closed without an answer".into()));
        };
        let text = answer.text();
        if answer.status >= 500 {
            return Ok(Some(format!("status {}: {text}", answer.status)));
        }
        if self.secrets.iter().any(|path| text.contains(path)) {
            return Ok(Some(format!("a path of the server: {text}")));
        }
        let Some(url) = answer
            .json()
            .ok()
            .filter(|_| answer.status == 201)
            .and_then(|found| Some(found["url"].as_str()?.to_string()))
        else {
            return Ok(None);
        };
        let end = self.service.client.last_event(&format!("{url}/events"))?;
        let told = end.to_string();
        let is_wrong = !matches!(end["state"].as_str(), Some("done" | "failed")) || end["error"]["code"] == "internal";
        let tells = self.secrets.iter().any(|path| told.contains(path));
        Ok((is_wrong || tells).then(|| format!("the run ended as {told}")))
    }

    fn resident(&self) -> Option<[f64; 2]> {
        Some([resident_mb(self.service.id())?, resident_mb(self.service.engine()?)?])
    }

    /// The end of the part: both programs live, have the same size, and still work.
    fn survived(&self) -> Result<Trial> {
        let mut trial = Trial::of("memory");
        let died = self.engine.is_none() || self.service.engine() != self.engine;
        trial.wrong(died.then(|| format!("the engine died: {}", self.service.log())));
        let before = *self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Some(after)) = (before, self.resident()) {
            for (place, name) in ["server", "engine"].into_iter().enumerate() {
                trial.count(format!("{name} MB before"), before[place] as u64);
                trial.count(format!("{name} MB after"), after[place] as u64);
                let grew = after[place] - before[place];
                trial.wrong((grew > GROWTH[place]).then(|| format!("the {name} grew by {grew:.0} MB")));
            }
        }
        let good = self.uploads.iter().find(|upload| upload.name == "image/good.png").context("no good image")?;
        let outcome = forms::upload(self.service.client, good)?;
        trial.wrong(self.judged(&outcome, 0.0)?);
        Ok(trial)
    }
}

/// Every file of the corpus. One of a folder without a pipeline goes to that of images, as a file that is none.
fn uploads(corpus: &Path) -> Result<Vec<Upload>> {
    let mut found = Vec::new();
    let mut folders = vec![corpus.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
            .with_context(|| folder.display().to_string())?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(corpus).unwrap_or(&path).display().to_string();
            let target = TARGETS.iter().find(|target| name.starts_with(&format!("{}/", target.corpus)));
            found.push(Upload { bytes: fs::read(&path)?, target: target.unwrap_or(&TARGETS[0]), name });
        }
    }
    // The most diverse ones first, so that a short run has some of each.
    found.sort_by_key(|upload| blend(&upload.name));
    Ok(found)
}

/// An order without meaning that is the same each time.
fn blend(name: &str) -> u64 {
    Random::of(1, name, 0).next()
}
