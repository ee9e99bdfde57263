//! Vectors that join the time of a denoiser.

use crate::ValueForm;

keys! {
    /// Vectors that join the embedding of the time, in this order.
    pub struct TimeVectors("denoiser.vectors") {
        /// Vectors of prompts: `PROMPT.pooled`, or the name of a prompt that has only a vector or only numbers.
        from: Vec<String>;
        /// What becomes of them: `add` maps them by two layers and adds the result, `concat` maps them by one layer and puts
        /// the result behind the embedding.
        by: VectorJoin = VectorJoin::Add;
        /// Features of each number: sines and cosines of it, as of the time.
        waves: i64 [ValueForm::integer(2, 65_536)] = 256;
    }
}

words! {
    /// How vectors join the embedding of the time.
    pub enum VectorJoin default Add {
        /// By a perceptron, whose output is added.
        Add = "add",
        /// By a linear layer, whose output is concatenated.
        Concat = "concat",
    }
}
