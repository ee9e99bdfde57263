//! The tokens that a denoiser sees where it has no prompt.

keys! {
    /// What a row without a prompt shows the denoiser: exactly one of the keys.
    pub struct AbsentPrompt("prompt.absent") {
        /// Text that is encoded, often the empty one.
        value: Option<String>;
        /// Number that fills the codec's array, which is encoded.
        fill: Option<f64>;
        /// Number that fills the tokens.
        tokens: Option<f64>;
    }
}

impl AbsentPrompt {
    /// The number of keys that are given.
    pub fn given(&self) -> usize {
        usize::from(self.value.is_some()) + usize::from(self.fill.is_some()) + usize::from(self.tokens.is_some())
    }
}
