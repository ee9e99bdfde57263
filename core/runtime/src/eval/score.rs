//! A task that tells classes, or rows, by what is recovered of a stream.

use std::time::{Duration, Instant};

use anyflow_plan::findings::{Answer, Figure};
use anyflow_plan::plan::{Scoring, Task};
use indexmap::IndexMap;
use serde_json::Map;
use tch::{Device, Kind, Tensor};

use super::figures;
use super::held_out::HeldOut;
use super::sample::Sampling;
use crate::Result;
use crate::events::{self, Events};
use crate::scoring::Bank;

/// Among so many nearest ones a row is looked for.
const NEAREST: [i64; 2] = [1, 10];
/// Cosines that differ by less are equal, f32: rows may have the same value.
const SAME: f64 = 1e-5;

/// Asks a scoring; `part` is what events call it.
///
/// # Errors
/// What plugins and engine say.
pub fn answer(
    part: &str,
    task: &Task,
    scoring: &Scoring,
    sampling: &Sampling,
    held_out: &HeldOut<'_>,
    events: &Events,
) -> Result<Answer> {
    let plan = held_out.plan;
    let all = plan.rows * plan.seeds.len() as u64;
    events.begin(part, Some(all), "rows", 0);
    let (calls, mut sampled) = (sampling.network_calls(), Duration::ZERO);
    let (mut told, mut recalls) = (Vec::new(), IndexMap::<String, Vec<f64>>::new());
    for (done, seed) in plan.seeds.iter().enumerate() {
        let tuples = held_out.tuples(*seed);
        let given = task.observe.iter().map(|name| Ok((name.clone(), held_out.given(name, &tuples)?)));
        let given = given.collect::<Result<_>>()?;
        let started = Instant::now();
        let recovered = sampling.recover(part, (task, scoring), given, plan.rows, *seed)?;
        sampled += started.elapsed();
        if scoring.classes.is_empty() {
            let own = sampling.seen(part, &scoring.stream, &held_out.given(&scoring.stream, &tuples)?)?;
            let cosines = Bank::of(&own)?.cosines(&recovered)?;
            for (name, cosines) in [("recall", cosines.shallow_clone()), ("reverse recall", cosines.f_tr()?)] {
                for (count, share) in NEAREST.iter().zip(shares(&cosines)?) {
                    recalls.entry(format!("{name}@{count}")).or_default().push(share);
                }
            }
            told.extend(recalls["recall@1"].last());
        } else {
            let bank = sampling.bank(part, scoring, &held_out.session.codecs[&scoring.stream])?;
            let nearest = bank.cosines(&recovered)?.f_argmax(-1, false)?.f_to_device(Device::Cpu)?;
            let classes: Vec<_> = Vec::<i64>::try_from(nearest)?.into_iter().map(Some).collect();
            told.push(figures::accuracy(&classes, &held_out.classes(&tuples)?));
        }
        events.progress(part, (done as u64 + 1) * plan.rows, Map::new());
    }
    let (coherence, seconds) = (Figure::of(told), sampled.as_secs_f64());
    events.end(part, events::figures([("told", coherence.mean.into()), ("seconds", seconds.into())]));
    Ok(Answer {
        coherence,
        joint: None,
        independent: None,
        streams: IndexMap::new(),
        recall: recalls.into_iter().map(|(name, seeds)| (name, Figure::of(seeds))).collect(),
        network_calls_per_row: (sampling.network_calls() - calls) as f64 / all as f64,
        seconds_per_row: seconds / all as f64,
        rows_per_second: all as f64 / seconds,
    })
}

/// `[row, row]` -> the share of rows of which fewer than k others are nearer than their own, for each k of [`NEAREST`].
fn shares(cosines: &Tensor) -> Result<Vec<f64>> {
    let own = cosines.f_diagonal(0, 0, 1)?.f_unsqueeze(1)?;
    let nearer =
        cosines.f_gt_tensor(&own.f_add_scalar(SAME)?)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
    let share = |count: &i64| Ok(nearer.f_lt(*count)?.f_mean(Kind::Float)?.f_double_value(&[])?);
    NEAREST.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_where_few_others_are_nearer_and_equal_values_do_not_count() {
        // Row 0 is nearest to its own value; to row 1 another is nearer; row 2 has the value of row 1.
        let cosines = Tensor::from_slice(&[0.9f32, 0.1, 0.1, 0.8, 0.5, 0.5, 0.2, 0.7, 0.7]).view([3, 3]);
        let found = shares(&cosines).unwrap();
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-6 && found[1] == 1.0, "{found:?}");
    }
}
