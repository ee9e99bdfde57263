//! The folder of a training: finished stages, states of the running stage, metrics, the result.
//!
//! ```text
//! training.json               identity of the training, part by part (a resumed command must agree)
//! order.json                  the order of the last command
//! metrics.jsonl               one line per logged step
//! stages/00-NAME.safetensors  a finished stage: the tensors that it changed, f32, with its summary
//! stages/00-NAME-750.safetensors  its weights after 750 steps, if the stage's `keep` lists 750
//! stages/00-NAME.state        the running stage: weights, averages, moments, step, rollbacks;
//! stages/00-NAME.other.state  the last two states alternate between these two files
//! cache/SOURCE.KEY.rows.arrow rows of a source, while the training runs
//! cache/STREAM.KEY.arrow      latents of frozen encoders
//! model.safetensors           the whole model, bf16
//! scorers.safetensors         the scorers, bf16
//! train.json                  the summary
//! ```
//!
//! Files of stages and states hold the fingerprint of their training and a hash of their content.

use std::io::Write;

use anyflow_datasets::{Folder, JobId};
use anyflow_plan::order::Order;
use anyflow_weights::CONTENT_KEY;
use serde_json::Value;

use super::cache;
use super::stage_file::{STAGES, StageFile};
use crate::checkpoint::{self, Metadata, Tensors, WeightType, Weights};
use crate::identity::explained;
use crate::{Result, RunError, output};

const RECORD: &str = "training.json";
const METRICS: &str = "metrics.jsonl";
const SUMMARY: &str = "train.json";
/// Metadata keys of a stage.
const TRAINING: &str = "anyflow.training";
const STAGE_SUMMARY: &str = "summary";

/// An open and locked training folder.
pub struct TrainingFolder {
    files: Folder,
    /// Fingerprint of the training.
    fingerprint: String,
}

impl TrainingFolder {
    /// Opens or creates the folder of a training. A refused folder is not changed.
    ///
    /// # Errors
    /// [`RunError::OtherJob`]: it holds another training; [`RunError::Data`]: it holds files of an unknown training;
    /// errors of [`output::open`].
    pub fn open(order: &Order, job: &JobId) -> Result<Self> {
        let files = output::open(order)?;
        if !job.is_of(&files, RECORD).map_err(explained)? {
            refuse_unknown(&files)?;
            job.write(&files, RECORD)?;
        }
        for folder in [STAGES, cache::FOLDER] {
            files.make_folder(folder)?;
        }
        ["", STAGES, cache::FOLDER].into_iter().try_for_each(|folder| files.sweep(folder))?;
        output::accept(&files, order)?;
        Ok(TrainingFolder { files, fingerprint: job.fingerprint() })
    }

    /// The folder itself.
    pub fn files(&self) -> &Folder {
        &self.files
    }

    /// Reads a weights file; `None` if it does not exist.
    pub(super) fn weights(&self, name: &str) -> Result<Option<Weights>> {
        let file = self.files.open_file(name)?;
        file.map(|file| checkpoint::read_from(file, &self.files.path().join(name))).transpose()
    }

    /// True if this training wrote the file. Reading has verified the hash of its content.
    pub(super) fn wrote(&self, file: &Weights) -> bool {
        file.metadata.contains_key(CONTENT_KEY) && file.metadata.get(TRAINING) == Some(&self.fingerprint)
    }

    /// Loads a finished stage into `tensors` and returns its summary; `None` if the stage is not finished.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`]: the file is damaged, or belongs to another training.
    pub fn load_stage(&self, stage: &StageFile<'_>, tensors: &Tensors) -> Result<Option<Value>> {
        let name = stage.finished();
        let path = self.files.path().join(&name);
        let unfit = |text: &str| RunError::Checkpoint {
            path: path.display().to_string(),
            text: format!("{text}; or move it away to train the stage again"),
        };
        let weights = match self.weights(&name) {
            Err(RunError::Checkpoint { text, .. }) => Err(unfit(&text)),
            other => other,
        };
        let Some(weights) = weights? else { return Ok(None) };
        let summary = weights.metadata.get(STAGE_SUMMARY).and_then(|text| serde_json::from_str(text).ok());
        let Some(summary) = summary.filter(|_| self.wrote(&weights)) else {
            return Err(unfit("is a stage of another training; restore the file of this training"));
        };
        checkpoint::copy_into(tensors, &weights.tensors, &path)?;
        // A kill between saving the stage and removing its states leaves the states behind.
        self.forget_states(stage)?;
        Ok(Some(summary))
    }

