//! Vectors that join the time of a denoiser.

use crate::ValueForm;

keys! {
    /// Vectors that join the embedding of the time, in this order: two layers map them, and the result is added.
    pub struct TimeVectors("denoiser.vectors") {
        /// Vectors of prompts: `PROMPT.pooled`, or the name of a prompt that has only a vector or only numbers.
        from: Vec<String>;
        /// Features of each number: sines and cosines of it, as of the time.
        waves: i64 [ValueForm::integer(2, 65_536)] = 256;
    }
}
