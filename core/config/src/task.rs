//! Options of an evaluation and of its tasks. A key that is added here needs code only where the engine uses it, in
//! `core/runtime/src/eval`; the planner looks up the names of streams and prompts in it by its form.

use indexmap::IndexMap;

use crate::{PartKind, ValueForm};

const COUNT: ValueForm = ValueForm::integer_from(1);
const PROMPT: ValueForm = ValueForm::Name(PartKind::Prompt);

keys! {
    /// How all tasks are evaluated.
    pub struct EvaluationOptions {
        /// Rows per task.
        rows: u64 [COUNT] = 1000;
        /// Seeds; results show their spread.
        seeds: Vec<u64> = vec![0];
        /// Also generate each stream of a joint task separately, from the same noise, for comparison.
        independent: bool = false;
        /// Prompts that embed generated streams. Their mean cosine measures how well jointly generated streams match.
        similarity: Option<IndexMap<String, String>> [ValueForm::NamesOf(PartKind::Stream, &PROMPT)];
    }
}

impl EvaluationOptions {
    /// The prompt that embeds a stream, to compare it with others.
    pub fn embedded_by(&self, stream: &str) -> Option<&String> {
        self.similarity.as_ref()?.get(stream)
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
