//! Conflicts: generation from two prompts of different classes, at several weights of the second prompt.

use anyflow_plan::findings::{Figure, Mixture};
use anyflow_plan::plan::{Diffusion, Roles, StreamRole, Task};
use indexmap::{IndexMap, IndexSet};
use serde_json::Map;
use tch::{Kind, Tensor};

use super::held_out::HeldOut;
use super::judging::RoundTrip;
use super::sample::{Inputs, TaskSampler};
use super::tasks::judge;
use crate::events::{self, Events};
use crate::{Judge, Result, RunError};

/// Weights of the second prompt.
const WEIGHTS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The mean probabilities of a stream at one weight, per seed.
#[derive(Default)]
struct Probabilities {
    /// Of the first prompt's class.
    first: Vec<f64>,
    /// Of the second prompt's class.
    second: Vec<f64>,
}

impl Probabilities {
    fn mixture(self, weight: f64) -> Mixture {
        Mixture { weight, first: Figure::of(self.first), second: Figure::of(self.second) }
    }
}

/// Runs a conflict with every seed and returns a mixture per generated stream and weight; events call it `part`.
///
/// # Errors
/// Errors of plugins and engine; [`RunError::Data`] if all rows have the same class.
pub fn answer(
    part: &str,
    task: &Task,
    sampler: &TaskSampler<'_>,
    held_out: &HeldOut<'_>,
    events: &Events,
) -> Result<IndexMap<String, Vec<Mixture>>> {
    let plan = held_out.plan;
    events.begin(part, Some(plan.options.rows * (plan.options.seeds.len() * WEIGHTS.len()) as u64), "rows", 0);
    let mut found: IndexMap<&String, [Probabilities; WEIGHTS.len()]> = IndexMap::new();
    let mut done = 0;
    for seed in &plan.options.seeds {
        let tuples = held_out.tuples(*seed);
        let classes = held_out.classes(&tuples)?;
        let others = of_another_class(&classes).ok_or_else(|| {
            RunError::Data(format!("{part}: all {} rows have the same class; increase `rows`", plan.options.rows))
        })?;
        let other_classes: Vec<i64> = others.iter().map(|row| classes[*row as usize]).collect();
        let diffusion = task.diffusion(sampler.variant, *seed);
        let mut arrays = held_out.arrays(task, &tuples)?;
        for name in prompts_of(&task.streams).iter().skip(1).flat_map(|prompt| plan.model.arrays(prompt).into_keys()) {
            if let Some(array) = arrays.get_mut(&name) {
                *array = array.f_index_select(0, &Tensor::from_slice(&others))?;
            }
        }
        let inputs = Inputs { arrays, rows: plan.options.rows };
        for (step, weight) in WEIGHTS.into_iter().enumerate() {
            let mixed = Diffusion { streams: mixed(&diffusion.streams, weight), ..diffusion.clone() };
            for (stream, array) in sampler.generate(part, &mixed, &inputs)? {
                let (name, judge) = judge(held_out, &stream)?;
                let written = RoundTrip::of(&held_out.session.codecs[&stream], &array, held_out.threads)?;
                let probabilities = &mut found.entry(name).or_default()[step];
                probabilities.first.push(probability(judge, &written, &classes, held_out)?);
                probabilities.second.push(probability(judge, &written, &other_classes, held_out)?);
            }
            done += plan.options.rows;
            events.progress(part, done, Map::new());
        }
    }
    events.end(part, events::figures([]));
    let mut mixtures = IndexMap::new();
    for (stream, steps) in found {
        let of_stream = WEIGHTS.into_iter().zip(steps).map(|(weight, step)| step.mixture(weight)).collect();
        mixtures.insert(stream.clone(), of_stream);
    }
    Ok(mixtures)
}

