//! The folder of a training: finished stages, the state of the one under way, metrics, the result.
//!
//! ```text
//! training.json               what is trained here (a resumed command must say the same)
//! metrics.jsonl               one line per logged step
//! stages/00-NAME.safetensors  a finished stage: what it changed, f32, with its summary
//! stages/00-NAME.state        the stage under way: weights, averages, moments, step, ways back
//! cache/STREAM.KEY.arrow      latents of frozen encoders
//! model.safetensors           the whole model, bf16
//! scorers.safetensors         the scorers, bf16
//! train.json                  the summary
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyflow_plan::order::Order;
use anyflow_plan::plan::TrainPlan;
use serde_json::{Value, json};

use crate::checkpoint::{self, Precision, Tensors, write_atomically};
use crate::{Result, RunError};

/// The saved state of a stage under way.
pub struct State {
    /// What the stage changes.
    pub tensors: Tensors,
    /// Steps done.
    pub step: u64,
    /// How often the stage went back to an earlier state.
    pub rollbacks: u64,
}

/// An opened training folder.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens or creates the folder for one training.
    ///
    /// # Errors
    /// [`RunError::Data`] when it holds another training; [`RunError::Checkpoint`] when what it starts from is missing.
    pub fn open(path: &Path, plan: &TrainPlan, order: &Order) -> Result<Self> {
        fs::create_dir_all(path.join("stages")).map_err(RunError::io(path))?;
        // Weights that a training starts from are a part of it: a resumed command must find the same.
        let start = plan.start.as_deref().map(|start| checkpoint::fingerprint(Path::new(start))).transpose()?;
        let mut identity = json!({ "plan": plan, "device": order.device, "start": start });
        let taken = plan.take.values().map(|taken| checkpoint::fingerprint(Path::new(&taken.from)));
        let taken = taken.collect::<Result<Vec<_>>>()?;
        if !taken.is_empty() {
            identity["take"] = taken.into();
        }
        let text = serde_json::to_string_pretty(&identity).map_err(|e| RunError::Internal(e.to_string()))?;
        let file = path.join("training.json");
        match fs::read_to_string(&file) {
            Ok(found) if found != text => Err(RunError::Data(format!(
                "{} holds another training (or this one with other settings); choose another --output, or remove it",
                path.display()
            ))),
            Ok(_) => Ok(Folder { path: path.into() }),
            Err(_) => {
                write_atomically(&file, text.as_bytes())?;
                Ok(Folder { path: path.into() })
            }
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn stage(&self, index: usize, name: &str, ending: &str) -> PathBuf {
        self.path.join("stages").join(format!("{index:02}-{name}.{ending}"))
    }

    /// Loads a finished stage into `tensors` and gives its summary, if there is one.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn load_stage(&self, index: usize, name: &str, tensors: &Tensors) -> Result<Option<Value>> {
        let path = self.stage(index, name, "safetensors");
        if !path.exists() {
            return Ok(None);
        }
        let (found, metadata) = checkpoint::read(&path)?;
        checkpoint::copy_into(tensors, &found, &path)?;
        let summary = metadata.get("summary").and_then(|text| serde_json::from_str(text).ok());
        Ok(Some(summary.unwrap_or_default()))
    }

    /// Saves a finished stage and forgets its state.
    ///
    /// # Errors
    /// Disk.
    pub fn save_stage(&self, index: usize, name: &str, tensors: &Tensors, summary: &Value) -> Result<()> {
        let metadata = HashMap::from([("summary".to_string(), summary.to_string())]);
        checkpoint::write(&self.stage(index, name, "safetensors"), tensors, metadata, Precision::F32)?;
        match fs::remove_file(self.stage(index, name, "state")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(RunError::io(&self.path)(e)),
            _ => Ok(()),
        }
    }

    /// The saved state of a stage under way.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn load_state(&self, index: usize, name: &str) -> Result<Option<State>> {
        let path = self.stage(index, name, "state");
        if !path.exists() {
            return Ok(None);
        }
        let (tensors, metadata) = checkpoint::read(&path)?;
        let number = |key: &str| metadata.get(key).and_then(|number| number.parse().ok());
        match (number("step"), number("rollbacks")) {
            (Some(step), Some(rollbacks)) => Ok(Some(State { tensors, step, rollbacks })),
            _ => Err(RunError::Checkpoint {
                path: path.display().to_string(),
                text: "does not say its step; remove it, and the stage begins anew".into(),
            }),
        }
    }

    /// Saves the state of a stage under way.
    ///
    /// # Errors
    /// Disk.
    pub fn save_state(&self, index: usize, name: &str, tensors: &Tensors, step: u64, rollbacks: u64) -> Result<()> {
        let numbers = [("step", step), ("rollbacks", rollbacks)];
        let metadata = numbers.map(|(key, number)| (key.to_string(), number.to_string()));
        checkpoint::write(&self.stage(index, name, "state"), tensors, HashMap::from(metadata), Precision::F32)
    }

    /// Appends a line of metrics.
    ///
    /// # Errors
    /// Disk.
    pub fn log(&self, line: &Value) -> Result<()> {
        let path = self.path.join("metrics.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}")).map_err(RunError::io(&path))
    }

    /// Drops the lines of a stage after `step`: they will be written again.
    ///
    /// # Errors
    /// Disk.
    pub fn rewind_log(&self, stage: &str, step: u64) -> Result<()> {
        let path = self.path.join("metrics.jsonl");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let keep = |line: &&str| match serde_json::from_str::<Value>(line) {
            Ok(line) => line["stage"] != stage || line["step"].as_u64().is_some_and(|at| at <= step),
            Err(_) => false,
        };
        let kept: Vec<&str> = text.lines().filter(keep).collect();
        let ending = if kept.is_empty() { "" } else { "\n" };
        write_atomically(&path, (kept.join("\n") + ending).as_bytes())
    }

    /// Writes a file of trained weights; gives its name in the folder.
    ///
    /// # Errors
    /// Disk.
    pub fn publish(&self, name: &str, tensors: &Tensors, precision: Precision) -> Result<String> {
        let file = format!("{name}.safetensors");
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        checkpoint::write(&self.path.join(&file), tensors, metadata, precision)?;
        Ok(file)
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// Disk.
    pub fn write_summary(&self, summary: &Value) -> Result<()> {
        let text = serde_json::to_vec_pretty(summary).map_err(|e| RunError::Internal(e.to_string()))?;
        write_atomically(&self.path.join("train.json"), &text)?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(RunError::io(&self.path))
    }
}
