//! The names of a stage's files in the folder of a training.

/// The folder of stages and states.
pub(super) const STAGES: &str = "stages";
/// Extensions of the two files of states.
const STATES: [&str; 2] = ["state", "other.state"];

/// The names of a stage's files.
pub struct StageFile<'a> {
    /// Index of the stage.
    pub index: usize,
    /// Its name.
    pub name: &'a str,
}

impl StageFile<'_> {
    /// The file of the finished stage.
    pub fn finished(&self) -> String {
        self.with("safetensors")
    }

    /// The file of the weights after `step` steps.
    pub fn kept(&self, step: u64) -> String {
        format!("{STAGES}/{:02}-{}-{step}.safetensors", self.index, self.name)
    }

    /// The two files of its states.
    pub fn states(&self) -> [String; 2] {
        STATES.map(|extension| self.with(extension))
    }

    fn with(&self, extension: &str) -> String {
        format!("{STAGES}/{:02}-{}.{extension}", self.index, self.name)
    }
}
