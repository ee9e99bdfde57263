//! The output folder of a job: it has one writer and one kind of job, and keeps the job's order.

use std::path::Path;

use anyflow_datasets::{Expected, Folder, OutputDir, PARTS_FOLDER, StoredPart, is_address};
use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;

use crate::identity::{self, InputRows, Loaded, explained};
use crate::{Result, RunError};

/// The job's order, for reports.
const ORDER_FILE: &str = "order.json";

/// Files and folders that only one kind of job writes.
const TRACES: [(&str, JobKind); 8] = [
    ("job.json", JobKind::Run),
    ("manifest.json", JobKind::Run),
    ("commits", JobKind::Run),
    ("training.json", JobKind::Training),
    ("train.json", JobKind::Training),
    ("stages", JobKind::Training),
    ("eval.json", JobKind::Evaluation),
    (PARTS_FOLDER, JobKind::Parts),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum JobKind {
    Run,
    Training,
    Evaluation,
    /// Only the folder above the parts is of this kind.
    Parts,
}

impl JobKind {
    fn of(job: &Job) -> JobKind {
        match job {
            Job::Run(_) => JobKind::Run,
            Job::Train(_) => JobKind::Training,
            Job::Eval(_) => JobKind::Evaluation,
        }
    }

    fn word(self) -> &'static str {
        match self {
            JobKind::Run => "a run",
            JobKind::Training => "a training",
            JobKind::Evaluation => "an evaluation",
            JobKind::Parts => "a run in parts",
        }
    }
}

/// Opens and locks the output folder of an order.
///
/// # Errors
/// [`RunError::Data`]: another kind of job wrote to it; errors of [`Folder::open`].
pub fn open(order: &Order) -> Result<Folder> {
    let path = Path::new(&order.output);
    let own = JobKind::of(&order.job);
    let folder = Folder::open(path)?;
    for (name, kind) in TRACES {
        if kind != own && folder.has(name)? {
            return Err(RunError::Data(format!(
                "{}: holds the output of {} ({name}), but this job is {}; choose another --output",
                path.display(),
                kind.word(),
                own.word()
            )));
        }
    }
    Ok(folder)
}

/// Opens the output of a run, which may hold shards of an earlier call. A refused folder is not changed.
///
/// # Errors
/// Errors of [`open`] and [`OutputDir::open`]; [`RunError::OtherJob`].
pub fn of_run(order: &Order, loaded: &Loaded, input: &InputRows) -> Result<OutputDir> {
    let job = identity::of_run(order, loaded, input)?;
    let expected = Expected { shards: input.shards, rows: input.rows };
    let path = Path::new(&order.output);
    if is_address(path) {
        let part =
            order.share.as_ref().map(|share| StoredPart { name: share.name(), shards: share.of_shards(input.shards) });
        let output = OutputDir::in_store(path, &job, expected, part).map_err(explained)?;
        // All parts write to one place, so the order there is that of the whole job.
        output.write(ORDER_FILE, &text(&Order { share: None, ..order.clone() })?)?;
        return Ok(output);
    }
    let output = OutputDir::open(open(order)?, &job, expected).map_err(explained)?;
    output.write(ORDER_FILE, &text(order)?)?;
    Ok(output)
}

/// Writes the order into a folder that belongs to it.
///
/// # Errors
/// The disk.
pub fn accept(folder: &Folder, order: &Order) -> Result<()> {
    Ok(folder.write(ORDER_FILE, &text(order)?)?)
}

fn text(order: &Order) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(order).map_err(|e| RunError::Internal(e.to_string()))
}
