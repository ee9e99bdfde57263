//! `anyflow-cluster run`: has the shards of a job done, in waves, until the commits say that all are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyflow_datasets::{Dataset, committed_shards, selected};
use anyflow_plan::event::Fault;
use anyflow_plan::order::Order;
use anyflow_plan::plan::Job as Plan;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{ClusterError, Result};
use crate::events::{self, EventWriter};
use crate::job::ClusterJob;
use crate::submit::{Scheduler, Status, answers};
use crate::summary::{ShardOutcome, ShardReport};
use crate::wave;

/// Waves in a row that commit nothing, after which the job fails.
const IDLE_WAVES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time between two questions to the scheduler; it grows with the time that a wave takes.
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_millis(500);
/// Time between two looks at the commits during a wave. A listing that takes long is made less often.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_SHARE: u32 = 20;

/// Arguments of `anyflow-cluster run`.
#[derive(Debug, clap::Args)]
pub struct DriverArgs {
    /// The scheduler, such as 10.0.0.1:50050
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: String,
    /// The order, a file of JSON such as `order.json` of an output; `-` for a program that starts this one
    order: PathBuf,
    /// The table of calls of the program that starts this one
    #[arg(long, hide = true)]
    calls: Option<i32>,
}

/// What a job has come to.
#[derive(Default)]
struct Tally {
    workers: BTreeSet<String>,
    waves: u64,
    loads: u64,
    skipped: u64,
}

/// Has the shards of an order done.
///
/// # Errors
/// A worker refuses the job; no shard is committed any more; the data or the store.
pub async fn run(args: DriverArgs) -> Result<()> {
    let events = EventWriter::to_front();
    let mut stop = signal(SignalKind::terminate()).map_err(ClusterError::internal)?;
    let (order, front_ended) = events::order(&args.order)?;
    let mut driver = Driver { address: args.scheduler, order, events, submitted: None };
    let stopped = tokio::select! {
        done = driver.drive() => {
            match done {
                Ok(result) => driver.events.done(result),
                Err(error) => driver.events.failed(error.fault(), error.told()),
            }
            false
        }
        _ = stop.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
        _ = front_ended => true,
    };
    driver.cancel().await;
    if stopped { Err(ClusterError::Ballista("it was stopped".into())) } else { Ok(()) }
}

struct Driver {
    address: String,
    order: Order,
    events: EventWriter,
    /// The wave that is on its way.
    submitted: Option<String>,
}

impl Driver {
    async fn drive(&mut self) -> Result<serde_json::Value> {
        let job = ClusterJob::of(self.order.clone())?;
        let total = self.shards().await?;
        let mut done = self.committed().await?;
        self.events.begin(total, done.len() as u64);
        let begin = Instant::now();
        let mut tally = Tally::default();
        let mut idle = 0;
        while (done.len() as u64) < total {
            let missing: Vec<Option<u64>> =
                (0..total).filter(|shard| !done.contains(shard)).take(wave::MOST_SHARDS).map(Some).collect();
            let failure = self.wave(&job, &missing, &mut tally).await;
            let before = std::mem::replace(&mut done, self.committed().await?).len();
            idle = if done.len() > before { 0 } else { idle + 1 };
            match failure {
                Some(error) if error.fault() != Fault::Run || idle >= IDLE_WAVES => return Err(error),
                Some(error) => {
                    self.events.note(format!(
                        "{error}; {} of {total} shards are committed, the others are given again",
                        done.len()
                    ));
                    tokio::time::sleep((FIRST_PAUSE * 2u32.pow(idle)).min(LONGEST_PAUSE)).await;
                }
                None if idle >= IDLE_WAVES => return Err(ClusterError::Ballista("it commits nothing".into())),
                None => {}
            }
        }
        self.release(&job, &tally).await;
        let seconds = begin.elapsed().as_secs_f64();
        let result = json!({
            "shards": total, "seconds": seconds, "waves": tally.waves, "workers": tally.workers, "loads": tally.loads,
            "skipped": tally.skipped,
        });
        self.events.end(result.as_object().cloned().unwrap_or_default());
        Ok(result)
    }

