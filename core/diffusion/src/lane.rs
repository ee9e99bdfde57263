//! The work queue of one denoiser, with step-level continuous batching.
//!
//! Each step drops the cancelled rows, admits waiting rows up to the cap, calls the network once for all rows, and
//! answers the finished jobs. The batch is a function of the requests, their order, and the steps before which they
//! arrived. Waiting requests take turns row by row, so that a large request does not delay a small one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use tch::Device;

use crate::batch::Batch;
use crate::caller::{Caller, Profile};
use crate::deficit_round_robin::DeficitRoundRobin;
use crate::group::Group;
use crate::job::{Job, Jobs, LaneContext, Reply};
use crate::{Denoiser, EngineError, Request, Result, SamplerTable, Solver, StreamSpec};

/// Counters of all lanes, readable from any thread.
#[derive(Default)]
pub(crate) struct Counters {
    /// Network calls over a whole batch.
    pub steps: AtomicU64,
    /// The sum of the rows of these calls.
    pub row_steps: AtomicU64,
    /// Dropped tickets.
    pub cancelled: Arc<AtomicU64>,
}

/// The minimum cost of a call, in rows: below it the host dominates the time.
const MIN_COST: usize = 16;

/// The work queue of one denoiser.
pub(crate) struct Lane {
    caller: Caller,
    context: LaneContext,
    counters: Arc<Counters>,
    jobs: Jobs,
    next_job: u64,
    /// The jobs with rows outside the batch.
    waiting: DeficitRoundRobin<u64>,
    /// Their rows outside the batch.
    waiting_rows: usize,
    /// The network-call rows that these need.
    waiting_cost: usize,
    batch: Batch,
    /// The number of dropped tickets at the last search for cancelled jobs.
    cancelled: u64,
}

impl Lane {
    /// A lane without work.
    pub fn new(name: String, denoiser: Box<dyn Denoiser>, device: Device, cap: usize, counters: Arc<Counters>) -> Self {
        let context = LaneContext { streams: denoiser.streams().to_vec(), device };
        let caller = Caller::new(name, denoiser, cap);
        let cancelled = 0;
        let (jobs, next_job, waiting, waiting_rows, waiting_cost, batch) = Default::default();
        Lane { caller, context, counters, jobs, next_job, waiting, waiting_rows, waiting_cost, batch, cancelled }
    }

    /// Takes a checked request.
    pub fn submit(&mut self, request: Request, reply: Reply) {
        let table = |stream: &StreamSpec| {
            let table = request.sampler.table(&stream.schedule);
            if stream.auxiliary().is_some() { table.of_estimates() } else { table }
        };
        let tables: Vec<_> = self.context.streams.iter().map(table).collect();
        self.submit_with_tables(request, &tables, reply);
    }

    fn submit_with_tables(&mut self, request: Request, tables: &[SamplerTable], reply: Reply) {
        let to = reply.to.clone();
        match Job::new(request, &self.context, tables, reply) {
            Ok(job) if job.is_complete() => job.answer(&self.context),
            // The ticket was dropped before the request arrived.
            Ok(job) if job.is_cancelled() => {}
            Ok(job) => {
                self.waiting_rows += job.waiting();
                self.waiting_cost += job.waiting() * job.cost();
                self.jobs.insert(self.next_job, job);
                self.waiting.join(self.next_job);
                self.next_job += 1;
            }
            // The receiver may be gone; then the answer is dropped.
            Err(error) => {
                let _ = to.send(Err(error));
            }
        }
    }

    /// The number of rows outside the batch.
    pub fn waiting_rows(&self) -> usize {
        self.waiting_rows
    }

    /// The denoiser's name.
    pub fn name(&self) -> &str {
        &self.caller.name
    }

    /// True if there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The cost of the next step, in rows of a network call.
    pub fn cost(&self) -> usize {
        (self.batch.call_rows(&self.jobs) + self.waiting_cost).min(self.caller.cap).max(MIN_COST)
    }

    /// Measures the denoiser and keeps the resulting cap.
    ///
    /// # Errors
    /// The network fails on a single row.
    pub fn profile(&mut self, most: usize) -> Result<Profile> {
        let profile = self.caller.profile(most, &self.context)?;
        self.set_cap(profile.cap);
        Ok(profile)
    }

    /// Sets the maximum rows of a network call.
    pub fn set_cap(&mut self, rows: usize) {
        self.caller.cap = rows.max(1);
    }

    /// The maximum rows of a network call.
    pub fn cap(&self) -> usize {
        self.caller.cap
    }

