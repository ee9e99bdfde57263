//! What an executor does with a shard: it gives it to a process that keeps the job's model loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyflow_datasets::{PARTS_FOLDER, is_address, is_committed, try_access};
use anyflow_plan::event::Fault;
use anyflow_plan::order::{GivenShare, Order, Share};
use serde_json::{Value, json};

use crate::error::{ClusterError, Result};
use crate::front::{End, Front, FrontAnswer};
use crate::job::ClusterJob;
use crate::plugins::{self, Installed};
use crate::summary::{ShardOutcome, ShardReport};

/// Tries of a shard whose process ends by an error that may pass, such as a store that does not answer.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Time in which a process lets go of its part.
const ENDING: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(10);

/// How this executor works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of its parts.
    pub name: String,
    /// The program that does the shards.
    pub anyflow: PathBuf,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Seconds without a shard after which a model is dropped.
    pub idle_seconds: f64,
}

/// The one worker of an executor.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    plugins: BTreeMap<String, Installed>,
    /// The processes, by the job and its output.
    fronts: Mutex<BTreeMap<(String, String), Arc<Front>>>,
}

/// A shard on its way. If Ballista gives the task up, its process is stopped.
struct UnderWay<'f> {
    front: &'f Front,
    is_over: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.front.stop();
        }
    }
}

impl Worker {
    /// A worker with the plugins of this machine.
    ///
    /// # Errors
    /// `anyflow` cannot list the plugins.
    pub fn new(settings: Settings) -> Result<Worker> {
        let plugins = plugins::installed(&settings.anyflow)?;
        Ok(Worker { settings, plugins, fronts: Mutex::default() })
    }

    /// The job with the files of this machine.
    ///
    /// # Errors
    /// [`ClusterError::Plugins`]: it was made with other plugins.
    pub fn accept(&self, mut job: ClusterJob) -> Result<ClusterJob> {
        let Settings { name, device, memory_bytes, idle_seconds, .. } = &self.settings;
        if let Some(found) = plugins::difference(&job.plugins, &self.plugins) {
            return Err(ClusterError::Plugins { worker: name.clone(), found });
        }
        let Some(order) = job.order.take() else { return Ok(job) };
        let mut plan = serde_json::to_value(&order.job).map_err(ClusterError::internal)?;
        plugins::localize(&mut plan, &self.plugins);
        let share = GivenShare { part: name.clone(), idle_seconds: *idle_seconds };
        job.order = Some(Order {
            job: serde_json::from_value(plan).map_err(ClusterError::internal)?,
            share: Some(Share::Given(share)),
            device: device.clone(),
            memory_bytes: memory_bytes.or(order.memory_bytes),
            ..order
        });
        Ok(job)
    }

    /// Does a shard, or says what this worker has if there is none.
    ///
    /// # Errors
    /// The job is refused: another try would end alike.
    pub async fn perform(&self, job: &ClusterJob, shard: Option<u64>) -> Result<ShardReport> {
        let begin = Instant::now();
        let front = self.running(job);
        let outcome = match (&job.order, shard) {
            (Some(order), Some(shard)) => self.shard(job, order, shard).await?,
            _ => {
                if let Some(front) = front {
                    let_go(&front).await;
                }
                ShardOutcome::Empty { found: self.found(job).await }
            }
        };
        let front = self.running(job);
        let (notes, loads) = front.map(|front| (front.notes(), front.loads())).unwrap_or_default();
        let seconds = begin.elapsed().as_secs_f64();
        Ok(ShardReport { shard, worker: self.settings.name.clone(), outcome, notes, loads, seconds })
    }

    async fn shard(&self, job: &ClusterJob, order: &Order, shard: u64) -> Result<ShardOutcome> {
        let output = PathBuf::from(&order.output);
        let committed = tokio::task::spawn_blocking(move || is_committed(&output, shard)).await;
        if let Ok(true) = committed.map_err(ClusterError::internal)? {
            return Ok(ShardOutcome::Skipped);
        }
        let mut pause = FIRST_PAUSE;
        let mut text = String::new();
        for _ in 0..TRIES {
            let front = self.front(job, order)?;
            let mut under_way = UnderWay { front: &front, is_over: false };
            let given = front.give(shard).await;
            under_way.is_over = true;
            text = match given {
                Ok(FrontAnswer::Done(rows, failed)) => return Ok(ShardOutcome::Done { rows, failed }),
                Ok(FrontAnswer::Ended(End::Failed(fault @ (Fault::User | Fault::Plugin), text))) => {
                    let text = format!("worker {}: {text}", self.settings.name);
                    return Err(ClusterError::Job { fault, text });
                }
                Ok(FrontAnswer::Ended(End::Failed(_, text))) => text,
                Ok(FrontAnswer::Ended(End::Killed)) | Err(_) => "its process was killed".into(),
            };
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(ShardOutcome::Failed { text: format!("worker {}: {text}", self.settings.name) })
    }

    /// The process of a job, if it runs.
    fn running(&self, job: &ClusterJob) -> Option<Arc<Front>> {
        let key = (job.hash.clone(), job.order.as_ref()?.output.clone());
        let fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        fronts.get(&key).cloned()
    }

    /// The process of a job, started if it does not run.
    fn front(&self, job: &ClusterJob, order: &Order) -> Result<Arc<Front>> {
        let key = (job.hash.clone(), order.output.clone());
        let mut fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        fronts.retain(|_, front| !front.has_ended());
        if let Some(front) = fronts.get(&key) {
            return Ok(front.clone());
        }
        let front =
            Arc::new(Front::start(&self.settings.anyflow, &Order { output: self.part(order), ..order.clone() })?);
        // An executor has one device, so another job's model makes room.
        std::mem::take(&mut *fronts).into_values().for_each(|other| other.end());
        fronts.insert(key, front.clone());
        Ok(front)
    }

    /// Where this worker writes: all write to one place in a store.
    fn part(&self, order: &Order) -> String {
        let output = Path::new(&order.output);
        if is_address(output) {
            return order.output.clone();
        }
        output.join(PARTS_FOLDER).join(&self.settings.name).display().to_string()
    }

    /// What this worker has.
    async fn found(&self, job: &ClusterJob) -> Value {
        let Settings { name, anyflow, device, .. } = &self.settings;
        if job.order.is_some() {
            return Value::Null;
        }
        let reach = job.look.reach.clone();
        let token = format!("{name}-{}", std::process::id());
        let reached = tokio::task::spawn_blocking(move || {
            let place = reach?;
            let error = try_access(Path::new(&place), &token).err().map(|error| error.to_string());
            Some(json!({"place": place, "error": error}))
        });
        let reach = reached.await.unwrap_or_default();
        let hashes: BTreeMap<&String, &String> = self.plugins.iter().map(|(name, found)| (name, &found.hash)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let anyflow = anyflow.clone();
        let doctor = match job.look.is_full {
            true => {
                tokio::task::spawn_blocking(move || plugins::answer(&anyflow, &["doctor"]).ok()).await.ok().flatten()
            }
            false => None,
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"), "ballista": ballista_core::BALLISTA_VERSION, "device": device,
            "plugins": hashes, "seconds": now, "reach": reach, "doctor": doctor,
        })
    }
}

/// Has a process let go of its part, so that the job can be finished.
async fn let_go(front: &Front) {
    front.end();
    let begin = Instant::now();
    while !front.has_ended() && begin.elapsed() < ENDING {
        tokio::time::sleep(MOMENT).await;
    }
}
