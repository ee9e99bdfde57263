//! Options of an evaluation and of its tasks that name no other part of the files. A key that is added here needs code only
//! where the engine uses it, in `core/runtime/src/eval`.

use crate::ValueForm;

const COUNT: ValueForm = ValueForm::integer_from(1);

keys! {
    /// How all tasks are evaluated.
    pub struct EvaluationOptions {
        /// Rows per task.
        rows: u64 [COUNT] = 1000;
        /// Seeds; results show their spread.
        seeds: Vec<u64> = vec![0];
        /// Also generate each stream of a joint task separately, from the same noise, for comparison.
        independent: bool = false;
    }
}

keys! {
    /// The thresholds of a task, for the first variant.
    pub struct TaskOptions {
        /// Minimum coherence of the first variant; the evaluation fails below it.
        min_coherence: Option<f64> [ValueForm::FRACTION];
        /// Minimum share of rows of the first variant whose nearest held-out row is their own, by perceptual distance if
        /// the judge has one, else in its features; the evaluation fails below it.
        min_top1: Option<f64> [ValueForm::FRACTION];
    }
}

keys! {
    /// The thresholds of a score task, for the first variant.
    pub struct ScoreTaskOptions {
        /// Minimum accuracy of the first variant; the evaluation fails below it.
        min_coherence: Option<f64> [ValueForm::FRACTION];
    }
}

impl From<ScoreTaskOptions> for TaskOptions {
    fn from(ScoreTaskOptions { min_coherence }: ScoreTaskOptions) -> Self {
        TaskOptions { min_coherence, ..TaskOptions::default() }
    }
}
