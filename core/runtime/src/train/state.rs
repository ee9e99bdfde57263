//! The saved states of a running stage. The last two are kept, in two files that alternate, so that the newer one is never
//! overwritten. If it is damaged, the stage resumes from the older one and reaches the same weights.

use std::cell::Cell;

use super::folder::TrainingFolder;
use super::stage_file::StageFile;
use crate::checkpoint::{Metadata, Tensors};
use crate::events::Events;
use crate::{Result, RunError};

/// A saved state.
pub struct SavedState {
    /// The tensors that the stage changes.
    pub tensors: Tensors,
    /// Number of finished steps.
    pub step: u64,
    /// Number of rollbacks.
    pub rollbacks: u64,
}

/// The two state files of a stage.
pub struct StateFiles<'a> {
    folder: &'a TrainingFolder,
    stage: StageFile<'a>,
    /// Index of the file to write next.
    turn: Cell<usize>,
}

impl<'a> StateFiles<'a> {
    /// The state files of a stage.
    pub fn of(folder: &'a TrainingFolder, stage: StageFile<'a>) -> Self {
        StateFiles { folder, stage, turn: Cell::new(0) }
    }

    /// Loads the newest intact state of this training, if there is one. A note reports each damaged or foreign file.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn load(&self, events: &Events) -> Result<Option<SavedState>> {
        let mut last: Option<SavedState> = None;
        for (turn, name) in self.stage.states().iter().enumerate() {
            match self.read(name) {
                Ok(Some(state)) if last.as_ref().is_none_or(|last| last.step < state.step) => {
                    self.turn.set(1 - turn);
                    last = Some(state);
                }
                Ok(_) => {}
                Err(error @ RunError::Checkpoint { .. }) => {
                    events.note(format!("{error}; the stage resumes from the state before it, or from its start"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    fn read(&self, name: &str) -> Result<Option<SavedState>> {
        let Some(weights) = self.folder.weights(name)? else { return Ok(None) };
        let number = |key: &str| weights.metadata.get(key).and_then(|number| number.parse().ok());
        match (self.folder.wrote(&weights), number("step"), number("rollbacks")) {
            (true, Some(step), Some(rollbacks)) => Ok(Some(SavedState { tensors: weights.tensors, step, rollbacks })),
            _ => Err(RunError::Checkpoint {
                path: self.folder.files().path().join(name).display().to_string(),
                text: "is not a state of this training".into(),
            }),
        }
    }

    /// Saves a state over the older one.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, tensors: &Tensors, step: u64, rollbacks: u64) -> Result<()> {
        let numbers = [("step", step), ("rollbacks", rollbacks)];
        let metadata: Metadata = numbers.into_iter().map(|(key, number)| (key.into(), number.to_string())).collect();
        let turn = self.turn.get();
        self.folder.save(&self.stage.states()[turn], tensors, metadata)?;
        self.turn.set(1 - turn);
        Ok(())
    }
}
