//! Two prompts of different classes, mixed: the class of what is generated goes from that of one to that of the other.

use anyflow_plan::findings::{Figure, Mixture};
use anyflow_plan::plan::Task;
use indexmap::IndexMap;
use serde_json::Map;
use tch::{Kind, Tensor};

use super::held_out::HeldOut;
use super::judging::Written;
use super::sample::Sampling;
use super::tasks::judge;
use crate::events::{self, Events};
use crate::{Judge, Result, RunError};

/// Weights of the second prompt.
const WEIGHTS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Asks a conflict; per generated stream a mixture for each weight. `part` is what events call it.
///
/// # Errors
/// What plugins and engine say; [`RunError::Data`] where all rows are of one class.
pub fn answer(
    part: &str,
    task: &Task,
    sampling: &Sampling,
    held_out: &HeldOut<'_>,
    events: &Events,
) -> Result<IndexMap<String, Vec<Mixture>>> {
    let plan = held_out.plan;
    events.begin(part, Some(plan.rows * (plan.seeds.len() * WEIGHTS.len()) as u64), "rows", 0);
    // [stream][weight] -> the two probabilities, seed by seed.
    let mut found: IndexMap<&String, [[Vec<f64>; 2]; WEIGHTS.len()]> = IndexMap::new();
    let mut done = 0;
    for seed in &plan.seeds {
        let tuples = held_out.tuples(*seed);
        let classes = held_out.classes(&tuples)?;
        let others = of_another_class(&classes).ok_or_else(|| {
            RunError::Data(format!("{part}: all {} rows are of one class; ask for more rows", plan.rows))
        })?;
        let of_others: Vec<i64> = others.iter().map(|row| classes[*row as usize]).collect();
        let mut given = IndexMap::new();
        for (place, prompt) in task.condition.keys().enumerate() {
            let array = held_out.given(prompt, &tuples)?;
            let array = if place == 0 { array } else { array.f_index_select(0, &Tensor::from_slice(&others))? };
            given.insert(prompt.clone(), array);
        }
        for (step, weight) in WEIGHTS.into_iter().enumerate() {
            let (condition, given) = mixed(&given, weight);
            let asked = Task { condition, ..task.clone() };
            for (stream, array) in sampling.generate(part, &asked, (&given, &IndexMap::new()), (plan.rows, *seed))? {
                let (name, judge) = judge(held_out, &stream)?;
                let written = Written::of(&held_out.session.codecs[&stream], &array, held_out.threads)?;
                let [first, second] = &mut found.entry(name).or_default()[step];
                first.push(probability(judge, &written, &classes, held_out)?);
                second.push(probability(judge, &written, &of_others, held_out)?);
            }
            done += plan.rows;
            events.progress(part, done, Map::new());
        }
    }
    events.end(part, events::figures([]));
    let mixture = |(weight, [first, second]): (f64, [Vec<f64>; 2])| Mixture {
        weight,
        first: Figure::of(first),
        second: Figure::of(second),
    };
    let mixtures = |steps: [[Vec<f64>; 2]; WEIGHTS.len()]| WEIGHTS.into_iter().zip(steps).map(mixture).collect();
    Ok(found.into_iter().map(|(stream, steps)| (stream.clone(), mixtures(steps))).collect())
}

/// What is given at a weight of the second prompt; a prompt that weighs nothing is not given.
fn mixed(given: &IndexMap<String, Tensor>, weight: f64) -> (IndexMap<String, f64>, IndexMap<String, Tensor>) {
    let weighed = given.iter().zip([1.0 - weight, weight]).filter(|(_, weight)| *weight > 0.0);
    weighed.map(|((prompt, array), weight)| ((prompt.clone(), weight), (prompt.clone(), array.shallow_clone()))).unzip()
}

/// For each row the next one, round and round, that is of another class; nothing if there is none.
fn of_another_class(classes: &[i64]) -> Option<Vec<i64>> {
    let rows = classes.len();
    let after = |row: usize| (1..rows).map(move |step| (row + step) % rows);
    (0..rows).map(|row| after(row).find(|other| classes[*other] != classes[row]).map(|other| other as i64)).collect()
}

/// The mean probability that a judge gives to a class by row, 0 where there is nothing to judge.
fn probability(judge: &Judge, written: &Written, classes: &[i64], held_out: &HeldOut<'_>) -> Result<f64> {
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
    fn a_row_is_set_against_the_next_of_another_class() {
        assert_eq!(of_another_class(&[1, 1, 2, 1]), Some(vec![2, 2, 3, 2]));
        assert_eq!(of_another_class(&[4, 4]), None);
    }

    #[test]
    fn at_either_end_one_prompt_is_given_alone() {
        let array = || Tensor::from_slice(&[0.0f32]);
        let given = IndexMap::from([("a".to_string(), array()), ("b".to_string(), array())]);
        let names = |weight: f64| mixed(&given, weight).0.into_iter().collect::<Vec<_>>();
        assert_eq!(names(0.0), [("a".to_string(), 1.0)]);
        assert_eq!(names(0.25), [("a".to_string(), 0.75), ("b".to_string(), 0.25)]);
        assert_eq!(names(1.0), [("b".to_string(), 1.0)]);
        assert_eq!(mixed(&given, 1.0).1.len(), 1);
    }
}
