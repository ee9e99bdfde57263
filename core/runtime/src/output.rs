//! The folder that a job writes to: one writer, one kind of job, and the order that it was written by.

use std::path::Path;

use anyflow_datasets::{Expected, Folder, OutputDir};
use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;

use crate::identity::{self, Input, Loaded, explained};
use crate::{Result, RunError};

/// The order in the folder, for reports.
const ORDER_FILE: &str = "order.json";

/// By what one sees which kind of job wrote to a folder.
const TRACES: [(&str, Kind); 7] = [
    ("job.json", Kind::Run),
    ("manifest.json", Kind::Run),
    ("commits", Kind::Run),
    ("training.json", Kind::Training),
    ("train.json", Kind::Training),
    ("stages", Kind::Training),
    ("eval.json", Kind::Evaluation),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Training,
    Evaluation,
}

impl Kind {
    fn of(job: &Job) -> Kind {
        match job {
            Job::Run(_) => Kind::Run,
            Job::Train(_) => Kind::Training,
            Job::Eval(_) => Kind::Evaluation,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Run => "a run",
            Kind::Training => "a training",
            Kind::Evaluation => "an evaluation",
        }
    }
}

/// Opens the output folder of an order for this process alone.
///
/// # Errors
/// [`RunError::Data`] when another kind of job wrote to it; what [`Folder::open`] says.
pub fn open(order: &Order) -> Result<Folder> {
    let (path, own) = (Path::new(&order.output), Kind::of(&order.job));
    let folder = Folder::open(path)?;
    for (name, kind) in TRACES {
        if kind != own && folder.has(name)? {
            return Err(RunError::Data(format!(
                "{}: holds the output of {} ({name}), this is {}; choose another --output",
                path.display(),
                kind.word(),
                own.word()
            )));
        }
    }
    Ok(folder)
}

/// Opens the output of a run, which may hold shards of an earlier call. A folder that is refused stays as it is.
///
/// # Errors
/// As [`open`]; [`RunError::OtherJob`]; what [`OutputDir::open`] says.
pub fn of_run(order: &Order, loaded: &Loaded, input: &Input) -> Result<OutputDir> {
    let job = identity::of_run(order, loaded, input)?;
    let expected = Expected { shards: input.rows.div_ceil(order.shard_rows.max(1)), rows: input.rows };
    let output = OutputDir::open(open(order)?, &job, expected).map_err(explained)?;
    accept(output.folder(), order)?;
    Ok(output)
}

/// Writes the order down, once it is clear that the folder is its own.
///
/// # Errors
/// Disk.
pub fn accept(folder: &Folder, order: &Order) -> Result<()> {
    let text = serde_json::to_vec_pretty(order).map_err(|e| RunError::Internal(e.to_string()))?;
    Ok(folder.write(ORDER_FILE, &text)?)
}
