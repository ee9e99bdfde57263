//! Optimizers.

use crate::ValueForm;

kinds! {
    /// The optimizer of a stage.
    pub enum OptimizerConfig("optimizer", "optimizer") default Adamw {
        /// Adam with decoupled weight decay.
        Adamw = "adamw" {
            /// Peak learning rate.
            lr: f64 [ValueForm::POSITIVE] = 1.0e-3;
            /// Steps of linear warmup.
            warmup: u64 [ValueForm::integer_from(0)] = 0;
            /// Learning rate after the warmup.
            decay: Decay = Decay::Constant;
            /// Weight decay.
            weight_decay: f64 [ValueForm::NOT_NEGATIVE] = 0.0;
            /// Maximum norm of the gradient; 0 for no limit.
            max_grad_norm: f64 [ValueForm::NOT_NEGATIVE] = 1.0;
        }
    }
}

words! {
    /// The decay of the learning rate.
    pub enum Decay {
        /// No decay.
        Constant = "constant",
        /// Half a cosine, down to zero at the last step.
        Cosine = "cosine",
    }
}
