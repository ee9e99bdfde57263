//! The last stage: rows to committed shards.

use anyflow_datasets::{Expected, FAILURES_FILE, Failure, OutputDir, ShardWriter};
use anyflow_plan::order::{Order, Share};
use anyflow_plan::plan::RunPlan;

use super::causes::FailureCauses;
use super::micro_batch::MicroBatch;
use super::output_rows::OutputRows;
use super::stage::Totals;
use super::tries::Tries;
use crate::events::{Events, figures};
use crate::{Result, RunError};

/// The content of a finished output, including earlier runs of the same job.
pub struct RunSummary {
    /// Good rows.
    pub rows: u64,
    /// Failed rows.
    pub failed: u64,
    /// Shards.
    pub shards: u64,
}

/// Writes shards, micro-batch by micro-batch, and commits each complete shard.
pub struct OutputWriter<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    output: &'a OutputDir,
    events: &'a Events,
    rows: OutputRows<'a>,
    tries: Option<&'a Tries<'a>>,
    shard: Option<OpenShard>,
    counts: Counts,
    /// Shards and rows written by this run.
    passed: Totals,
    /// Why rows failed in this run.
    causes: FailureCauses,
}

/// An incomplete shard.
struct OpenShard {
    number: u64,
    writer: ShardWriter,
    failures: Vec<Failure>,
    rows: u64,
}

/// Numbers of rows, including earlier runs of the same job.
struct Counts {
    /// Finished rows, good or failed.
    done: u64,
    /// Committed rows, good or failed.
    committed: u64,
    /// Failed rows.
    failed: u64,
}

impl<'a> OutputWriter<'a> {
    /// Makes a writer into an output folder, which may hold shards of earlier runs.
    pub fn new(
        plan: &'a RunPlan,
        order: &'a Order,
        output: &'a OutputDir,
        rows: OutputRows<'a>,
        tries: Option<&'a Tries<'a>>,
        events: &'a Events,
    ) -> Self {
        let (good, failed) = output.progress();
        let counts = Counts { done: good + failed, committed: good + failed, failed };
        let (passed, causes) = Default::default();
        OutputWriter { plan, order, output, events, rows, tries, shard: None, counts, passed, causes }
    }

    /// Rows of committed shards, good or failed.
    pub fn committed(&self) -> u64 {
        self.counts.committed
    }

    /// Fails if more rows failed than `--max-failures` allows. The reasons are on disk before this returns.
    ///
    /// # Errors
    /// [`RunError::TooManyFailures`]; the disk.
    pub fn check_failures(&self) -> Result<()> {
        match self.order.max_failures {
            Some(allowed) if self.counts.failed > allowed => {
                self.output.write_failures()?;
                Err(RunError::TooManyFailures { failed: self.counts.failed, allowed, path: failures_file(self.order) })
            }
            _ => Ok(()),
        }
    }

    /// Writes the good rows of a micro-batch, and commits the shard if it is complete.
    ///
    /// # Errors
    /// The disk; more failed rows than allowed.
    pub fn write(&mut self, batch: MicroBatch) -> Result<()> {
        let _span = tracing::info_span!("write", shard = batch.shard, row = batch.first_row()).entered();
        self.passed.count(&batch);
        let number = batch.shard;
        let ends_shard = batch.ends_shard;
        let rows = batch.keys.len() as u64;
        let mut shard = match self.shard.take() {
            Some(shard) if shard.number == number => shard,
            Some(shard) => {
                let text = format!("rows of shard {number} came before the end of shard {}", shard.number);
                return Err(RunError::Internal(text));
            }
            None => {
                let writer = self.output.shard(number, &self.rows.features)?;
                OpenShard { number, writer, failures: Vec::new(), rows: 0 }
            }
        };
        let (good, failures) = self.rows.of(batch)?;
        failures.iter().for_each(|failure| self.causes.add(failure));
        shard.writer.write(&good)?;
        shard.rows += rows;
        self.counts.done += rows;
        self.counts.failed += failures.len() as u64;
        shard.failures.extend(failures);
        if ends_shard {
            shard.writer.commit(&shard.failures)?;
            self.tries.map_or(Ok(()), |tries| tries.ended(number))?;
            self.counts.committed += shard.rows;
            if self.order.is_given() {
                self.events.shard(number, self.output.shard_rows(number));
            }
        } else {
            self.shard = Some(shard);
        }
        let Counts { done, committed, failed } = self.counts;
        self.events.progress("rows", done, figures([("committed", committed.into()), ("failed", failed.into())]));
        if ends_shard { self.check_failures() } else { Ok(()) }
    }

    /// Writes the manifest, or the record of a part, after checking that all rows that were read are written.
    ///
    /// # Errors
    /// Rows are missing; more failed rows than allowed; the disk.
    pub fn finish(&mut self, read: Totals, share: Expected) -> Result<RunSummary> {
        if self.passed != read {
            return Err(RunError::Internal(format!("{read:?} were read, but {:?} were written", self.passed)));
        }
        std::mem::take(&mut self.causes).notes().into_iter().for_each(|note| self.events.note(note));
        self.check_failures()?;
        let license = self.plan.model.license.as_deref();
        if let Some(of) = &self.order.share {
            match of {
                Share::Range(_) => self.output.finish_part(share, license)?,
                Share::Given(_) => self.output.finish_given_part(license)?,
            }
            let (rows, failed) = self.output.progress();
            return Ok(RunSummary { rows, failed, shards: share.shards });
        }
        let manifest = self.output.finish_under(license)?;
        Ok(RunSummary { rows: manifest.rows, failed: manifest.failures, shards: manifest.shards.len() as u64 })
    }
}

/// The path of the file with the failures.
pub fn failures_file(order: &Order) -> String {
    std::path::Path::new(&order.output).join(FAILURES_FILE).display().to_string()
}
