//! The states of a stage under way. The last two are kept, in files that take turns, so that the newer one is never
//! written over: where it is damaged, the one before it serves, and the stage comes to the same weights.

use std::cell::Cell;

use super::folder::{STAGES, TrainingFolder};
use crate::checkpoint::{Metadata, Tensors};
use crate::events::Events;
use crate::{Result, RunError};

/// Endings of the two files.
const ENDINGS: [&str; 2] = ["state", "other.state"];

/// Where a stage's files lie.
pub struct StageFile<'a> {
    /// Its place among the stages.
    pub index: usize,
    /// Its name.
    pub name: &'a str,
}

impl StageFile<'_> {
    /// The file of the finished stage.
    pub fn finished(&self) -> String {
        self.with("safetensors")
    }

    /// The file of the weights after `step` of its steps.
    pub fn kept(&self, step: u64) -> String {
        format!("{STAGES}/{:02}-{}-{step}.safetensors", self.index, self.name)
    }

    fn with(&self, ending: &str) -> String {
        format!("{STAGES}/{:02}-{}.{ending}", self.index, self.name)
    }
}

/// A saved state.
pub struct State {
    /// What the stage changes.
    pub tensors: Tensors,
    /// Steps done.
    pub step: u64,
    /// How often the stage went back to an earlier state.
    pub rollbacks: u64,
}

/// The two files of a stage.
pub struct States<'a> {
    folder: &'a TrainingFolder,
    stage: StageFile<'a>,
    /// Which of them is written next.
    turn: Cell<usize>,
}

impl<'a> States<'a> {
    /// Those of a stage.
    pub fn of(folder: &'a TrainingFolder, stage: StageFile<'a>) -> Self {
        States { folder, stage, turn: Cell::new(0) }
    }

    /// The last state that is whole and of this training; says what is wrong with another one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn load(&self, events: &Events) -> Result<Option<State>> {
        let mut last: Option<State> = None;
        for (turn, ending) in ENDINGS.into_iter().enumerate() {
            match self.read(&self.stage.with(ending)) {
                Ok(Some(state)) if last.as_ref().is_none_or(|last| last.step < state.step) => {
                    self.turn.set(1 - turn);
                    last = Some(state);
                }
                Ok(_) => {}
                Err(error @ RunError::Checkpoint { .. }) => {
                    events.note(format!("{error}; the stage goes on from the state before it, or from its start"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    fn read(&self, name: &str) -> Result<Option<State>> {
        let Some(weights) = self.folder.weights(name)? else { return Ok(None) };
        let number = |key: &str| weights.metadata.get(key).and_then(|number| number.parse().ok());
        match (self.folder.wrote(&weights), number("step"), number("rollbacks")) {
            (true, Some(step), Some(rollbacks)) => Ok(Some(State { tensors: weights.tensors, step, rollbacks })),
            _ => Err(RunError::Checkpoint {
                path: self.folder.files().path().join(name).display().to_string(),
                text: "is no state of this training".into(),
            }),
        }
    }

    /// Saves a state in place of the last but one.
    ///
    /// # Errors
    /// Disk.
    pub fn save(&self, tensors: &Tensors, step: u64, rollbacks: u64) -> Result<()> {
        let numbers = [("step", step), ("rollbacks", rollbacks)];
        let metadata: Metadata = numbers.into_iter().map(|(key, number)| (key.into(), number.to_string())).collect();
        let turn = self.turn.get();
        self.folder.save(&self.stage.with(ENDINGS[turn]), tensors, metadata)?;
        self.turn.set(1 - turn);
        Ok(())
    }

    /// Removes the states of a stage that is finished.
    ///
    /// # Errors
    /// Disk.
    pub fn forget(folder: &TrainingFolder, stage: &StageFile<'_>) -> Result<()> {
        ENDINGS.into_iter().try_for_each(|ending| Ok(folder.files().remove(&stage.with(ending))?))
    }
}
