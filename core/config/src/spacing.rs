//! The points that a sampler visits, as published schedulers space them.

use crate::ValueForm;
use crate::schedule::STEPS;

const STEP: ValueForm = ValueForm::integer(0, STEPS as i128);

keys! {
    /// The points that a sampler visits. Published models expect those of their own scheduler.
    pub struct Spacing("sampler.spacing") {
        /// Law of the points.
        law: SpacingLaw = SpacingLaw::Even;
        /// With `leading`: steps of the schedule added to each point.
        offset: usize [STEP] = 0;
        /// With `leading` and `linspace`: points computed for the least noise and left out.
        spare: usize [ValueForm::integer(0, 1)] = 0;
        /// With `karras` and `exponential`: law whose first and last point bound the noise; by default all of the schedule.
        within: Option<StepLaw>;
        /// With `linspace`, `karras` and `exponential`: round the time that the network is given to a step of the schedule.
        round: bool = true;
        /// Where the last update ends.
        last: SpacingEnd = SpacingEnd::Zero;
        /// Scale of the initial noise.
        start: SpacingStart = SpacingStart::Unit;
        /// Where an update ends.
        stride: Stride = Stride::Next;
    }
}

words! {
    /// The law of the points: Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed", table 2.
    pub enum SpacingLaw {
        /// Equal steps of time.
        Even = "even",
        /// Multiples of a whole number of steps, from the first step of the schedule.
        Leading = "leading",
        /// Equal steps down from the last step of the schedule, rounded.
        Trailing = "trailing",
        /// Equal steps between the first and the last step of the schedule, both included.
        Linspace = "linspace",
        /// Noise-to-signal ratios with evenly spaced 7th roots (Karras et al. 2022, eq. (5)).
        Karras = "karras",
        /// Noise-to-signal ratios with evenly spaced logarithms.
        Exponential = "exponential",
    }
}

words! {
    /// A law that chooses steps of the schedule.
    pub enum StepLaw {
        /// See `law`.
        Leading = "leading",
        /// See `law`.
        Trailing = "trailing",
        /// See `law`.
        Linspace = "linspace",
    }
}

words! {
    /// The end of sampling.
    pub enum SpacingEnd {
        /// Without noise.
        Zero = "zero",
        /// With the noise of the first step of the schedule.
        First = "first",
    }
}

words! {
    /// The scale of the initial noise.
    pub enum SpacingStart {
        /// 1.
        Unit = "unit",
        /// The noise at the first point.
        Noise = "noise",
    }
}

words! {
    /// The end of an update.
    pub enum Stride {
        /// At the next point.
        Next = "next",
        /// A whole number of steps further, wherever the next point is: T / N, rounded down.
        Floor = "floor",
    }
}

impl Spacing {
    /// The law by which steps of the schedule are chosen, or that bounds the noise.
    pub fn step_law(&self) -> Option<StepLaw> {
        match self.law {
            SpacingLaw::Even => None,
            SpacingLaw::Leading => Some(StepLaw::Leading),
            SpacingLaw::Trailing => Some(StepLaw::Trailing),
            SpacingLaw::Linspace => Some(StepLaw::Linspace),
            SpacingLaw::Karras | SpacingLaw::Exponential => self.within,
        }
    }

    /// The whole number of steps between neighboring points of `leading`, with so many points.
    pub fn leading_stride(&self, points: usize) -> usize {
        STEPS / (points + self.spare)
    }

    /// The step of the noisiest of so many points; the last step of the schedule for laws without an offset.
    pub fn noisiest_step(&self, points: usize) -> usize {
        match self.step_law() {
            Some(StepLaw::Leading) => (points + self.spare - 1) * self.leading_stride(points) + self.offset,
            _ => STEPS - 1,
        }
    }

    /// The keys that differ from their default without any effect.
    pub fn idle(&self) -> Vec<&'static str> {
        let law = self.step_law();
        let has_points = self.law != SpacingLaw::Even;
        let curved = matches!(self.law, SpacingLaw::Karras | SpacingLaw::Exponential);
        let idle = [
            ("offset", self.offset > 0 && law != Some(StepLaw::Leading)),
            ("spare", self.spare > 0 && !matches!(law, Some(StepLaw::Leading | StepLaw::Linspace))),
            ("within", self.within.is_some() && !curved),
            ("round", !self.round && !curved && self.law != SpacingLaw::Linspace),
            ("last", self.last != SpacingEnd::Zero && !has_points),
            ("start", self.start != SpacingStart::Unit && !has_points),
            ("stride", self.stride != Stride::Next && !has_points),
        ];
        idle.into_iter().filter_map(|(key, is_idle)| is_idle.then_some(key)).collect()
    }
}
