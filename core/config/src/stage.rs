//! Options of a stage of a training. A key that is added here needs code only where the engine uses it, in
//! `core/runtime/src/train`; the planner looks up the names of streams and prompts in it by its form.

use crate::{OptimizerConfig, ValueForm};

const COUNT: ValueForm = ValueForm::integer_from(1);
const DECAY: ValueForm = ValueForm::Number { minimum: 0.0, maximum: 0.999_999, above: false };

keys! {
    /// How a stage trains.
    pub struct StageOptions {
        /// Optimizer steps; required unless the objective trains nothing.
        steps: Option<u64> [COUNT];
        /// Steps after which the weights are written to a file of their own, stages/INDEX-NAME-STEP.safetensors.
        keep: Option<Vec<u64>> [ValueForm::List(&COUNT)];
        /// Rows per optimizer step.
        batch: u64 [COUNT] = 256;
        /// Rows per network call; gradients are accumulated over the batch. By default the whole batch.
        micro_batch: Option<u64> [COUNT];
        /// Optimizer.
        optimizer: OptimizerConfig = OptimizerConfig::default();
        /// Decay of the exponential moving average of the weights; 0 for none.
        ema: f64 [DECAY] = 0.0;
        /// Weights of the denoiser to train, by name; `*` matches any characters. By default all.
        weights: Option<Vec<String>>;
    }
}

impl StageOptions {
    /// Optimizer steps; 0 if nothing is trained.
    pub fn steps(&self) -> u64 {
        self.steps.unwrap_or(0)
    }

    /// Steps after which the weights are written.
    pub fn keep(&self) -> &[u64] {
        self.keep.as_deref().unwrap_or_default()
    }

    /// Rows per network call.
    pub fn micro_batch(&self) -> u64 {
        self.micro_batch.unwrap_or(self.batch)
    }
}
