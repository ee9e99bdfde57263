//! Evaluation: coherence of joint and conditional generation, told by judges that were trained apart.
//!
//! A judge reads what a user gets: generated arrays go through the codec to cells (a file, a word) and back. Beside
//! each figure stand the judges' accuracy on real rows, and on rows that only went through encoder and decoder.

mod figures;
mod sample;

use std::path::Path;
use std::time::Instant;

use anyflow_diffusion::noise::RowNoise;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{EvalPlan, Task};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};

use crate::events::{self, Events};
use crate::train::{TableData, Tuples};
use crate::{Judge, Result, RunError, Session};
use figures::Spread;
use sample::Sampling;

/// Runs every task with every seed, and writes `eval.json`.
///
/// # Errors
/// Why the evaluation cannot go on; [`RunError::BelowTarget`] after everything is written, if a task is below what
/// the file asks for.
pub fn evaluate(plan: &EvalPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    let mut session = Session::load(&plan.model, device)?;
    let mut judges = IndexMap::new();
    for (stream, scorer) in &plan.judges {
        let judge = Judge::new(scorer, &mut session.plugins, device, 0)?;
        if let Some(path) = &scorer.checkpoint {
            judge.load_weights(stream, Path::new(path))?;
        }
        judges.insert(stream.clone(), judge);
    }
    let threads = order.threads as usize;
    let data = TableData::read("held-out rows", &plan.data, &plan.sources, &session, threads, events)?;
    let evaluation = Evaluation { plan, order, data, judges, events };
    let references = evaluation.references(&session)?;
    let sampling = Sampling::start(session, &plan.denoiser, &plan.sampler, device)?;
    let (mut tasks, mut below) = (Map::new(), Vec::new());
    for (name, task) in &plan.tasks {
        let result = evaluation.task(name, task, &sampling)?;
        if result["passed"] == Value::Bool(false) {
            below.push(format!(
                "{name} {:.3} < {}",
                result["coherence"]["mean"].as_f64().unwrap_or(0.0),
                result["at_least"]
            ));
        }
        tasks.insert(name.clone(), result);
    }
    let result = json!({
        "name": plan.name,
        "rows": plan.rows,
        "seeds": plan.seeds,
        "sampler": plan.sampler,
        "checkpoint": plan.model.checkpoint.as_deref().and_then(|path| Path::new(path).file_name()?.to_str()),
        "judges": references,
        "tasks": tasks,
    });
    let text = serde_json::to_vec_pretty(&result).map_err(|e| RunError::Internal(e.to_string()))?;
    crate::checkpoint::write_atomically(&Path::new(&order.output).join("eval.json"), &text)?;
    match below.is_empty() {
        true => Ok(result),
        false => Err(RunError::BelowTarget(format!("below what {} asks for: {}", plan.source, below.join("; ")))),
    }
}

struct Evaluation<'a> {
    plan: &'a EvalPlan,
    order: &'a Order,
    data: TableData,
    judges: IndexMap<String, Judge>,
    events: &'a Events,
}