    /// The number of shards.
    async fn shards(&self) -> Result<u64> {
        let order = self.order.clone();
        let count = move || {
            let Plan::Run(plan) = &order.job else {
                return Err(ClusterError::Usage("the order is not of a run".into()));
            };
            let most = order.rows.unwrap_or(u64::MAX);
            if order.inputs.is_empty() {
                return Ok(order.shards(order.rows.unwrap_or(0)));
            }
            let inputs: Vec<PathBuf> = order.inputs.iter().map(PathBuf::from).collect();
            let dataset = Dataset::open(&inputs)?.with_files(plan.columns_read());
            let skip = order.selection.skip;
            let rows = selected(&dataset, order.selection.filter.as_deref(), skip..skip.saturating_add(most))?;
            if rows.is_empty() {
                return Err(ClusterError::Data { fault: Fault::User, text: order.without_rows() });
            }
            Ok(order.shards(rows.len()))
        };
        tokio::task::spawn_blocking(count).await.map_err(ClusterError::internal)?
    }

    async fn committed(&self) -> Result<BTreeSet<u64>> {
        let output = PathBuf::from(&self.order.output);
        let list = tokio::task::spawn_blocking(move || committed_shards(&output));
        Ok(list.await.map_err(ClusterError::internal)??)
    }

    /// Has shards done. Returns why some may be missing: the commits tell.
    async fn wave(&mut self, job: &ClusterJob, shards: &[Option<u64>], tally: &mut Tally) -> Option<ClusterError> {
        tally.waves += 1;
        let answers = match self.follow(job, shards).await {
            Ok(answers) => answers,
            Err(error) => return Some(error),
        };
        let mut failure = None;
        for ShardReport { worker, outcome, notes, loads, .. } in answers {
            tally.loads = tally.loads.max(loads);
            tally.workers.insert(worker);
            notes.into_iter().for_each(|note| self.events.note(note));
            match outcome {
                ShardOutcome::Failed { text } => failure = Some(ClusterError::Job { fault: Fault::Run, text }),
                ShardOutcome::Skipped => tally.skipped += 1,
                ShardOutcome::Done { .. } | ShardOutcome::Empty { .. } => {}
            }
        }
        failure
    }

    /// Submits shards and waits for their answers.
    async fn follow(&mut self, work: &ClusterJob, shards: &[Option<u64>]) -> Result<Vec<ShardReport>> {
        let mut scheduler = Scheduler::connect(&self.address).await?;
        let job = scheduler.submit(wave::encoded(wave::plan(work, shards)?)?).await?;
        self.submitted = Some(job.clone());
        let begin = Instant::now();
        let mut look = LOOK;
        let mut looked = Instant::now();
        let mut is_committed = false;
        let locations = loop {
            match scheduler.status(&job).await? {
                Status::Done(locations) => break locations,
                Status::Failed(text) => {
                    self.submitted = None;
                    return Err(ClusterError::found_in(&text).unwrap_or(ClusterError::Ballista(text)));
                }
                Status::Running => tokio::time::sleep((begin.elapsed() / 20).clamp(SHORTEST_POLL, LONGEST_POLL)).await,
            }
            if looked.elapsed() >= look {
                let begin = Instant::now();
                let done = self.committed().await?;
                self.events.progress(done.len() as u64);
                let all = shards.iter().flatten().all(|shard| done.contains(shard));
                // The answers come at once, unless whoever holds them is gone.
                if std::mem::replace(&mut is_committed, all) && all {
                    return Ok(Vec::new());
                }
                look = LOOK.max(begin.elapsed() * LOOK_SHARE);
                looked = Instant::now();
            }
        };
        self.submitted = None;
        answers(locations).await
    }

    /// Has the workers let go of their parts. Best effort: they do so by themselves after some time.
    async fn release(&mut self, job: &ClusterJob, tally: &Tally) {
        let empty = vec![None; tally.workers.len()];
        if !empty.is_empty()
            && let Err(error) = self.follow(job, &empty).await
        {
            tracing::warn!("the workers end by themselves: {error}");
        }
    }

    async fn cancel(&mut self) {
        if let Some(job) = self.submitted.take()
            && let Ok(mut scheduler) = Scheduler::connect(&self.address).await
        {
            scheduler.cancel(&job).await;
        }
    }
}
