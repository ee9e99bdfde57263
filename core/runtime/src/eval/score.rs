//! Classification and retrieval tasks: predict the x0 of a stream and find the nearest class or row.

use std::time::{Duration, Instant};

use anyflow_plan::findings::{Answer, Confusion, Figure};
use anyflow_plan::plan::{Scoring, Task};
use indexmap::IndexMap;
use serde_json::Map;
use tch::{Device, Kind, Tensor};

use super::figures;
use super::held_out::HeldOut;
use super::sample::{Inputs, TaskSampler};
use crate::Result;
use crate::events::{self, Events};
use crate::scoring::ClassEmbeddings;

/// Recall is measured among this many nearest rows.
const NEAREST: [i64; 2] = [1, 10];
/// Cosines (f32) that differ by less are equal: two rows may have the same value.
const TOLERANCE: f64 = 1e-5;

/// Runs a classification or retrieval task with every seed; events call it `part`.
///
/// # Errors
/// Errors of plugins and engine.
pub fn answer(
    part: &str,
    task: &Task,
    scoring: &Scoring,
    sampler: &TaskSampler<'_>,
    held_out: &HeldOut<'_>,
    events: &Events,
) -> Result<Answer> {
    let plan = held_out.plan;
    let all = plan.options.rows * plan.options.seeds.len() as u64;
    events.begin(part, Some(all), "rows", 0);
    let calls = sampler.network_calls();
    let mut sampled = Duration::ZERO;
    let mut accuracies = Vec::new();
    let mut confusion: Option<Confusion> = None;
    let mut recalls = IndexMap::<String, Vec<f64>>::new();
    for (done, seed) in plan.options.seeds.iter().enumerate() {
        let tuples = held_out.tuples(*seed);
        let diffusion = task.diffusion(sampler.variant, *seed);
        let inputs = Inputs { arrays: held_out.arrays(task, &tuples)?, rows: plan.options.rows };
        let started = Instant::now();
        let predicted = sampler.predict(part, &diffusion, scoring, &inputs)?;
        sampled += started.elapsed();
        if scoring.classes.is_empty() {
            let own = sampler.denoiser_input(part, &scoring.stream, &held_out.array(&scoring.stream, &tuples)?)?;
            let cosines = ClassEmbeddings::of(&own)?.cosines(&predicted)?;
            for (name, cosines) in [("recall", cosines.shallow_clone()), ("reverse recall", cosines.f_tr()?)] {
                for (count, share) in NEAREST.iter().zip(recall(&cosines)?) {
                    recalls.entry(format!("{name}@{count}")).or_default().push(share);
                }
            }
            accuracies.extend(recalls["recall@1"].last());
        } else {
            let codec = &held_out.session.codecs[&scoring.stream];
            let classes = sampler.class_embeddings(part, scoring, codec)?;
            let nearest = classes.cosines(&predicted)?.f_argmax(-1, false)?.f_to_device(Device::Cpu)?;
            let verdicts: Vec<_> = Vec::<i64>::try_from(nearest)?.into_iter().map(Some).collect();
            let truth = held_out.classes(&tuples)?;
            accuracies.push(figures::accuracy(&verdicts, &truth));
            confusion.get_or_insert_with(|| Confusion::new(scoring.classes.len() as i64)).add(&truth, &verdicts);
        }
        events.progress(part, (done as u64 + 1) * plan.options.rows, Map::new());
    }
    let names: Vec<String> = scoring.classes.iter().map(|(name, _)| name.clone()).collect();
    let coherence = Figure::of(accuracies);
    let seconds = sampled.as_secs_f64();
    events.end(part, events::figures([("accuracy", coherence.mean.into()), ("seconds", seconds.into())]));
    Ok(Answer {
        coherence,
        joint: None,
        independent: None,
        streams: IndexMap::new(),
        confusion: confusion.filter(Confusion::is_readable).map(|confusion| confusion.named(&names)),
        recall: recalls.into_iter().map(|(name, seeds)| (name, Figure::of(seeds))).collect(),
        network_calls_per_row: (sampler.network_calls() - calls) as f64 / all as f64,
        seconds_per_row: seconds / all as f64,
        rows_per_second: all as f64 / seconds,
    })
}

/// Recall@k for each k of [`NEAREST`], from cosines `[row, row]`: the share of rows with fewer than k nearer rows than
/// their own.
fn recall(cosines: &Tensor) -> Result<Vec<f64>> {
    let own = cosines.f_diagonal(0, 0, 1)?.f_unsqueeze(1)?;
    let nearer =
        cosines.f_gt_tensor(&own.f_add_scalar(TOLERANCE)?)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
    let share = |count: &i64| Ok(nearer.f_lt(*count)?.f_mean(Kind::Float)?.f_double_value(&[])?);
    NEAREST.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_only_strictly_nearer_rows() {
        // Row 0 is nearest to its own value. Row 1 is nearer to another value. Row 2 has the value of row 1.
        let cosines = Tensor::from_slice(&[0.9f32, 0.1, 0.1, 0.8, 0.5, 0.5, 0.2, 0.7, 0.7]).view([3, 3]);
        let found = recall(&cosines).unwrap();
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-6 && found[1] == 1.0, "{found:?}");
    }
}
