//! Step-level continuous batching: the rows of all requests to one denoiser share each network call.
//!
//! A lane holds the rows in the batch as one tensor per stream, in admission order. Each step it drops the finished
//! rows, admits waiting ones up to its cap, calls the network once and applies one fused update per stream, with every
//! row's own coefficients. The batch is a function of the requests, their order, and the steps before which they came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::Sender;
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::job::{Coefficients, Group, Job, PLANES};
use crate::noise::tensor_from_rows;
use crate::{
    Denoiser, DenoiserInput, EngineError, Request, Result, Sampled, SamplerTable, State, StreamSpec, TensorOp, TimeRun,
};

/// What all lanes have done, readable from any thread.
#[derive(Default)]
pub(crate) struct Counters {
    /// Network calls over a whole batch.
    pub steps: AtomicU64,
    /// Rows in those calls, summed.
    pub row_steps: AtomicU64,
}

/// All work for one denoiser.
pub(crate) struct Lane {
    name: String,
    denoiser: Box<dyn Denoiser>,
    streams: Vec<StreamSpec>,
    device: Device,
    /// Rows per network call at most; halved for good when the device runs out of memory.
    cap: usize,
    counters: Arc<Counters>,
    jobs: IndexMap<u64, Job>,
    next_job: u64,
    waiting: VecDeque<u64>,
    batch: Batch,
}

/// The rows that are being sampled.
#[derive(Default)]
struct Batch {
    groups: Vec<Group>,
    /// Per stream: x, and with history the saved state and two denoised values; `[row, shape]`.
    planes: Vec<Vec<Tensor>>,
    /// Per stream, where only some rows are sampled: `[row, 1, ...]`, bool.
    masks: Vec<Option<Tensor>>,
    /// Whether groups have left since the tensors were made.
    stale: bool,
}

impl Batch {
    fn rows(&self) -> usize {
        self.groups.iter().map(|group| group.rows).sum()
    }
}

impl Lane {
    /// A lane without work.
    pub fn new(name: String, denoiser: Box<dyn Denoiser>, device: Device, cap: usize, counters: Arc<Counters>) -> Self {
        let (streams, cap) = (denoiser.streams().to_vec(), cap.max(1));
        let (jobs, waiting, batch) = Default::default();
        Lane { name, denoiser, streams, device, cap, counters, jobs, next_job: 0, waiting, batch }
    }

    /// Takes a checked request.
    pub fn submit(&mut self, request: Request, reply: Sender<Result<Sampled>>) {
        let tables: Vec<_> = self.streams.iter().map(|stream| request.sampler.table(&stream.schedule)).collect();
        self.submit_with_tables(request, &tables, reply);
    }

