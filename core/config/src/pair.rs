//! Scorers that compare two prompts.

use crate::ValueForm;

keys! {
    /// The similarity of two prompts: the cosine of their vectors times a factor.
    pub struct PairScorer("model.scorer") {
        /// The two prompts. A node `score` reads `from` as the first, and `against` or `classes` as the second.
        between: Vec<String>;
        /// Factor. By default it is a weight of the model: `scorers.NAME.logit_scale` is its natural logarithm.
        scale: Option<f64> [ValueForm::number(0.0, 1_000_000.0)];
    }
}
