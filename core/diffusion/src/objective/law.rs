//! How training draws states and times.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::density::{Density, logit_normals};
use crate::noise::RowNoise;
use crate::{EngineError, Result, State, States, StreamSpec};

/// The name under which training draws; no stream can have it, since sampling keys noise by the stream's own name.
const LAW_NOISE: &str = "\0law";

/// How training draws the state and the time of each stream in each row.
///
/// Times lie in the schedule's range for training, with the given density. A time that streams share is shared as a
/// fraction of that range, as samplers do; its density is that of the first stream's schedule.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeLaw {
    /// With probability `p_cond` a non-empty proper subset of the streams, uniform over all such subsets, is given; the
    /// others share one time. Bounoua et al. 2024, "Multi-modal latent diffusion", multi-time masked training.
    SubsetShared {
        /// The probability that streams are given at all; a single stream never is.
        #[serde(default = "default_p_cond")]
        p_cond: f64,
        /// The probability that some of a row's given streams are absent instead of clean: how many is uniform from one
        /// to all of them, which is uniform too. Streams that are generated are never absent, so at least one stream of
        /// every row is noisy. What guidance drops, and what is ignored in sampling, is trained by this.
        #[serde(default)]
        p_absent: f64,
        /// Whether each row draws its own subset, or one is drawn for the batch; times are per row either way.
        #[serde(default)]
        per: Per,
        /// Of the times.
        #[serde(default)]
        density: Density,
    },
    /// All streams noisy, each at its own time: Bao et al. 2023, "One transformer fits all distributions".
    Independent {
        /// Of the times.
        #[serde(default)]
        density: Density,
    },
    /// All streams noisy at one shared time.
    SharedAll {
        /// Whether each row draws its own time, or one is drawn for the batch, so that a
        /// [`Contrast`](crate::Contrast) cannot tell rows apart by their times.
        #[serde(default)]
        per: Per,
        /// Of the times.
        #[serde(default)]
        density: Density,
    },
    /// Patterns of states in turn, streams that are noisy each at its own time: Huang et al. 2023, "DiffDis", trains by
    /// two, a stream noisy with the query absent, and the query noisy with that stream clean.
    Alternating {
        /// Stream -> state; a stream that a pattern does not name is absent.
        patterns: Vec<IndexMap<String, State>>,
        /// Whether one row follows another in turn, so that the losses of all patterns are summed at each step, or one
        /// step another.
        #[serde(default)]
        per: Per,
        /// Of the times.
        #[serde(default)]
        density: Density,
    },
}

/// What draws a subset or a time, or takes its turn.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Every row.
    #[default]
    Sample,
    /// The whole batch.
    Batch,
}

fn default_p_cond() -> f64 {
    0.5
}

/// States and times of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// `[row, stream]`.
    pub states: States,
    /// `[row, stream]`, row after row: the time of a noisy stream, 0 of a clean one, 1 of an absent one.
    pub times: Vec<f64>,
    /// `[row, stream]`, row after row: what a loss is multiplied by, so that its mean is that of uniform times.
    pub corrections: Vec<f64>,
}

impl Draw {
    /// The same for `all` streams, of which these places were drawn for; the others are absent.
    pub(super) fn among(self, places: &[usize], all: usize) -> Draw {
        if places.len() == all {
            return self;
        }
        let rows = self.states.rows();
        let mut draw = Draw {
            states: States::filled(rows, all, State::Absent),
            times: vec![State::Absent.time(0.0); rows * all],
            corrections: vec![1.0; rows * all],
        };
        for row in 0..rows {
            for (from, to) in places.iter().enumerate() {
                draw.states.row_mut(row)[*to] = self.states.row(row)[from];
                draw.times[row * all + to] = self.times[row * places.len() + from];
                draw.corrections[row * all + to] = self.corrections[row * places.len() + from];
            }
        }
        draw
    }
}

