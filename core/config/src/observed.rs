//! Streams that a diffusion observes.

words! {
    /// Noise level at which the network sees observed streams.
    pub enum Given default Clean {
        /// Clean, at time 0.
        Clean = "clean",
        /// Noised at each step, at the time of the generated streams.
        Noised = "noised",
    }
}

impl Given {
    /// True for the level of streams for which none is written.
    pub fn is_default(&self) -> bool {
        *self == Given::default()
    }
}
