//! Distributions of states and times in training.

use indexmap::IndexMap;

use crate::ValueForm;

kinds! {
    /// The distribution of the state and the time of each stream in each row.
    pub enum TimeDistribution("time distribution", "times") default SubsetShared {
        /// A random subset of the streams is observed (clean); the others share one time.
        SubsetShared = "subset-shared" {
            /// Probability that some streams are observed.
            p_cond: f64 [ValueForm::FRACTION] = 0.5;
            /// Probability that some observed streams are absent.
            p_absent: f64 [ValueForm::FRACTION] = 0.0;
            /// Draw a subset per sample or per batch.
            per: Per = Per::Sample;
            /// Density of the times: uniform, or logit-normal, which prefers the middle.
            density: Density = Density::Uniform;
        }

        /// A time per stream.
        Independent = "independent" {
            /// Density of the times: uniform, or logit-normal, which prefers the middle.
            density: Density = Density::Uniform;
        }

        /// One time for all streams.
        SharedAll = "shared-all" {
            /// Draw a time per sample or per batch. Use `batch` with a contrastive loss on coupled streams, or the loss can
            /// distinguish rows by their noise level.
            per: Per = Per::Sample;
            /// Density of the times: uniform, or logit-normal, which prefers the middle.
            density: Density = Density::Uniform;
        }

        /// Patterns of noisy, clean and absent streams in turn, with a time per noisy stream.
        Alternating = "alternating" {
            /// Patterns: stream -> state; streams that a pattern does not name are absent.
            patterns: Vec<IndexMap<String, State>>;
            /// Alternate from row to row, so that every step sums all losses (`sample`), or from step to step (`batch`).
            per: Per = Per::Sample;
            /// Density of the times: uniform, or logit-normal, which prefers the middle.
            density: Density = Density::Uniform;
        }
    }
}

words! {
    /// The state of one stream in one row.
    pub enum State {
        /// Diffused, at its own time: it has a loss, and sampling generates it.
        Noisy = "noisy",
        /// Observed: its time is 0, it stays fixed while others are sampled, and it has no loss.
        Clean = "clean",
        /// Absent: the network sees zeros and a presence flag of 0; it has no loss.
        Absent = "absent",
    }
}

impl State {
    /// True if the state has a loss.
    pub fn has_loss(self) -> bool {
        self == State::Noisy
    }

    /// True if noise is added, in training and in sampling.
    pub fn has_noise(self) -> bool {
        self == State::Noisy
    }

    /// True if sampling must restore the observed value after each step.
    pub fn is_clamped(self) -> bool {
        self == State::Clean
    }

    /// True if the network sees the stream.
    pub fn is_present(self) -> bool {
        self != State::Absent
    }

    /// The time that the network gets: `t` if noisy, 0 if clean, 1 if absent (as little is known as at full noise).
    pub fn time(self, t: f64) -> f64 {
        match self {
            State::Clean => 0.0,
            State::Noisy => t,
            State::Absent => 1.0,
        }
    }
}

words! {
    /// The unit that draws a subset or a time, or takes a turn.
    pub enum Per default Sample {
        /// Every row.
        Sample = "sample",
        /// The whole batch.
        Batch = "batch",
    }
}

words! {
    /// The density of the times.
    pub enum Density default Uniform {
        /// All times are equally likely.
        Uniform = "uniform",
        /// The logit of the time is normal: Esser et al. 2024, "Scaling rectified flow transformers", section 3.1.
        LogitNormal = "logit-normal",
    }
}