impl TimeLaw {
    /// Refuses probabilities that are none, and patterns in which nothing is noisy.
    pub fn check(&self) -> Result<()> {
        if let TimeLaw::Alternating { patterns, .. } = self {
            let idle = |pattern: &IndexMap<String, State>| !pattern.values().any(|state| state.has_loss());
            if patterns.is_empty() || patterns.iter().any(idle) {
                let (wanted, found) = ("at least one, each with a noisy stream", format!("{patterns:?}"));
                return Err(EngineError::Config { field: "patterns", wanted, found });
            }
        }
        let TimeLaw::SubsetShared { p_cond, p_absent, .. } = *self else { return Ok(()) };
        for (field, value) in [("p_cond", p_cond), ("p_absent", p_absent)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(EngineError::Config { field, wanted: "from 0 to 1", found: value.to_string() });
            }
        }
        Ok(())
    }

    /// The density of the times.
    pub fn density(&self) -> Density {
        match *self {
            TimeLaw::SubsetShared { density, .. }
            | TimeLaw::Independent { density }
            | TimeLaw::SharedAll { density, .. }
            | TimeLaw::Alternating { density, .. } => density,
        }
    }

    /// Refuses patterns that name other streams than these.
    pub(super) fn check_streams(&self, streams: &[StreamSpec]) -> Result<()> {
        let TimeLaw::Alternating { patterns, .. } = self else { return Ok(()) };
        self.check()?;
        let known = |name: &String| streams.iter().any(|stream| stream.name == *name);
        match patterns.iter().flat_map(IndexMap::keys).find(|name| !known(name)) {
            None => Ok(()),
            Some(stranger) => Err(EngineError::Unknown {
                what: "stream",
                name: stranger.clone(),
                known: streams.iter().map(|stream| stream.name.clone()).collect(),
            }),
        }
    }

    /// Draws for `rows` rows. A pure function of its arguments: training that resumes at a step draws the same again.
    pub fn draw(&self, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw {
        self.draw_from(0, streams, rows, seed, step)
    }

    /// As [`TimeLaw::draw`], for the rows from `first` on.
    pub(super) fn draw_from(&self, first: usize, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw {
        let mut states = States::filled(rows, streams.len(), State::Noisy);
        let (mut times, mut corrections) = (Vec::new(), Vec::new());
        let mut drawn = vec![0.0; TIMES + 2 * streams.len()];
        let mut of_batch = drawn.clone();
        RowNoise::new(seed, 0, LAW_NOISE).uniforms(step, &mut of_batch);
        for row in 0..rows {
            RowNoise::new(seed, (first + row) as u64, LAW_NOISE).uniforms(step, &mut drawn);
            if let TimeLaw::SubsetShared { p_cond, p_absent, per, .. } = *self {
                let of_subset = if per == Per::Batch { &of_batch } else { &drawn };
                draw_subset(states.row_mut(row), of_subset, p_cond, p_absent);
            }
            if let TimeLaw::Alternating { patterns, per, .. } = self {
                let turn = if *per == Per::Batch { step as usize } else { first + row };
                let pattern = &patterns[turn % patterns.len().max(1)];
                for (state, stream) in states.row_mut(row).iter_mut().zip(streams) {
                    *state = pattern.get(&stream.name).copied().unwrap_or(State::Absent);
                }
            }
            let of_all = matches!(self, TimeLaw::SharedAll { per: Per::Batch, .. });
            let (drawn, key) = if of_all { (&of_batch, 0) } else { (&drawn, first + row) };
            let mut uniforms = drawn[TIMES..TIMES + streams.len()].to_vec();
            if self.density() == Density::LogitNormal {
                uniforms = logit_normals(streams.len(), seed, key, step);
            }
            let shared = !matches!(self, TimeLaw::Independent { .. } | TimeLaw::Alternating { .. });
            for (place, stream) in streams.iter().enumerate() {
                let leader = if shared { 0 } else { place };
                let (fraction, correction) = self.density().fraction(uniforms[leader], &streams[leader].schedule);
                let (least, most) = (stream.schedule.t_min(), stream.schedule.t_max());
                times.push(states.row(row)[place].time(least + fraction * (most - least)));
                corrections.push(correction);
            }
        }
        Draw { states, times, corrections }
    }
}

/// Where the times begin among a row's uniforms: after the two coins, the subset and the number of absent streams.
const TIMES: usize = 4;

/// `drawn`: as [`TIMES`] says, then a time per stream, then a key per stream: the absent ones have the least.
fn draw_subset(states: &mut [State], drawn: &[f64], p_cond: f64, p_absent: f64) {
    let (coin, subset, absent_coin, absent_count) = (drawn[0], drawn[1], drawn[2], drawn[3]);
    let keys = &drawn[TIMES + states.len()..];
    // Subsets are bit patterns 1 .. 2^n - 2; 52 streams are as many as a uniform has bits.
    let subsets = (1u64 << states.len().min(52)) - 2;
    if subsets == 0 || coin >= p_cond {
        return;
    }
    let subset = 1 + ((subset * subsets as f64) as u64).min(subsets - 1);
    let mut given: Vec<usize> = (0..states.len()).filter(|place| subset >> place & 1 == 1).collect();
    given.iter().for_each(|place| states[*place] = State::Clean);
    if absent_coin < p_absent {
        given.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
        let count = 1 + ((absent_count * given.len() as f64) as usize).min(given.len() - 1);
        given[..count].iter().for_each(|place| states[*place] = State::Absent);
    }
}
