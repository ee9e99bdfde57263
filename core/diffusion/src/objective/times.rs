//! The distribution of states and times in training.

use anyflow_config::times::{Alternating, SharedAll, SubsetShared};
use anyflow_config::{Density, Kinds, Per, State, TimeDistribution};
use indexmap::IndexMap;

use super::density::logit_normals;
use crate::noise::RowNoise;
use crate::{EngineError, Result, States, StreamSpec};

/// The noise key of training draws; no stream can have this name, since sampling keys noise by the stream's own name.
const LAW_NOISE: &str = "\0law";

/// States and times of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// `[row, stream]`.
    pub states: States,
    /// `[row, stream]`, row after row: the time of a noisy stream, 0 if clean, 1 if absent.
    pub times: Vec<f64>,
}

impl Draw {
    /// Expands the draw to `all` streams: `places` are the indices of the drawn streams, the others are absent.
    pub(super) fn among(self, places: &[usize], all: usize) -> Draw {
        if places.len() == all {
            return self;
        }
        let rows = self.states.rows();
        let mut draw =
            Draw { states: States::filled(rows, all, State::Absent), times: vec![State::Absent.time(0.0); rows * all] };
        for row in 0..rows {
            for (from, to) in places.iter().enumerate() {
                draw.states.row_mut(row)[*to] = self.states.row(row)[from];
                draw.times[row * all + to] = self.times[row * places.len() + from];
            }
        }
        draw
    }

    /// Makes a stream clean in a row.
    pub(super) fn observe(&mut self, row: usize, stream: usize) {
        self.states.row_mut(row)[stream] = State::Clean;
        self.times[row * self.states.streams() + stream] = State::Clean.time(0.0);
    }
}

/// Draws states and times.
///
/// Times are in the schedule's training range, with the given density. A shared time is shared as a fraction of that range,
/// as in samplers. `subset-shared`: a single stream is never observed; absent streams are some of the observed ones, whose
/// number is uniform from one to all of them, so that at least one stream of every row is noisy (Bounoua et al. 2024,
/// "Multi-modal latent diffusion", multi-time masked training). `independent`: Bao et al. 2023, "One transformer fits all
/// distributions". `alternating`: Huang et al. 2023, "DiffDis", train with two patterns: a stream noisy and the query
/// absent, and the query noisy and that stream clean.
pub trait Draws {
    /// Draws for `rows` rows. A pure function of its arguments, so that resumed training draws the same again.
    fn draw(&self, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw;
}

impl Draws for TimeDistribution {
    fn draw(&self, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw {
        draw_from(self, 0, streams, rows, seed, step)
    }
}

/// Rejects options out of range, and patterns that name other streams or have no noisy stream.
pub(super) fn check(law: &TimeDistribution, streams: &[StreamSpec]) -> Result<()> {
    law.check().map_err(EngineError::Options)?;
    let TimeDistribution::Alternating(Alternating { patterns, .. }) = law else { return Ok(()) };
    let idle = |pattern: &IndexMap<String, State>| !pattern.values().any(|state| state.has_loss());
    if patterns.is_empty() || patterns.iter().any(idle) {
        let wanted = "at least one, each with a noisy stream";
        return Err(EngineError::Config { field: "patterns", wanted, found: format!("{patterns:?}") });
    }
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

fn density(law: &TimeDistribution) -> Density {
    match law {
        TimeDistribution::SubsetShared(law) => law.density,
        TimeDistribution::Independent(law) => law.density,
        TimeDistribution::SharedAll(law) => law.density,
        TimeDistribution::Alternating(law) => law.density,
    }
}

/// See [`Draws::draw`], for the rows from `first` on.
pub(super) fn draw_from(
    law: &TimeDistribution,
    first: usize,
    streams: &[StreamSpec],
    rows: usize,
    seed: u64,
    step: u32,
) -> Draw {
    let mut states = States::filled(rows, streams.len(), State::Noisy);
    let mut times = Vec::new();
    let mut drawn = vec![0.0; TIMES + 2 * streams.len()];
    let mut of_batch = drawn.clone();
    RowNoise::new(seed, 0, LAW_NOISE).uniforms(step, &mut of_batch);
    for row in 0..rows {
        RowNoise::new(seed, (first + row) as u64, LAW_NOISE).uniforms(step, &mut drawn);
        if let TimeDistribution::SubsetShared(SubsetShared { p_cond, p_absent, per, .. }) = law {
            let of_subset = if *per == Per::Batch { &of_batch } else { &drawn };
            draw_subset(states.row_mut(row), of_subset, *p_cond, *p_absent);
        }
        if let TimeDistribution::Alternating(Alternating { patterns, per, .. }) = law {
            let turn = if *per == Per::Batch { step as usize } else { first + row };
            let pattern = &patterns[turn % patterns.len().max(1)];
            for (state, stream) in states.row_mut(row).iter_mut().zip(streams) {
                *state = pattern.get(&stream.name).copied().unwrap_or(State::Absent);
            }
        }
        let of_all = matches!(law, TimeDistribution::SharedAll(SharedAll { per: Per::Batch, .. }));
        let (drawn, key) = if of_all { (&of_batch, 0) } else { (&drawn, first + row) };
        let mut fractions = drawn[TIMES..TIMES + streams.len()].to_vec();
        if density(law) == Density::LogitNormal {
            fractions = logit_normals(streams.len(), seed, key, step);
        }
        let shared = !matches!(law, TimeDistribution::Independent(_) | TimeDistribution::Alternating(_));
        for (index, stream) in streams.iter().enumerate() {
            let leader = if shared { 0 } else { index };
            let least = stream.schedule.t_min();
            let most = stream.schedule.t_max();
            times.push(states.row(row)[index].time(least + fractions[leader] * (most - least)));
        }
    }
    Draw { states, times }
}

/// The offset of the times among a row's uniforms: after the two coins, the subset and the number of absent streams.
const TIMES: usize = 4;

/// `drawn` holds [`TIMES`] numbers, a time per stream and a key per stream; the streams with the smallest keys are
/// absent.
fn draw_subset(states: &mut [State], drawn: &[f64], p_cond: f64, p_absent: f64) {
    let coin = drawn[0];
    let subset = drawn[1];
    let absent_coin = drawn[2];
    let absent_count = drawn[3];
    let keys = &drawn[TIMES + states.len()..];
    // Subsets are bit patterns 1 .. 2^n - 2; 52 streams are as many as a uniform has bits.
    let subsets = (1u64 << states.len().min(52)) - 2;
    if subsets == 0 || coin >= p_cond {
        return;
    }
    let subset = 1 + ((subset * subsets as f64) as u64).min(subsets - 1);
    let mut given: Vec<usize> = (0..states.len()).filter(|index| subset >> index & 1 == 1).collect();
    given.iter().for_each(|index| states[*index] = State::Clean);
    if absent_coin < p_absent {
        given.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
        let count = 1 + ((absent_count * given.len() as f64) as usize).min(given.len() - 1);
        given[..count].iter().for_each(|index| states[*index] = State::Absent);
    }
}
