//! The distribution of states and times in training.

use anyflow_config::times::{Alternating, SharedAll, SubsetShared};
use anyflow_config::{Density, Kinds, Per, State, TimeDistribution};
use indexmap::IndexMap;

use super::DrawKey;
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
        draw_from(self, Rows { first: 0, count: rows, lacking: &[] }, streams, DrawKey { seed, step })
    }
}

/// The rows of a draw.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// The index of the first row in the step's batch.
    pub first: usize,
    /// The number of rows.
    pub count: usize,
    /// Per row, the streams that it lacks, as a bit mask. Empty if every row has every stream.
    pub lacking: &'a [u64],
}

impl Rows<'_> {
    /// True if a row has a stream.
    pub(super) fn has(&self, row: usize, stream: usize) -> bool {
        self.lacking.get(row).is_none_or(|lacking| lacking >> stream & 1 == 0)
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

/// See [`Draws::draw`]. A row draws among the streams that it has; the others are absent.
pub(super) fn draw_from(law: &TimeDistribution, rows: Rows<'_>, streams: &[StreamSpec], key: DrawKey) -> Draw {
    let DrawKey { seed, step } = key;
    let mut states = States::filled(rows.count, streams.len(), State::Absent);
    let mut times = Vec::new();
    let mut drawn = vec![0.0; TIMES + 2 * streams.len()];
    let mut of_batch = drawn.clone();
    RowNoise::new(seed, 0, LAW_NOISE).uniforms(step, &mut of_batch);
    for row in 0..rows.count {
        let number = rows.first + row;
        RowNoise::new(seed, number as u64, LAW_NOISE).uniforms(step, &mut drawn);
        let here: Vec<usize> = (0..streams.len()).filter(|stream| rows.has(row, *stream)).collect();
        let turn = Turn { number, step, drawn: &drawn, of_batch: &of_batch };
        for (index, state) in here.iter().zip(states_of(law, streams, &here, &turn)) {
            states.row_mut(row)[*index] = state;
        }
        let of_all = matches!(law, TimeDistribution::SharedAll(SharedAll { per: Per::Batch, .. }));
        let (drawn, key) = if of_all { (&of_batch, 0) } else { (&drawn, number) };
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

/// The turn and the uniforms of a row.
struct Turn<'a> {
    /// Index of the row in the step's batch.
    number: usize,
    step: u32,
    drawn: &'a [f64],
    /// The uniforms of the whole batch.
    of_batch: &'a [f64],
}

/// The states of the streams that a row has (`here`, indices into `streams`). A row takes only turns at patterns in which
/// one of its streams is noisy.
fn states_of(law: &TimeDistribution, streams: &[StreamSpec], here: &[usize], turn: &Turn<'_>) -> Vec<State> {
    let mut states = vec![State::Noisy; here.len()];
    match law {
        TimeDistribution::Independent(_) | TimeDistribution::SharedAll(_) => {}
        TimeDistribution::SubsetShared(law) => {
            let drawn = if law.per == Per::Batch { turn.of_batch } else { turn.drawn };
            draw_subset(&mut states, law, &drawn[..TIMES], &drawn[TIMES + streams.len()..]);
        }
        TimeDistribution::Alternating(Alternating { patterns, per, .. }) => {
            let state = |pattern: &IndexMap<String, State>, index: &usize| {
                pattern.get(&streams[*index].name).copied().unwrap_or(State::Absent)
            };
            let trains = |pattern: &&IndexMap<String, State>| here.iter().any(|index| state(pattern, index).has_loss());
            let usable: Vec<_> = patterns.iter().filter(trains).collect();
            let number = if *per == Per::Batch { turn.step as usize } else { turn.number };
            match usable.get(number % usable.len().max(1)) {
                Some(pattern) => states = here.iter().map(|index| state(pattern, index)).collect(),
                None => states.fill(State::Absent),
            }
        }
    }
    states
}

/// The offset of the times among a row's uniforms: after the two coins, the subset and the number of absent streams.
const TIMES: usize = 4;

/// `drawn` holds the [`TIMES`] numbers before the times; the streams with the smallest keys are absent.
fn draw_subset(states: &mut [State], law: &SubsetShared, drawn: &[f64], keys: &[f64]) {
    let coin = drawn[0];
    let subset = drawn[1];
    let absent_coin = drawn[2];
    let absent_count = drawn[3];
    if states.len() < 2 || coin >= law.p_cond {
        return;
    }
    // Subsets are bit patterns 1 .. 2^n - 2; 52 streams are as many as a uniform has bits.
    let subsets = (1u64 << states.len().min(52)) - 2;
    let subset = 1 + ((subset * subsets as f64) as u64).min(subsets - 1);
    let mut given: Vec<usize> = (0..states.len()).filter(|index| subset >> index & 1 == 1).collect();
    given.iter().for_each(|index| states[*index] = State::Clean);
    if absent_coin < law.p_absent {
        given.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
        let count = 1 + ((absent_count * given.len() as f64) as usize).min(given.len() - 1);
        given[..count].iter().for_each(|index| states[*index] = State::Absent);
    }
}
