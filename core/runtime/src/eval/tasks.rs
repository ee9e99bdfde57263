//! One task, asked of one variant with every seed.

use std::time::{Duration, Instant};

use anyflow_plan::findings::{Answer, Figure, StreamFindings};
use anyflow_plan::plan::Task;
use indexmap::IndexMap;
use serde_json::Map;
use tch::Tensor;

use super::figures;
use super::fit::Fits;
use super::held_out::HeldOut;
use super::judging::{Verdicts, Written, distance};
use super::near::Truths;
use super::sample::Sampling;
use crate::events::{self, Events};
use crate::{Judge, Result, RunError};

/// Asks a task; `part` is what events call it.
///
/// # Errors
/// What plugins and engine say.
pub fn answer(part: &str, task: &Task, sampling: &Sampling, held_out: &HeldOut<'_>, events: &Events) -> Result<Answer> {
    let plan = held_out.plan;
    let all = plan.rows * plan.seeds.len() as u64;
    events.begin(part, Some(all), "rows", 0);
    let (mut calls, mut sampled) = (0, Duration::ZERO);
    let free = task.observe.is_empty() && task.condition.is_empty() && task.start.is_empty();
    let (mut coherence, mut joint, mut independent) = (Vec::new(), Fits::default(), Fits::default());
    let mut streams: IndexMap<&String, Gathered> = IndexMap::new();
    for (done, seed) in plan.seeds.iter().enumerate() {
        let _span = tracing::info_span!("task", part, seed).entered();
        let tuples = held_out.tuples(*seed);
        let truth = held_out.classes(&tuples)?;
        let given = task.observe.iter().chain(task.condition.keys());
        let given = given.map(|name| Ok((name.clone(), held_out.given(name, &tuples)?)));
        let given = given.collect::<Result<_>>()?;
        let begun = task.start.iter().map(|(name, from)| Ok((name.clone(), held_out.given(from, &tuples)?)));
        let begun = begun.collect::<Result<_>>()?;
        let (before, started) = (sampling.network_calls(), Instant::now());
        let generated = sampling.generate(part, task, (&given, &begun), (plan.rows, *seed))?;
        sampled += started.elapsed();
        calls += sampling.network_calls() - before;
        let generated = judged(generated, held_out)?;
        for (stream, (written, verdicts)) in &generated {
            let (name, judge) = judge(held_out, stream)?;
            let gathered = streams.entry(name).or_default();
            gathered.add(verdicts, (!free).then_some(truth.as_slice()), judge.classes)?;
            if let Some(wanted) = (!free).then(|| held_out.cells(stream, &tuples)).transpose()?.flatten() {
                gathered.exact.extend(figures::exact(&written.cells, &wanted));
            }
            if !free {
                gathered.truths.add(held_out.truth(name, &tuples, written, verdicts)?);
            }
        }
        if generated.len() > 1 {
            joint.add(part, &generated, sampling, held_out)?;
            if plan.independent {
                let apart = sampling.independent(part, task, (&given, &begun), (plan.rows, *seed))?;
                independent.add(part, &judged(apart, held_out)?, sampling, held_out)?;
            }
        }
        let verdicts: Vec<_> = generated.into_values().map(|(_, verdicts)| verdicts.classes).collect();
        coherence.push(match free {
            true => figures::agreement(&verdicts),
            false => figures::all_right(&verdicts, &truth),
        });
        events.progress(part, (done as u64 + 1) * plan.rows, Map::new());
    }
    let coherence = Figure::of(coherence);
    let seconds = sampled.as_secs_f64();
    events.end(part, events::figures([("coherence", coherence.mean.into()), ("seconds", seconds.into())]));
    let streams = streams.into_iter().map(|(name, gathered)| Ok((name.clone(), gathered.findings(name, held_out)?)));
    Ok(Answer {
        coherence,
        joint: joint.fit(),
        independent: independent.fit(),
        streams: streams.collect::<Result<_>>()?,
        recall: IndexMap::new(),
        network_calls_per_row: calls as f64 / all as f64,
        seconds_per_row: seconds / all as f64,
        rows_per_second: all as f64 / seconds,
    })
}

/// What a user gets of each stream, and what its judge says of that.
fn judged(
    generated: IndexMap<String, Tensor>,
    held_out: &HeldOut<'_>,
) -> Result<IndexMap<String, (Written, Verdicts)>> {
    let judged = generated.into_iter().map(|(stream, array)| {
        let (_, judge) = judge(held_out, &stream)?;
        let written = Written::of(&held_out.session.codecs[&stream], &array, held_out.threads)?;
        let verdicts = Verdicts::of_written(judge, &written, held_out.session.device)?;
        Ok((stream, (written, verdicts)))
    });
    judged.collect()
}

/// The judge of a stream that is generated, with the stream's name.
pub fn judge<'h>(held_out: &'h HeldOut<'_>, stream: &str) -> Result<(&'h String, &'h Judge)> {
    held_out
        .judges
        .get_key_value(stream)
        .ok_or_else(|| RunError::Internal(format!("stream {stream} is generated and has no judge")))
}

/// What comes together of a stream, seed by seed.
#[derive(Default)]
struct Gathered {
    accuracy: Vec<f64>,
    exact: Vec<f64>,
    class_entropy: Vec<f64>,
    diversity: Vec<f64>,
    features: Vec<Tensor>,
    truths: Truths,
}

impl Gathered {
    fn add(&mut self, verdicts: &Verdicts, truth: Option<&[i64]>, classes: i64) -> Result<()> {
        self.accuracy.extend(truth.map(|truth| figures::accuracy(&verdicts.classes, truth)));
        self.class_entropy.push(figures::class_entropy(&verdicts.classes, classes));
        self.diversity.extend(verdicts.diversity(classes)?);
        self.features.extend(verdicts.features.as_ref().map(Tensor::shallow_clone));
        Ok(())
    }

    fn findings(self, stream: &str, held_out: &HeldOut<'_>) -> Result<StreamFindings> {
        let figure = |seeds: Vec<f64>| (!seeds.is_empty()).then(|| Figure::of(seeds));
        let against = held_out.moments.get(stream);
        let of = |features: &Tensor| -> Result<_> {
            let verdicts = Verdicts { classes: Vec::new(), features: Some(features.shallow_clone()) };
            distance(verdicts.moments()?.as_ref(), against)
        };
        let mut frechet = None;
        if !self.features.is_empty() {
            let seeds = self.features.iter().map(of).collect::<Result<Vec<_>>>()?;
            frechet = of(&Tensor::f_cat(&self.features, 0)?)?;
            if let Some(frechet) = &mut frechet {
                frechet.per_seed = figure(seeds.into_iter().flatten().map(|distance| distance.value).collect());
            }
        }
        Ok(StreamFindings {
            accuracy: figure(self.accuracy),
            exact: figure(self.exact),
            frechet,
            class_entropy: Figure::of(self.class_entropy),
            diversity: figure(self.diversity),
            truth: self.truths.findings(),
        })
    }
}