    /// Fills the batch and advances all its rows by one step.
    ///
    /// # Errors
    /// The rows in the batch are then lost: call [`Lane::fail_batch`].
    pub fn step(&mut self) -> Result<()> {
        self.cancel();
        self.fill()?;
        if self.batch.groups.is_empty() {
            return Ok(());
        }
        let Lane { caller, context, counters, jobs, batch, .. } = self;
        let rows = batch.call_rows(jobs) as u64;
        batch.step(jobs, context, |input| {
            let outputs = caller.predict(input, context)?;
            // Counted before any job is answered, so that the receiver of an answer sees its steps.
            counters.steps.fetch_add(1, Ordering::Relaxed);
            counters.row_steps.fetch_add(rows, Ordering::Relaxed);
            Ok(outputs)
        })?;
        self.retire()
    }

    /// Answers every job that has rows in the batch with this error; jobs that only wait continue.
    pub fn fail_batch(&mut self, error: &EngineError) {
        self.batch = Batch::default();
        let begun: Vec<u64> = self.jobs.iter().filter(|(_, job)| job.has_begun()).map(|(key, _)| *key).collect();
        for job in begun.into_iter().filter_map(|key| self.remove(key)) {
            job.fail(error.clone());
        }
    }

    /// Removes the cancelled jobs.
    fn cancel(&mut self) {
        let dropped = self.counters.cancelled.load(Ordering::Acquire);
        if std::mem::replace(&mut self.cancelled, dropped) != dropped {
            let cancelled: Vec<u64> =
                self.jobs.iter().filter(|(_, job)| job.is_cancelled()).map(|(key, _)| *key).collect();
            for key in cancelled {
                self.remove(key);
            }
        }
    }

    /// Removes a job from the lane, and its rows from the batch.
    fn remove(&mut self, key: u64) -> Option<Job> {
        self.waiting.leave(key);
        let before = self.batch.groups.len();
        self.batch.groups.retain(|group| group.job != key);
        self.batch.stale |= self.batch.groups.len() < before;
        let job = self.jobs.swap_remove(&key)?;
        self.waiting_rows -= job.waiting();
        self.waiting_cost -= job.waiting() * job.cost();
        Some(job)
    }

    /// Admits waiting rows, and rebuilds the batch's tensors if its rows changed.
    fn fill(&mut self) -> Result<()> {
        let mut fresh = Vec::new();
        for (key, rows) in self.admissions() {
            let Some(job) = self.jobs.get_mut(&key) else { continue };
            match job.admit(key, rows, &self.context) {
                Ok(group) => {
                    self.waiting_rows -= rows;
                    self.waiting_cost -= rows * job.cost();
                    fresh.push(group);
                }
                Err(error) => {
                    if let Some(job) = self.remove(key) {
                        job.fail(error);
                    }
                }
            }
        }
        if self.batch.stale || !fresh.is_empty() {
            self.batch = std::mem::take(&mut self.batch).rebuild(fresh, &self.jobs, &self.context)?;
        }
        Ok(())
    }

    /// The number of rows of each job to admit. A row that exceeds the cap together with its branches is admitted only
    /// into an empty batch.
    fn admissions(&mut self) -> IndexMap<u64, usize> {
        let mut admissions = IndexMap::new();
        let mut filled = self.batch.call_rows(&self.jobs);
        while let Some(key) = self.waiting.next(|key| self.jobs[&key].cost()) {
            let job = &self.jobs[&key];
            if filled > 0 && filled + job.cost() > self.caller.cap {
                break;
            }
            filled += job.cost();
            self.waiting.charge(job.cost());
            let rows = admissions.entry(key).or_insert(0);
            *rows += 1;
            if *rows == job.waiting() {
                self.waiting.leave(key);
            }
        }
        admissions
    }

    /// Removes the finished groups, and answers the complete jobs.
    fn retire(&mut self) -> Result<()> {
        let Lane { jobs, batch, .. } = self;
        let finished = |group: &Group, jobs: &Jobs| jobs[&group.job].has_finished(group);
        if !batch.groups.iter().any(|group| finished(group, jobs)) {
            return Ok(());
        }
        let x = batch.x();
        let mut complete = Vec::new();
        for group in &batch.groups {
            if let Some(job) = jobs.get_mut(&group.job).filter(|job| job.has_finished(group)) {
                job.retire(group, &x)?;
                if job.is_complete() {
                    complete.push(group.job);
                }
            }
        }
        batch.groups.retain(|group| !finished(group, jobs));
        batch.stale = true;
        if batch.groups.is_empty() {
            *batch = Batch::default();
        }
        for key in complete {
            if let Some(job) = jobs.swap_remove(&key) {
                job.answer(&self.context);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
