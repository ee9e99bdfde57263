//! The prompt of a training row: one at a time, since the prompts of different modalities share one space.

use super::{Draw, DrawKey};
use crate::noise::RowNoise;
use crate::{EngineError, Result, StreamSpec};

/// The noise key of prompts; no stream can have this name.
const PROMPT_NOISE: &str = "\0prompt";

/// The distribution of a row's prompt in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompting {
    /// The probability that a row has no prompt, which guidance needs.
    pub p_uncond: f64,
    /// The prompts without tokens.
    pub missing: Vec<String>,
}

impl Default for Prompting {
    /// Tang et al. 2023 do not say how often prompts are dropped; one row in ten is common.
    fn default() -> Self {
        Prompting { p_uncond: 0.1, missing: Vec::new() }
    }
}

impl Prompting {
    /// Draws the prompt of each row: one of the available prompts, chosen uniformly, or none.
    pub(super) fn with_prompts(
        &self,
        mut draw: Draw,
        streams: &[StreamSpec],
        first_row: usize,
        key: DrawKey,
    ) -> Result<Draw> {
        if !streams.iter().any(StreamSpec::is_prompt) {
            return Ok(draw);
        }
        let has_tokens = |stream: &StreamSpec| stream.is_prompt() && !self.missing.contains(&stream.name);
        let there: Vec<usize> = (0..streams.len()).filter(|index| has_tokens(&streams[*index])).collect();
        if there.is_empty() {
            return Err(EngineError::Request("no prompt has tokens".to_string()));
        }
        for row in 0..draw.states.rows() {
            let mut drawn = [0.0; 2];
            RowNoise::new(key.seed, (first_row + row) as u64, PROMPT_NOISE).uniforms(key.step, &mut drawn);
            if drawn[0] >= self.p_uncond {
                draw.observe(row, there[((drawn[1] * there.len() as f64) as usize).min(there.len() - 1)]);
            }
        }
        Ok(draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Parameterization, Schedule, State, StreamKind, TimeDistribution};

    const KEY: DrawKey = DrawKey { seed: 7, step: 3 };

    fn stream(name: &str, kind: StreamKind) -> StreamSpec {
        let schedule = Schedule::cosine();
        let parameterization = Parameterization::Eps;
        StreamSpec { name: name.to_string(), shape: vec![2, 2], schedule, parameterization, kind }
    }

    #[test]
    fn a_row_has_one_available_prompt_or_none() {
        let streams = [
            stream("x", StreamKind::Diffused),
            stream("a", StreamKind::Prompt),
            stream("b", StreamKind::Prompt),
            stream("c", StreamKind::Prompt),
        ];
        let law = TimeDistribution::SharedAll(Default::default());
        let drawn = |first, rows| {
            crate::objective::times::draw_from(&law, first, &streams[..1], rows, 7, 3).among(&[0], streams.len())
        };
        let prompting = Prompting { p_uncond: 0.25, missing: vec!["b".to_string()] };
        let rows = 8000;
        let draw = drawn(0, rows);
        let whole = prompting.with_prompts(draw.clone(), &streams, 0, KEY).unwrap();
        let mut counts = [0; 4];
        for row in 0..rows {
            assert_eq!(whole.states.row(row)[0], State::Noisy);
            assert_eq!(whole.times[row * 4], draw.times[row * 4]);
            let given: Vec<usize> = (0..3).filter(|index| whole.states.row(row)[1 + index] == State::Clean).collect();
            assert!(given.len() <= 1);
            counts[given.first().map_or(3, |index| *index)] += 1;
        }
        let shares = counts.map(|count| f64::from(count) / rows as f64);
        for (share, wanted) in shares.into_iter().zip([0.375, 0.0, 0.375, 0.25]) {
            assert!((share - wanted).abs() < 0.03, "{shares:?}");
        }
        // A part of the batch draws what its rows draw in the whole batch.
        let part = prompting.with_prompts(drawn(100, 50), &streams, 100, KEY).unwrap();
        assert!((0..50).all(|row| part.states.row(row) == whole.states.row(100 + row)));
        let missing = ["a", "b", "c"].map(str::to_string).to_vec();
        assert!(Prompting { missing, ..prompting }.with_prompts(draw, &streams, 0, KEY).is_err());
    }
}
