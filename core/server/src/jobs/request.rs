//! What a client asks for in a job, checked before anything is stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Jobs;
use crate::api_error::ApiError;
use crate::config::Limits;
use crate::pipeline::Pipeline;
use crate::request::{Changes, check_steps};

/// The most characters of a condition.
const LONGEST_FILTER: usize = 4000;
/// The most columns to keep.
const MOST_COLUMNS: usize = 1000;

/// The JSON of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the dataset, for a pipeline with inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Number of rows to generate, or the maximum number of rows to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Condition on columns, as `--where` of `anyflow run`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Columns to copy to the output, as `--keep` of `anyflow run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Vec<String>>,
    /// As in a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// As in a run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// As in a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// A checked job.
pub struct CheckedJob {
    /// The text of its pipeline, which stands alone with the model.
    pub pipeline: String,
    /// The text of its model.
    pub model: String,
    /// Rows to run, as far as they are known.
    pub rows: Option<u64>,
}

impl JobRequest {
    /// Checks a request.
    ///
    /// # Errors
    /// `ApiError`, which says what to change.
    pub fn check(&self, pipeline: &Pipeline, limits: &Limits, jobs: &Jobs) -> Result<CheckedJob, ApiError> {
        let changes = self.changes();
        let plan = changes.plan(pipeline)?;
        check_steps(&plan, limits)?;
        if self.filter.as_ref().is_some_and(|filter| filter.len() > LONGEST_FILTER) {
            return Err(ApiError::bad("bad-condition", format!("the condition has more than {LONGEST_FILTER} bytes")));
        }
        if self
            .keep
            .as_ref()
            .is_some_and(|keep| keep.len() > MOST_COLUMNS || keep.iter().any(|name| name.contains(',')))
        {
            let text = format!("`keep` takes up to {MOST_COLUMNS} names of columns, without commas");
            return Err(ApiError::bad("bad-columns", text));
        }
        let rows = match (&self.data, plan.inputs.is_empty()) {
            (Some(_), true) => {
                let text = format!("pipeline `{}` reads no data; leave `data` out", self.pipeline);
                return Err(ApiError::bad("no-inputs", text));
            }
            (None, false) => {
                let text = format!("pipeline `{}` reads rows; name a dataset in `data`", self.pipeline);
                return Err(ApiError::bad("missing-data", text));
            }
            (Some(name), false) => Some(self.rows_of(name, jobs)?),
            (None, true) => self.rows,
        };
        check_rows(rows, jobs.most_rows())?;
        let texts = changes.texts(pipeline)?;
        Ok(CheckedJob { pipeline: texts.alone, model: texts.model, rows: rows.filter(|_| self.filter.is_none()) })
    }

    /// What the job changes.
    pub fn changes(&self) -> Changes<'_> {
        Changes { seed: self.seed, set: &self.set, without: &self.without }
    }

    fn rows_of(&self, name: &str, jobs: &Jobs) -> Result<u64, ApiError> {
        let none = || ApiError::missing("no-data", "this server offers no datasets; start it with --data".into());
        let data = jobs.data.as_ref().ok_or_else(none)?;
        let there = data.rows(&data.find(name)?)?;
        Ok(self.rows.map_or(there, |rows| rows.min(there)))
    }
}

fn check_rows(rows: Option<u64>, most: u64) -> Result<(), ApiError> {
    match rows {
        None => Err(ApiError::bad("missing-rows", "say how many `rows` to generate".into())),
        Some(0) => Err(ApiError::bad("no-rows", "there are no rows to run".into())),
        Some(rows) if rows > most => {
            let text = format!("{rows} rows are more than the {most} of a job; set `rows`, or use `anyflow run`");
            Err(ApiError::bad("too-many-rows", text))
        }
        Some(_) => Ok(()),
    }
}
