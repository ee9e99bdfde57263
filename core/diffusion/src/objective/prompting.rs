//! The prompt of a training row: one at a time, since the prompts of different modalities share one space.

use super::times::Rows;
use super::{Draw, DrawKey};
use crate::noise::RowNoise;
use crate::{EngineError, PromptUse, Result, StreamSpec};

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
    /// Draws the prompt of each row: one of the available prompts that the row has, chosen uniformly, or none. Vectors go with
    /// it; planes are no condition and stay.
    pub(super) fn with_prompts(
        &self,
        mut draw: Draw,
        streams: &[StreamSpec],
        rows: Rows<'_>,
        key: DrawKey,
    ) -> Result<Draw> {
        if !streams.iter().any(StreamSpec::is_prompt) {
            return Ok(draw);
        }
        let those = |wanted: fn(&PromptUse) -> bool| -> Vec<usize> {
            let is_wanted =
                |stream: &StreamSpec| stream.prompt().is_some_and(wanted) && !self.missing.contains(&stream.name);
            (0..streams.len()).filter(|index| is_wanted(&streams[*index])).collect()
        };
        let there = those(|of| *of == PromptUse::Tokens);
        let vectors = those(|of| matches!(of, PromptUse::Vector { .. }));
        let planes = those(|of| *of == PromptUse::Plane);
        if there.is_empty() && vectors.is_empty() && planes.is_empty() {
            return Err(EngineError::Request("no prompt has tokens".to_string()));
        }
        for row in 0..rows.count {
            let mut drawn = [0.0; 2];
            RowNoise::new(key.seed, (rows.first + row) as u64, PROMPT_NOISE).uniforms(key.step, &mut drawn);
            let here: Vec<usize> = there.iter().copied().filter(|prompt| rows.has(row, *prompt)).collect();
            let is_given = drawn[0] >= self.p_uncond;
            if is_given && !here.is_empty() {
                draw.observe(row, here[((drawn[1] * here.len() as f64) as usize).min(here.len() - 1)]);
            }
            let others = planes.iter().chain(vectors.iter().filter(|_| is_given));
            others.filter(|prompt| rows.has(row, **prompt)).for_each(|prompt| draw.observe(row, *prompt));
        }
        Ok(draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::times::draw_from;
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
            stream("a", StreamKind::Prompt(PromptUse::Tokens)),
            stream("b", StreamKind::Prompt(PromptUse::Tokens)),
            stream("c", StreamKind::Prompt(PromptUse::Tokens)),
        ];
        let law = TimeDistribution::SharedAll(Default::default());
        let all = |first, count| Rows { first, count, lacking: &[] };
        let drawn = |first, rows| draw_from(&law, all(first, rows), &streams[..1], KEY).among(&[0], streams.len());
        let prompting = Prompting { p_uncond: 0.25, missing: vec!["b".to_string()] };
        let rows = 8000;
        let draw = drawn(0, rows);
        let whole = prompting.with_prompts(draw.clone(), &streams, all(0, rows), KEY).unwrap();
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
        let part = prompting.with_prompts(drawn(100, 50), &streams, all(100, 50), KEY).unwrap();
        assert!((0..50).all(|row| part.states.row(row) == whole.states.row(100 + row)));
        let missing = ["a", "b", "c"].map(str::to_string).to_vec();
        assert!(Prompting { missing, ..prompting }.with_prompts(draw, &streams, all(0, rows), KEY).is_err());
    }

    #[test]
    fn a_row_is_prompted_only_by_what_it_has() {
        let prompts = ["a", "b", "c"].map(|name| stream(name, StreamKind::Prompt(PromptUse::Tokens)));
        let streams = [vec![stream("x", StreamKind::Diffused)], prompts.to_vec()].concat();
        let lacking: Vec<u64> = (0..3000).map(|row| [0b0010, 0b1100, 0b1110][row % 3]).collect();
        let rows = Rows { first: 0, count: lacking.len(), lacking: &lacking };
        let law = TimeDistribution::SharedAll(Default::default());
        let whole = Rows { lacking: &[], ..rows };
        let draw = draw_from(&law, whole, &streams[..1], KEY).among(&[0], streams.len());
        let prompting = Prompting { p_uncond: 0.25, missing: Vec::new() };
        let prompted = prompting.with_prompts(draw, &streams, rows, KEY).unwrap();
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

    #[test]
    fn vectors_go_with_the_prompt_and_planes_stay() {
        let streams = [
            stream("x", StreamKind::Diffused),
            stream("a", StreamKind::Prompt(PromptUse::Tokens)),
            stream("v", StreamKind::Prompt(PromptUse::Vector { waves: None })),
            stream("p", StreamKind::Prompt(PromptUse::Plane)),
        ];
        let law = TimeDistribution::SharedAll(Default::default());
        let all = || Rows { first: 0, count: 200, lacking: &[] };
        let draw = draw_from(&law, all(), &streams[..1], KEY).among(&[0], streams.len());
        let drawn = Prompting { p_uncond: 0.5, missing: Vec::new() }.with_prompts(draw, &streams, all(), KEY).unwrap();
        let rows: Vec<_> = (0..200).map(|row| drawn.states.row(row)[1..].to_vec()).collect();
        let given = [State::Clean, State::Clean, State::Clean];
        let dropped = [State::Absent, State::Absent, State::Clean];
        let count = |wanted: [State; 3]| rows.iter().filter(|row| **row == wanted).count();
        assert_eq!(count(given) + count(dropped), 200, "{rows:?}");
        assert!(count(given) > 70 && count(dropped) > 70, "{}", count(given));
    }
}