    /// Saves a finished stage and removes its states.
    ///
    /// # Errors
    /// The disk.
    pub fn save_stage(&self, stage: &StageFile<'_>, tensors: &Tensors, summary: &Value) -> Result<()> {
        let metadata = Metadata::from([(STAGE_SUMMARY.into(), summary.to_string())]);
        self.save(&stage.finished(), tensors, metadata)?;
        self.forget_states(stage)
    }

    fn forget_states(&self, stage: &StageFile<'_>) -> Result<()> {
        stage.states().iter().try_for_each(|name| Ok(self.files.remove(name)?))
    }

    /// Writes the weights of a stage after `step` steps.
    ///
    /// # Errors
    /// Disk.
    pub fn keep_step(&self, stage: &StageFile<'_>, step: u64, tensors: &Tensors) -> Result<()> {
        let summary = serde_json::json!({ "stage": stage.name, "steps": step });
        self.save(&stage.kept(step), tensors, Metadata::from([(STAGE_SUMMARY.into(), summary.to_string())]))
    }

    /// Writes a weights file of this training, f32. The metrics are synced first, so that they survive a power failure if
    /// the file does.
    pub(super) fn save(&self, name: &str, tensors: &Tensors, mut metadata: Metadata) -> Result<()> {
        self.files.sync(METRICS)?;
        metadata.insert(TRAINING.into(), self.fingerprint.clone());
        self.write(name, tensors, metadata, WeightType::F32)
    }

    fn write(&self, name: &str, tensors: &Tensors, metadata: Metadata, kept_as: WeightType) -> Result<()> {
        let mut file = self.files.create(name)?;
        let path = file.path();
        checkpoint::write(&mut file, &path, tensors, metadata, kept_as)?;
        Ok(file.publish()?)
    }

    /// Appends a line of metrics in one write.
    ///
    /// # Errors
    /// The disk.
    pub fn log(&self, line: &Value) -> Result<()> {
        let mut file = self.files.append(METRICS)?;
        file.write_all(format!("{line}\n").as_bytes()).map_err(RunError::io(&self.files.path().join(METRICS)))
    }

    /// Removes the lines of a stage after `step`, which will be written again, and an incomplete line that a kill left.
    ///
    /// # Errors
    /// The disk.
    pub fn rewind_log(&self, stage: &str, step: u64) -> Result<()> {
        let Some(bytes) = self.files.read(METRICS)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&bytes);
        let keep = |line: &&str| match serde_json::from_str::<Value>(line) {
            Ok(line) => line["stage"] != stage || line["step"].as_u64().is_some_and(|at| at <= step),
            Err(_) => false,
        };
        let kept: String = text.lines().filter(keep).flat_map(|line| [line, "\n"]).collect();
        if kept.as_bytes() == bytes { Ok(()) } else { Ok(self.files.write(METRICS, kept.as_bytes())?) }
    }

    /// Writes a file of trained weights and returns its name in the folder.
    ///
    /// # Errors
    /// The disk.
    pub fn publish(&self, name: &str, tensors: &Tensors, kept_as: WeightType) -> Result<String> {
        let file = format!("{name}.safetensors");
        self.write(&file, tensors, Metadata::from([("format".into(), "pt".into())]), kept_as)?;
        Ok(file)
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// The disk.
    pub fn write_summary(&self, summary: &Value) -> Result<()> {
        let text = serde_json::to_vec_pretty(summary).map_err(|e| RunError::Internal(e.to_string()))?;
        Ok(self.files.write(SUMMARY, &text)?)
    }
}

/// Refuses a folder that holds files of a training but not its identity.
fn refuse_unknown(files: &Folder) -> Result<()> {
    let mut found = None;
    for name in [METRICS, SUMMARY, "model.safetensors", "scorers.safetensors"] {
        if files.has(name)? {
            found = Some(name.to_string());
        }
    }
    found = files.files(STAGES)?.first().map(|name| format!("{STAGES}/{name}")).or(found);
    found.map_or(Ok(()), |found| {
        Err(RunError::Data(format!(
            "{}: holds {found}, but no {RECORD}, which identifies the training; restore {RECORD}, or choose another --output",
            files.path().display()
        )))
    })
}
