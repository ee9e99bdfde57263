//! The prompt of a training row: one at a time, since the prompts of different modalities share one space.

use super::times::Rows;
use super::{Draw, DrawKey};
use crate::noise::RowNoise;
use crate::{EngineError, Result, State, States, StreamSpec};

/// The noise key of prompts; no stream can have this name.
const PROMPT_NOISE: &str = "\0prompt";

/// The distribution of a row's prompt in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompting {
    /// The probability that a row has no prompt, which guidance needs.
    pub p_uncond: f64,
    /// Prompts without tokens, as a bit mask: bit i is set for the i-th prompt.
    pub missing: u64,
}

impl Default for Prompting {
    /// Tang et al. 2023 do not say how often prompts are dropped; one row in ten is common.
    fn default() -> Self {
        Prompting { p_uncond: 0.1, missing: 0 }
    }
}

impl Prompting {
    /// Appends the states of the prompts to a draw over the diffused streams: one of the prompts that the row has, chosen
    /// uniformly, or none.
    pub(super) fn with_prompts(self, draw: Draw, prompts: &[StreamSpec], rows: Rows<'_>, key: DrawKey) -> Result<Draw> {
        if prompts.is_empty() {
            return Ok(draw);
        }
        let there: Vec<usize> = (0..prompts.len()).filter(|index| self.missing >> index & 1 == 0).collect();
        if there.is_empty() {
            return Err(EngineError::Request("no prompt has tokens".to_string()));
        }
        let diffused = draw.states.streams();
        let mut states = States::filled(rows.count, diffused + prompts.len(), State::Absent);
        let mut times = Vec::new();
        for row in 0..rows.count {
            let mut drawn = [0.0; 2];
            RowNoise::new(key.seed, (rows.first + row) as u64, PROMPT_NOISE).uniforms(key.step, &mut drawn);
            let here: Vec<usize> = there.iter().copied().filter(|prompt| rows.has(row, *prompt)).collect();
            let given = (drawn[0] >= self.p_uncond && !here.is_empty())
                .then(|| here[((drawn[1] * here.len() as f64) as usize).min(here.len() - 1)]);
            let (of_streams, of_prompts) = states.row_mut(row).split_at_mut(diffused);
            of_streams.copy_from_slice(draw.states.row(row));
            if let Some(index) = given {
                of_prompts[index] = State::Clean;
            }
            times.extend_from_slice(&draw.times[row * diffused..(row + 1) * diffused]);
            times.extend(of_prompts.iter().map(|state| state.time(0.0)));
        }
        Ok(Draw { states, times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draws, Parameterization, Schedule, TimeDistribution};

    const KEY: DrawKey = DrawKey { seed: 7, step: 3 };

    fn streams(names: &[&str]) -> Vec<StreamSpec> {
        let of = |name: &&str| StreamSpec {
            name: name.to_string(),
            shape: vec![2],
            schedule: Schedule::cosine(),
            parameterization: Parameterization::Eps,
        };
        names.iter().map(of).collect()
    }

    #[test]
    fn a_row_has_one_available_prompt_or_none() {
        let diffused = streams(&["x"]);
        let prompts = streams(&["a", "b", "c"]);
        let law = TimeDistribution::SharedAll(Default::default());
        let prompting = Prompting { p_uncond: 0.25, missing: 0b010 };
        let rows = 8000;
        let draw = law.draw(&diffused, rows, 7, 3);
        let all = |first, count| Rows { first, count, lacking: &[] };
        let whole = prompting.with_prompts(draw.clone(), &prompts, all(0, rows), KEY).unwrap();
        let mut counts = [0; 4];
        for row in 0..rows {
            assert_eq!(whole.states.row(row)[0], State::Noisy);
            assert_eq!(whole.times[row * 4], draw.times[row]);
            let given: Vec<usize> = (0..3).filter(|index| whole.states.row(row)[1 + index] == State::Clean).collect();
            assert!(given.len() <= 1);
            counts[given.first().map_or(3, |index| *index)] += 1;
        }
        let shares = counts.map(|count| f64::from(count) / rows as f64);
        for (share, wanted) in shares.into_iter().zip([0.375, 0.0, 0.375, 0.25]) {
            assert!((share - wanted).abs() < 0.03, "{shares:?}");
        }
        // A part of the batch draws what its rows draw in the whole batch.
        let few = crate::objective::times::draw_from(&law, all(100, 50), &diffused, KEY);
        let part = prompting.with_prompts(few, &prompts, all(100, 50), KEY).unwrap();
        assert!((0..50).all(|row| part.states.row(row) == whole.states.row(100 + row)));
        assert!(Prompting { missing: 0b111, ..prompting }.with_prompts(draw, &prompts, all(0, rows), KEY).is_err());
    }

    #[test]
    fn a_row_is_prompted_only_by_what_it_has() {
        let diffused = streams(&["x"]);
        let prompts = streams(&["a", "b", "c"]);
        let rows = 3000;
        let lacking: Vec<u64> = (0..rows as u64).map(|row| [0b001, 0b110, 0b111][row as usize % 3]).collect();
        let draw = TimeDistribution::SharedAll(Default::default()).draw(&diffused, rows, 7, 3);
        let rows = Rows { first: 0, count: rows, lacking: &lacking };
        let prompted = Prompting { p_uncond: 0.25, missing: 0 }.with_prompts(draw, &prompts, rows, KEY).unwrap();
        let share = |kind: usize, prompt: usize| {
            let of_kind = (kind..rows.count).step_by(3);
            of_kind.filter(|row| prompted.states.row(*row)[1 + prompt] == State::Clean).count() as f64 / 1000.0
        };
        for (kind, wanted) in [[0.0, 0.375, 0.375], [0.75, 0.0, 0.0], [0.0; 3]].into_iter().enumerate() {
            for (prompt, wanted) in wanted.into_iter().enumerate() {
                // Five standard deviations of a share of 1000 rows, at most.
                assert!((share(kind, prompt) - wanted).abs() < 0.08, "{kind} {prompt}: {}", share(kind, prompt));
                assert!(wanted > 0.0 || share(kind, prompt) == 0.0, "{kind} {prompt}");
            }
        }
    }
}