    fn submit_with_tables(&mut self, request: Request, tables: &[SamplerTable], reply: Sender<Result<Sampled>>) {
        match Job::new(request, &self.streams, tables, self.device, reply.clone()) {
            Ok(job) if job.is_complete() => job.answer(&self.streams, self.device),
            Ok(job) => {
                self.jobs.insert(self.next_job, job);
                self.waiting.push_back(self.next_job);
                self.next_job += 1;
            }
            // Nobody may be waiting any more; then the answer is dropped.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// The rows that are not in the batch yet.
    pub fn waiting_rows(&self) -> usize {
        self.waiting.iter().filter_map(|key| self.jobs.get(key)).map(Job::waiting).sum()
    }

    /// The denoiser's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// One step of all rows in the batch, which is filled first.
    ///
    /// # Errors
    /// Then the rows in the batch are lost: [`Lane::fail_batch`] must follow.
    pub fn step(&mut self) -> Result<()> {
        self.fill()?;
        let rows = self.batch.rows();
        if rows == 0 {
            return Ok(());
        }
        let columns = self.columns(rows)?;
        let x = self.batch.planes.iter().map(|planes| planes[0].shallow_clone()).collect();
        let outputs = self.predict(&DenoiserInput::sampling(x, self.times()))?;
        // Before anyone is answered, so that whoever has an answer sees its steps counted.
        self.counters.steps.fetch_add(1, Ordering::Relaxed);
        self.counters.row_steps.fetch_add(rows as u64, Ordering::Relaxed);
        for (stream, output) in outputs.iter().enumerate() {
            self.update(stream, output, &columns)?;
        }
        self.retire()
    }

    /// Answers every job that has rows in the batch with this error; jobs that only wait go on.
    pub fn fail_batch(&mut self, error: &EngineError) {
        self.batch = Batch::default();
        let begun: Vec<u64> = self.jobs.iter().filter(|(_, job)| job.has_begun()).map(|(key, _)| *key).collect();
        for key in begun {
            self.fail_job(key, error.clone());
        }
    }

    fn fail_job(&mut self, key: u64, error: EngineError) {
        self.waiting.retain(|waiting| *waiting != key);
        let before = self.batch.groups.len();
        self.batch.groups.retain(|group| group.job != key);
        self.batch.stale |= self.batch.groups.len() < before;
        if let Some(job) = self.jobs.shift_remove(&key) {
            job.fail(error);
        }
    }

    /// Admits waiting rows in order, and rebuilds the batch's tensors when its rows have changed.
    fn fill(&mut self) -> Result<()> {
        let mut room = self.cap.saturating_sub(self.batch.rows());
        let mut fresh = Vec::new();
        while let Some(key) = self.waiting.front().copied().filter(|_| room > 0) {
            let Some(job) = self.jobs.get_mut(&key) else { break };
            match job.admit(key, room, &self.streams, self.device) {
                Ok((group, start)) => {
                    room -= group.rows;
                    fresh.push((group, start));
                    if job.waiting() == 0 {
                        self.waiting.pop_front();
                    }
                }
                Err(error) => self.fail_job(key, error),
            }
        }
        if self.batch.stale || !fresh.is_empty() { self.rebuild(fresh) } else { Ok(()) }
    }

    /// The tensors of the groups that stay, followed by those of the fresh ones.
    fn rebuild(&mut self, fresh: Vec<(Group, Vec<Tensor>)>) -> Result<()> {
        let old = std::mem::take(&mut self.batch);
        let (fresh_groups, fresh_x): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let stayed = old.groups.len();
        let mut groups: Vec<Group> = old.groups.into_iter().chain(fresh_groups).collect();
        let history = groups.iter().any(|group| self.jobs[&group.job].uses_history());
        let mut planes = Vec::with_capacity(self.streams.len());
        for (place, stream) in self.streams.iter().enumerate() {
            let mut of_stream = Vec::new();
            for plane in 0..if history { PLANES } else { 1 } {
                let mut pieces = Vec::with_capacity(groups.len());
                for (index, group) in groups.iter().enumerate() {
                    let kept = old.planes.get(place).and_then(|planes| planes.get(plane)).filter(|_| index < stayed);
                    pieces.push(match (kept, plane) {
                        (Some(kept), _) => {
                            kept.f_narrow(0, group.offset as i64, group.rows as i64).op("narrow", &[kept])?
                        }
                        (None, 0) => fresh_x[index - stayed][place].shallow_clone(),
                        _ => {
                            let size = stream.batch_shape(group.rows);
                            Tensor::f_zeros(size, (Kind::Float, self.device)).op("zeros", &[])?
                        }
                    });
                }
                if !pieces.is_empty() {
                    of_stream.push(Tensor::f_cat(&pieces, 0).op("cat", &pieces.iter().collect::<Vec<_>>())?);
                }
            }
            planes.push(of_stream);
        }
        let mut offset = 0;
        for group in &mut groups {
            group.offset = offset;
            offset += group.rows;
        }
        self.batch = Batch { groups, planes, ..Batch::default() };
        self.describe()
    }

    /// The masks, which change only with the rows.
    fn describe(&mut self) -> Result<()> {
        let rows = self.batch.rows();
        let mut sampled = vec![Vec::new(); self.streams.len()];
        for group in &self.batch.groups {
            let job = &self.jobs[&group.job];
            for _ in 0..group.rows {
                for (stream, sampled) in sampled.iter_mut().enumerate() {
                    sampled.push(job.state(stream).has_noise());
                }
            }
        }
        self.batch.masks.clear();
        for (stream, sampled) in self.streams.iter().zip(sampled) {
            let mixed = sampled.contains(&true) && sampled.contains(&false);
            let mask = || {
                let flat = Tensor::f_from_slice(&sampled).op("from_slice", &[])?;
                let shaped = flat.f_view(column_shape(rows, stream).as_slice()).op("view", &[&flat])?;
                shaped.f_to_device(self.device).op("to", &[&shaped])
            };
            self.batch.masks.push(if mixed { Some(mask()?) } else { None });
        }
        Ok(())
    }

    /// What the network is told of this step's times.
    fn times(&self) -> Vec<TimeRun> {
        let of_group = |group: &Group| {
            let job = &self.jobs[&group.job];
            let each = || 0..self.streams.len();
            let present = each().map(|stream| f32::from(u8::from(job.state(stream).is_present()))).collect();
            TimeRun { t: each().map(|stream| job.time(stream, group.step) as f32).collect(), present, rows: group.rows }
        };
        self.batch.groups.iter().map(of_group).collect()
    }

    /// This step's coefficients of every row, in one transfer: `[stream, coefficient, row]`.
    fn columns(&self, rows: usize) -> Result<Tensor> {
        let streams = self.streams.len();
        let mut values = Vec::with_capacity(rows * streams * Coefficients::COUNT);
        for stream in 0..streams {
            for column in 0..Coefficients::COUNT {
                for group in &self.batch.groups {
                    let value = self.jobs[&group.job].coefficients(stream, group.step).values()[column];
                    values.resize(values.len() + group.rows, value);
                }
            }
        }
        tensor_from_rows(&values, streams, &[Coefficients::COUNT as i64, rows as i64], self.device)
    }

    /// Calls the network, with half as many rows at once each time the device has no memory for more.
    fn predict(&mut self, input: &DenoiserInput) -> Result<Vec<Tensor>> {
        loop {
            match self.predict_in_parts(input) {
                Err(error) if error.is_out_of_memory() && self.cap > 1 => {
                    self.cap = self.cap.min(input.rows() as usize).div_ceil(2);
                    tracing::warn!(denoiser = self.name, rows = self.cap, "{error}; the batch is halved");
                }
                result => return result,
            }
        }
    }

    fn predict_in_parts(&self, input: &DenoiserInput) -> Result<Vec<Tensor>> {
        let (rows, part) = (input.rows(), self.cap as i64);
        if rows <= part {
            return self.predict_checked(input);
        }
        let mut outputs: Vec<Vec<Tensor>> = self.streams.iter().map(|_| Vec::new()).collect();
        for first in (0..rows).step_by(self.cap) {
            let input = input.narrow(first, part.min(rows - first))?;
            for (parts, output) in outputs.iter_mut().zip(self.predict_checked(&input)?) {
                parts.push(output);
            }
        }
        outputs.iter().map(|parts| Tensor::f_cat(parts, 0).op("cat", &parts.iter().collect::<Vec<_>>())).collect()
    }

    /// One network call; what comes back has the streams' shapes and is f32.
    fn predict_checked(&self, input: &DenoiserInput) -> Result<Vec<Tensor>> {
        let outputs = self.denoiser.predict(input)?;
        if outputs.len() != self.streams.len() {
            let (expected, found) = (vec![self.streams.len() as i64], vec![outputs.len() as i64]);
            return Err(EngineError::Shape { what: format!("the output of {:?}", self.name), expected, found });
        }
        for (stream, output) in self.streams.iter().zip(&outputs) {
            stream.check_batch(output, input.rows() as usize)?;
        }
        outputs.iter().map(|output| output.f_to_kind(Kind::Float).op("to", &[output])).collect()
    }

    /// The linear update of one stream; rows that are not sampled keep their bits.
    fn update(&mut self, place: usize, output: &Tensor, columns: &Tensor) -> Result<()> {
        let (rows, stream) = (self.batch.rows(), &self.streams[place]);
        if !self.batch.groups.iter().any(|group| self.jobs[&group.job].state(place) == State::Noisy) {
            return Ok(());
        }
        let shape = column_shape(rows, stream);
        let of_stream = columns.f_select(0, place as i64).op("select", &[columns])?;
        let column = |index: i64| {
            let flat = of_stream.f_select(0, index).op("select", &[&of_stream])?;
            flat.f_view(shape.as_slice()).op("view", &[&flat])
        };
        let noise = self.noise(place, rows)?;
        let planes = &self.batch.planes[place];
        let x = &planes[0];
        let mut terms = vec![(0, x), (1, output)];
        terms.extend(noise.iter().map(|noise| (2, noise)));
        terms.extend(planes[1..].iter().enumerate().map(|(plane, tensor)| (3 + plane as i64, tensor)));
        let mut next = linear(&terms, column)?;
        if let Some(mask) = &self.batch.masks[place] {
            next = next.f_where_self(mask, x).op("where", &[mask, &next, x])?;
        }
        let updated = match planes.as_slice() {
            [_, saved, last, before] => {
                let denoised = linear(&[(6, x), (7, output)], column)?;
                let saved = linear(&[(8, x), (9, output), (10, saved), (11, last), (12, before)], column)?;
                vec![next, saved, denoised, last.shallow_clone()]
            }
            _ => vec![next],
        };
        self.batch.planes[place] = updated;
        Ok(())
    }

    /// Fresh noise for the rows whose update has any, zeros for the others; nothing when no update has any.
    fn noise(&self, place: usize, rows: usize) -> Result<Option<Tensor>> {
        let wanted = |group: &Group| self.jobs[&group.job].coefficients(place, group.step).next[2] != 0.0;
        if !self.batch.groups.iter().any(wanted) {
            return Ok(None);
        }
        let stream = &self.streams[place];
        let elements = stream.elements() as usize;
        let mut values = vec![0.0; rows * elements];
        for group in self.batch.groups.iter().filter(|group| wanted(group)) {
            group.fill_noise(place, &mut values[group.offset * elements..(group.offset + group.rows) * elements]);
        }
        tensor_from_rows(&values, rows, &stream.shape, self.device).map(Some)
    }

    /// Moves every group one step on, and takes out those that are through.
    fn retire(&mut self) -> Result<()> {
        let x: Vec<&Tensor> = self.batch.planes.iter().map(|planes| &planes[0]).collect();
        for group in &mut self.batch.groups {
            group.step += 1;
            if let Some(job) = self.jobs.get_mut(&group.job).filter(|job| job.has_finished(group)) {
                job.retire(group, &x)?;
            }
        }
        let before = self.batch.groups.len();
        let jobs = &self.jobs;
        self.batch.groups.retain(|group| !jobs[&group.job].has_finished(group));
        self.batch.stale |= self.batch.groups.len() < before;
        if self.batch.groups.is_empty() {
            self.batch = Batch::default();
        }
        let complete: Vec<u64> = self.jobs.iter().filter(|(_, job)| job.is_complete()).map(|(key, _)| *key).collect();
        for key in complete {
            if let Some(job) = self.jobs.shift_remove(&key) {
                job.answer(&self.streams, self.device);
            }
        }
        Ok(())
    }
}

/// `[rows, 1, ...]`, one axis per axis of the stream.
fn column_shape(rows: usize, stream: &StreamSpec) -> Vec<i64> {
    std::iter::once(rows as i64).chain(stream.shape.iter().map(|_| 1)).collect()
}

/// The sum of column times tensor. A new tensor: the network's output may share memory with x.
fn linear(terms: &[(i64, &Tensor)], column: impl Fn(i64) -> Result<Tensor>) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (index, tensor) in terms {
        let factor = column(*index)?;
        sum = Some(match sum.take() {
            None => tensor.f_mul(&factor).op("mul", &[tensor, &factor])?,
            Some(mut sum) => sum.f_addcmul_(tensor, &factor).op("addcmul_", &[tensor, &factor])?,
        });
    }
    sum.ok_or_else(|| EngineError::Request("an update without terms".to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Observed, Parameterization, Sampler, Schedule, Update, noise};
    use crossbeam::channel::bounded;

    /// The exact denoiser of data N(0, d^2): x0 = gain x.
    struct Centred(Vec<StreamSpec>);

    fn gain(schedule: &Schedule, t: f64) -> f64 {
        let (a, s) = (schedule.signal(t), schedule.noise(t));
        a * 0.25 / (a * a * 0.25 + s * s)
    }

    impl Denoiser for Centred {
        fn streams(&self) -> &[StreamSpec] {
            &self.0
        }

        fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
            let t = Vec::<f32>::try_from(batch.t().unwrap().flatten(0, -1)).unwrap();
            let gains: Vec<f32> = t.iter().map(|t| gain(&self.0[0].schedule, f64::from(*t)) as f32).collect();
            Ok(vec![&batch.x[0] * Tensor::from_slice(&gains).view([-1, 1])])
        }

        fn parameters(&self) -> Vec<(String, Tensor)> {
            Vec::new()
        }
    }

    /// A table on one number in f64.
    fn run(table: &SamplerTable, schedule: &Schedule, start: f64) -> f64 {
        let (mut x, mut saved, mut previous) = (start, 0.0, [0.0; 2]);
        for step in &table.steps {
            let denoised = gain(schedule, step.t) * x;
            let apply = |update: &Update| {
                let history = update.previous[0] * previous[0] + update.previous[1] * previous[1];
                update.x * x + update.saved * saved + update.denoised * denoised + history
            };
            let next = apply(&step.next);
            saved = step.save.as_ref().map_or(saved, apply);
            previous = [denoised, previous[0]];
            x = next;
        }
        x
    }

    #[test]
    fn tables_with_history_share_batches_with_tables_without() {
        /// f32 state over 60 evaluations, values of order one.
        const TOLERANCE_F32: f64 = 1e-4;
        let schedule = Schedule::vp_linear();
        let parameterization = Parameterization::X0;
        let spec = StreamSpec { name: "x".to_string(), shape: vec![3], schedule: schedule.clone(), parameterization };
        let mut lane = Lane::new("d".to_string(), Box::new(Centred(vec![spec])), Device::Cpu, 4, Arc::default());
        let request = |rows: std::ops::Range<u64>| Request {
            denoiser: "d".to_string(),
            rows: rows.collect(),
            states: [("x".to_string(), Observed::Noisy)].into(),
            sampler: Sampler::Ddim { steps: 7, eta: 0.0 },
            seed: 1,
            outputs: vec!["x".to_string()],
        };
        let (ddim, heun) =
            (Sampler::Ddim { steps: 7, eta: 0.0 }.table(&schedule), Sampler::Heun { steps: 30 }.table(&schedule));
        assert!(heun.uses_history() && !ddim.uses_history());
        // The rows with history come and go while the others stay, and the other way round.
        let jobs = [(0..2, &ddim), (2..5, &heun), (5..8, &ddim), (8..9, &heun)];
        let submit = |(rows, table): &(std::ops::Range<u64>, &SamplerTable)| {
            let (reply, answer) = bounded(1);
            lane.submit_with_tables(request(rows.clone()), &[(*table).clone()], reply);
            answer
        };
        let answers: Vec<_> = jobs.iter().map(submit).collect();
        while !lane.is_idle() {
            lane.step().unwrap();
        }
        for ((rows, table), answer) in jobs.iter().zip(answers) {
            let found = answer.recv().unwrap().unwrap().streams.swap_remove("x").unwrap();
            for (place, row) in rows.clone().enumerate() {
                let mut start = [0.0; 3];
                noise::normals(1, row, "x", noise::START_STEP, &mut start);
                for (element, start) in start.iter().enumerate() {
                    let expected = run(table, &schedule, f64::from(*start));
                    let found = found.double_value(&[place as i64, element as i64]);
                    assert!((found - expected).abs() < TOLERANCE_F32, "row {row}: {found} {expected}");
                }
            }
        }
    }
}