impl Evaluation<'_> {
    /// Each judge on real rows, and on rows that only went through encoder and decoder.
    fn references(&self, session: &Session) -> Result<Value> {
        let mut references = Map::new();
        for (stream, judge) in &self.judges {
            let array = self.array(stream)?;
            let truth = self.data.class_of_rows(stream)?;
            let net = &session.streams[stream];
            let _no_grad = tch::no_grad_guard();
            let real = figures::accuracy(&self.judge_all(session, stream, judge, array)?, &truth);
            let back =
                in_chunks(array, |chunk| net.decode(&net.encode(&chunk.f_to_device(session.device)?, false)?, false))?;
            let back = figures::accuracy(&self.judge_all(session, stream, judge, &back)?, &truth);
            let result = json!({ "rows": truth.len(), "accuracy": real, "reconstructed": back });
            self.events.end(&format!("judge {stream}"), result.as_object().cloned().unwrap_or_default());
            references.insert(stream.clone(), result);
        }
        Ok(Value::Object(references))
    }

    fn judge_all(&self, session: &Session, stream: &str, judge: &Judge, array: &Tensor) -> Result<Vec<Option<i64>>> {
        let threads = self.order.threads as usize;
        sample::judged(&session.codecs[stream], judge, array, session.device, threads)
    }

    fn array(&self, stream: &str) -> Result<&Tensor> {
        self.data.array(stream).ok_or_else(|| RunError::Internal(format!("the data has no stream {stream}")))
    }

    /// One task with every seed.
    fn task(&self, name: &str, task: &Task, sampling: &Sampling) -> Result<Value> {
        let rows = self.plan.rows;
        self.events.begin(name, Some(rows * self.plan.seeds.len() as u64), "rows", 0);
        let started = Instant::now();
        let calls = sampling.network_calls();
        let (mut coherence, mut per_stream) = (Spread::default(), IndexMap::<&String, Spread>::new());
        let mut entropy = IndexMap::<&String, Spread>::new();
        for (done, seed) in self.plan.seeds.iter().enumerate() {
            let _span = tracing::info_span!("task", name, seed).entered();
            let tuples = self.tuples(*seed);
            let truth = self.data.classes(&tuples)?;
            let given = task.observe.iter().map(|s| Ok((s.clone(), self.data.select(s, self.array(s)?, &tuples)?)));
            let generated = sampling.generate(name, task, given.collect::<Result<_>>()?, rows, *seed)?;
            let mut verdicts = IndexMap::new();
            for (stream, array) in &generated {
                let threads = self.order.threads as usize;
                let verdict = sampling.judged(stream, &self.judges[stream], array, threads)?;
                entropy
                    .entry(self.key(stream)?)
                    .or_default()
                    .add(figures::class_entropy(&verdict, self.judges[stream].classes));
                if !task.observe.is_empty() {
                    per_stream.entry(self.key(stream)?).or_default().add(figures::accuracy(&verdict, &truth));
                }
                verdicts.insert(stream.clone(), verdict);
            }
            let verdicts: Vec<_> = verdicts.into_values().collect();
            coherence.add(match task.observe.is_empty() {
                true => figures::agreement(&verdicts),
                false => figures::all_right(&verdicts, &truth),
            });
            self.events.progress(name, (done as u64 + 1) * rows, Map::new());
        }
        let seconds = started.elapsed().as_secs_f64();
        let all = (rows * self.plan.seeds.len() as u64) as f64;
        let mean = coherence.mean();
        let result = json!({
            "coherence": coherence.json(),
            "per_stream": per_stream.iter().map(|(k, v)| ((*k).clone(), v.json())).collect::<Map<_, _>>(),
            "class_entropy": entropy.iter().map(|(k, v)| ((*k).clone(), v.json())).collect::<Map<_, _>>(),
            "observe": task.observe,
            "generate": task.generate,
            "at_least": task.at_least,
            "passed": task.at_least.is_none_or(|least| mean >= least),
            "network_calls": sampling.network_calls() - calls,
            "seconds_per_row": seconds / all,
        });
        self.events.end(name, events::figures([("coherence", mean.into()), ("seconds", seconds.into())]));
        Ok(result)
    }

    fn key(&self, stream: &str) -> Result<&String> {
        self.judges
            .get_key_value(stream)
            .map(|(key, _)| key)
            .ok_or_else(|| RunError::Internal(format!("stream {stream} is generated and has no judge")))
    }

    /// The held-out tuples of a seed: leaders without repetition as long as there are enough, partners at random.
    fn tuples(&self, seed: u64) -> Tuples {
        let (rows, all) = (self.plan.rows as usize, self.data.rows());
        let mut uniforms = vec![0.0; all + rows * 8];
        RowNoise::new(seed, 0, "\0evaluation/tuples").uniforms(0, &mut uniforms);
        let (for_order, for_partners) = uniforms.split_at(all);
        let mut order: Vec<usize> = (0..all).collect();
        for i in (1..all).rev() {
            order.swap(i, (for_order[i] * (i + 1) as f64) as usize);
        }
        let picks: Vec<usize> = (0..rows).map(|row| order[row % all]).collect();
        self.data.tuples(&picks, |tuple, source| for_partners[tuple * 8 + source % 8])
    }
}

/// Runs `work` on chunks of the rows, so that a large table needs no large activations.
fn in_chunks(array: &Tensor, work: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let parts = array.f_split(1024, 0)?.iter().map(work).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&parts, 0)?)
}