/// The prompts of a conflict, from which its conditions are made.
pub fn prompts_of(streams: &Roles) -> IndexSet<String> {
    let from = |role: &StreamRole| match role {
        StreamRole::Condition { from, .. } => from.keys().cloned().collect(),
        _ => Vec::new(),
    };
    streams.0.values().flat_map(from).collect()
}

/// Weights two prompts by `1 - weight` and `weight`, also in their vectors; what only a prompt of weight 0 makes is absent.
fn mixed(streams: &Roles, weight: f64) -> Roles {
    let weights: IndexMap<String, f64> = prompts_of(streams).into_iter().zip([1.0 - weight, weight]).collect();
    let mut mixed = streams.clone();
    for role in mixed.0.values_mut() {
        let StreamRole::Condition { from, .. } = role else { continue };
        from.retain(|prompt, weight| {
            *weight = weights.get(prompt).copied().unwrap_or_default();
            *weight > 0.0
        });
        if from.is_empty() {
            *role = StreamRole::Absent;
        }
    }
    mixed
}

/// For each row, the next row of another class, cyclically; `None` if all rows have the same class.
fn of_another_class(classes: &[i64]) -> Option<Vec<i64>> {
    let rows = classes.len();
    let after = |row: usize| (1..rows).map(move |step| (row + step) % rows);
    (0..rows).map(|row| after(row).find(|other| classes[*other] != classes[row]).map(|other| other as i64)).collect()
}

/// The judge's mean probability of each row's class; 0 for rows that could not be written or read.
fn probability(judge: &Judge, written: &RoundTrip, classes: &[i64], held_out: &HeldOut<'_>) -> Result<f64> {
    let device = held_out.session.device;
    let of_class = judge.probabilities(&written.array.f_to_device(device)?)?;
    let index = Tensor::from_slice(classes).f_unsqueeze(1)?.f_to_device(device)?;
    let chosen = of_class.f_gather(1, &index, false)?.f_squeeze_dim(1)?.f_to_kind(Kind::Double)?;
    let mut chosen = Vec::<f64>::try_from(chosen.f_to_device(tch::Device::Cpu)?)?;
    written.failed.iter().for_each(|row| chosen[*row] = 0.0);
    Ok(chosen.iter().sum::<f64>() / chosen.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_paired_with_the_next_row_of_another_class() {
        assert_eq!(of_another_class(&[1, 1, 2, 1]), Some(vec![2, 2, 3, 2]));
        assert_eq!(of_another_class(&[4, 4]), None);
    }

    #[test]
    fn a_prompt_of_weight_0_is_absent() {
        let mut streams = Roles::default();
        ["a", "b"].into_iter().for_each(|prompt| streams.condition(prompt.into(), prompt.into(), 1.0));
        let weights = |weight: f64| -> Vec<Option<f64>> {
            let weight_of = |role: &StreamRole| match role {
                StreamRole::Condition { from, .. } => from.values().next().copied(),
                _ => None,
            };
            mixed(&streams, weight).0.values().map(weight_of).collect()
        };
        assert_eq!(weights(0.0), [Some(1.0), None]);
        assert_eq!(weights(0.25), [Some(0.75), Some(0.25)]);
        assert_eq!(weights(1.0), [None, Some(1.0)]);
    }

    #[test]
    fn a_vector_has_the_weights_of_its_prompts() {
        let mut streams = Roles::default();
        for (part, prompt) in [("a", "a"), ("pooled", "a"), ("b", "b"), ("pooled", "b")] {
            streams.condition(part.into(), prompt.into(), 1.0);
        }
        let from = |weight: f64| match &mixed(&streams, weight).0["pooled"] {
            StreamRole::Condition { from, .. } => from.clone().into_iter().collect::<Vec<_>>(),
            role => panic!("{role:?}"),
        };
        let both = [("a".to_string(), 0.75), ("b".to_string(), 0.25)];
        assert_eq!((from(0.0), from(0.25)), (vec![("a".to_string(), 1.0)], both.to_vec()));
    }
}
