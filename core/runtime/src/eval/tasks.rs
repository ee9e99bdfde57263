//! Generation tasks: one task of one variant, with every seed.

use std::time::{Duration, Instant};

use anyflow_plan::findings::{Answer, Confusion, Figure, StreamFindings};
use anyflow_plan::plan::Task;
use indexmap::IndexMap;
use serde_json::Map;
use tch::Tensor;

use super::figures;
use super::fit::Fits;
use super::held_out::HeldOut;
use super::judging::{Judged, RoundTrip, Verdicts, distance};
use super::near::Truths;
use super::sample::{Inputs, TaskSampler};
use super::samples::Samples;
use crate::events::{self, Events};
use crate::{Judge, Result, RunError};

/// The results of a task.
pub struct Answered {
    /// Its figures.
    pub answer: Answer,
    /// Its first rows.
    pub samples: Samples,
}

/// Runs a generation task with every seed; events call it `part`.
///
/// # Errors
/// Errors of plugins and engine.
pub fn answer(
    part: &str,
    task: &Task,
    sampler: &TaskSampler<'_>,
    held_out: &HeldOut<'_>,
    events: &Events,
) -> Result<Answered> {
    let plan = held_out.plan;
    let all = plan.options.rows * plan.options.seeds.len() as u64;
    events.begin(part, Some(all), "rows", 0);
    let mut calls = 0;
    let mut sampled = Duration::ZERO;
    let is_free = task.reads().next().is_none();
    let mut coherence = Vec::new();
    let mut joint = Fits::default();
    let mut independent = Fits::default();
    let mut streams: IndexMap<&String, Gathered> = IndexMap::new();
    let mut samples = None;
    for (done, seed) in plan.options.seeds.iter().enumerate() {
        let _span = tracing::info_span!("task", part, seed).entered();
        let tuples = held_out.tuples(*seed);
        let truth = held_out.classes(&tuples)?;
        let diffusion = task.diffusion(sampler.variant, *seed);
        let inputs = Inputs { arrays: held_out.arrays(task, &tuples)?, rows: plan.options.rows };
        let before = sampler.network_calls();
        let started = Instant::now();
        let generated = sampler.generate(part, &diffusion, &inputs)?;
        sampled += started.elapsed();
        calls += sampler.network_calls() - before;
        let generated = judged(generated, held_out)?;
        for (stream, Judged { written, verdicts }) in &generated {
            let (name, judge) = judge(held_out, stream)?;
            let gathered = streams.entry(name).or_default();
            gathered.add(verdicts, (!is_free).then_some(truth.as_slice()), judge.classes)?;
            if !is_free {
                if let Some(wanted) = held_out.cells(stream, &tuples)? {
                    gathered.exact.extend(figures::exact(&written.cells, &wanted));
                }
                gathered.truths.add(held_out.truth(name, &tuples, written, verdicts)?);
            }
        }
        if generated.len() > 1 {
            joint.add(part, &generated, sampler, held_out)?;
            if plan.options.independent {
                let apart = sampler.independent(part, &diffusion, &inputs)?;
                independent.add(part, &judged(apart, held_out)?, sampler, held_out)?;
            }
        }
        if samples.is_none() {
            samples = Some(Samples::of(task, &generated, held_out, &tuples)?);
        }
        let verdicts: Vec<_> = generated.into_values().map(|judged| judged.verdicts.classes).collect();
        coherence.push(if is_free { figures::agreement(&verdicts) } else { figures::all_right(&verdicts, &truth) });
        events.progress(part, (done as u64 + 1) * plan.options.rows, Map::new());
    }
    let coherence = Figure::of(coherence);
    let seconds = sampled.as_secs_f64();
    events.end(part, events::figures([("coherence", coherence.mean.into()), ("seconds", seconds.into())]));
    let streams = streams.into_iter().map(|(name, gathered)| Ok((name.clone(), gathered.findings(name, held_out)?)));
    let answer = Answer {
        coherence,
        joint: joint.fit(),
        independent: independent.fit(),
        streams: streams.collect::<Result<_>>()?,
        confusion: None,
        recall: IndexMap::new(),
        network_calls_per_row: calls as f64 / all as f64,
        seconds_per_row: seconds / all as f64,
        rows_per_second: all as f64 / seconds,
    };
    Ok(Answered { answer, samples: samples.unwrap_or_default() })
}

/// Writes generated arrays as cells and lets the judges classify them.
fn judged(generated: IndexMap<String, Tensor>, held_out: &HeldOut<'_>) -> Result<IndexMap<String, Judged>> {
    let mut all = IndexMap::new();
    for (stream, array) in generated {
        let (_, judge) = judge(held_out, &stream)?;
        let written = RoundTrip::of(&held_out.session.codecs[&stream], &array, held_out.threads)?;
        let verdicts = Verdicts::of_written(judge, &written, held_out.session.device)?;
        all.insert(stream, Judged { written, verdicts });
    }
    Ok(all)
}

/// The judge of a generated stream, with the stream's name.
pub fn judge<'h>(held_out: &'h HeldOut<'_>, stream: &str) -> Result<(&'h String, &'h Judge)> {
    held_out
        .judges
        .get_key_value(stream)
        .ok_or_else(|| RunError::Internal(format!("stream {stream} is generated but has no judge")))
}

/// The figures of a stream, per seed.
#[derive(Default)]
struct Gathered {
    accuracy: Vec<f64>,
    confusion: Option<Confusion>,
    exact: Vec<f64>,
    class_entropy: Vec<f64>,
    diversity: Vec<f64>,
    features: Vec<Tensor>,
    truths: Truths,
}

impl Gathered {
    fn add(&mut self, verdicts: &Verdicts, truth: Option<&[i64]>, classes: i64) -> Result<()> {
        if let Some(truth) = truth {
            self.accuracy.push(figures::accuracy(&verdicts.classes, truth));
            self.confusion.get_or_insert_with(|| Confusion::new(classes)).add(truth, &verdicts.classes);
        }
        self.class_entropy.push(figures::class_entropy(&verdicts.classes, classes));
        self.diversity.extend(verdicts.diversity(classes)?);
        self.features.extend(verdicts.features.as_ref().map(Tensor::shallow_clone));
        Ok(())
    }

    fn findings(self, stream: &str, held_out: &HeldOut<'_>) -> Result<StreamFindings> {
        let figure = |seeds: Vec<f64>| (!seeds.is_empty()).then(|| Figure::of(seeds));
        let against = held_out.moments.get(stream);
        let distance_of = |features: &Tensor| -> Result<_> {
            let verdicts = Verdicts { classes: Vec::new(), features: Some(features.shallow_clone()) };
            distance(verdicts.moments()?.as_ref(), against)
        };
        let mut frechet = None;
        if !self.features.is_empty() {
            let seeds = self.features.iter().map(distance_of).collect::<Result<Vec<_>>>()?;
            frechet = distance_of(&Tensor::f_cat(&self.features, 0)?)?;
            if let Some(frechet) = &mut frechet {
                frechet.per_seed = figure(seeds.into_iter().flatten().map(|distance| distance.value).collect());
            }
        }
        Ok(StreamFindings {
            accuracy: figure(self.accuracy),
            confusion: self
                .confusion
                .filter(Confusion::is_readable)
                .map(|confusion| confusion.named(held_out.class_names())),
            exact: figure(self.exact),
            frechet,
            class_entropy: Figure::of(self.class_entropy),
            diversity: figure(self.diversity),
            truth: self.truths.findings(),
        })
    }
}
