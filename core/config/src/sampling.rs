//! A sampler with the keys that all samplers share.

use serde_json::{Map, Value as Json};

use crate::sampler::Shared;
use crate::schedule::STEPS;
use crate::{Family, Keyed, Kinds, Resample, Sampler, ScheduleConfig, Spacing, SpacingEnd, SpacingLaw, Stride};

/// A sampler and the keys that all samplers share.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The kind with its own keys.
    pub sampler: Sampler,
    /// The number of steps from one time of the schedule to the next.
    pub steps: usize,
    /// The fraction of the time range to sample, above 0; `None` is 1. Below 1 sampling starts later, with less noise, from
    /// given initial values: Meng et al. 2022, "SDEdit", section 3.
    pub start_at: Option<f64>,
    /// RePaint's resampling, if any.
    pub resample: Option<Resample>,
    /// The points that are visited; `None` is `even`.
    pub spacing: Option<Spacing>,
}

impl Sampling {
    /// A sampler that visits equal steps of time from pure noise and does not resample.
    pub fn new(sampler: impl Into<Sampler>, steps: usize) -> Self {
        Sampling { sampler: sampler.into(), steps, start_at: None, resample: None, spacing: None }
    }

    /// The fraction of the time range to sample, above 0.
    pub fn start_at(&self) -> f64 {
        self.start_at.unwrap_or(1.0)
    }

    /// The law of its points.
    pub fn law(&self) -> SpacingLaw {
        self.spacing.as_ref().map_or(SpacingLaw::Even, |spacing| spacing.law)
    }

    /// The reason why its points cannot be spaced on a schedule, if there is one.
    pub fn misfit(&self, schedule: &ScheduleConfig) -> Option<SpacingMisfit> {
        let spacing = self.spacing.as_ref().filter(|spacing| spacing.law != SpacingLaw::Even)?;
        let fits = match schedule {
            ScheduleConfig::Discrete(_) => true,
            ScheduleConfig::Flow(flow) => flow.shift.is_some() && spacing.law == SpacingLaw::Linspace,
            _ => false,
        };
        let most = STEPS - spacing.spare;
        let noisiest = spacing.noisiest_step(self.steps.min(most));
        let is_posterior = matches!(self.sampler, Sampler::Ddim(_) | Sampler::Ddpm(_));
        let is_heun = matches!(self.sampler, Sampler::Heun(_));
        if !fits {
            Some(SpacingMisfit::NoSteps { law: spacing.law })
        } else if self.steps > most {
            Some(SpacingMisfit::TooManySteps { steps: self.steps, most })
        } else if noisiest >= STEPS {
            Some(SpacingMisfit::Beyond { step: noisiest, last: STEPS - 1 })
        } else if spacing.stride == Stride::Floor && (!is_posterior || self.resample.is_some()) {
            Some(SpacingMisfit::Stride)
        } else if spacing.last == SpacingEnd::First && is_heun {
            Some(SpacingMisfit::NoisyEnd)
        } else {
            None
        }
    }

    /// The number of updates. Points that are chosen by another law than `even` are cut by `start_at`, as published
    /// pipelines do; equal steps of time are shortened instead.
    pub fn updates(&self) -> usize {
        match self.law() {
            SpacingLaw::Even => self.steps,
            _ => ((self.steps as f64 * self.start_at()) as usize).max(1),
        }
    }

    fn shared(&self) -> Shared {
        Shared {
            steps: self.steps,
            start_at: self.start_at,
            resample: self.resample.clone(),
            spacing: self.spacing.clone(),
        }
    }

    /// The kind, the shared keys with a default, the kind's own keys, and the other shared keys.
    fn object(&self) -> Map<String, Json> {
        let mut own = self.sampler.object();
        let kind = own.shift_remove_entry("kind");
        let steps = [("steps".to_string(), Json::from(self.steps))];
        kind.into_iter().chain(steps).chain(own).chain(self.shared().object().into_iter().skip(1)).collect()
    }

    fn read(object: Map<String, Json>) -> Result<Self, String> {
        let is_shared = |name: &str| Shared::KEYS.iter().any(|key| key.name == name);
        let (mut shared, own): (Map<_, _>, Map<_, _>) = object.into_iter().partition(|(name, _)| is_shared(name));
        let sampler = Sampler::read(own)?;
        let kind = crate::given::kind(Self::FAMILY, &mut sampler.object())?;
        let steps = kind.defaults.iter().find(|default| default.key == "steps").map(|default| (default.value)());
        if let Some(steps) = steps.filter(|_| !shared.contains_key("steps")) {
            shared.insert("steps".to_string(), steps);
        }
        let Shared { steps, start_at, resample, spacing } = Shared::read(shared)?;
        let sampling = Sampling { sampler, steps, start_at, resample, spacing };
        crate::given::kind(Self::FAMILY, &mut sampling.object())?;
        Ok(sampling)
    }
}

impl Kinds for Sampling {
    const FAMILY: &'static Family = Sampler::FAMILY;

    fn check(&self) -> Result<(), String> {
        self.sampler.check()?;
        self.shared().check()?;
        crate::given::order(Self::FAMILY, self.sampler.name(), || self.object())
    }
}

as_object!(Sampling);

/// A reason why a sampler cannot space its points as it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpacingMisfit {
    /// The law needs a schedule with steps, or for `linspace` a flow with a `shift`.
    NoSteps {
        /// The law.
        law: SpacingLaw,
    },
    /// The schedule has fewer steps than the law needs.
    TooManySteps {
        /// The steps of the sampler.
        steps: usize,
        /// The largest possible number.
        most: usize,
    },
    /// The offset moves the noisiest point beyond the last step of the schedule.
    Beyond {
        /// The step of that point.
        step: usize,
        /// The last step of the schedule.
        last: usize,
    },
    /// An update ends elsewhere than the next one begins, which only `ddim` and `ddpm` without resampling allow.
    Stride,
    /// `heun` evaluates the network where an update ends, so it must end without noise.
    NoisyEnd,
}
