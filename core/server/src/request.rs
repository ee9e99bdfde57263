//! What a client asks for, checked before anything is stored.

use anyflow_plan::plan::RunPlan;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::cells::{self, FilledColumn, InputColumn};
use crate::config::Limits;
use crate::pipeline::{Pipeline, PipelineTexts, RunChanges};

/// Steps from one preview to the next, unless the client says.
const PREVIEW_STEPS: u32 = 5;
/// The most characters of a changed value.
const LONGEST_VALUE: usize = 1000;

/// The JSON of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The rows: their cells by the names of inputs; or their number, for a pipeline without inputs.
    #[serde(default)]
    pub rows: RowsAsked,
    /// The seed, as `--seed` of `anyflow run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Changes of samplers, guidance and seeds of nodes, as `--set` of `anyflow run`: `{"joint.sampler.steps": 20}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// Inputs that are left out, of those that are optional.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Steps from one preview to the next; 0 for no previews.
    #[serde(default = "preview_steps")]
    pub preview_steps: u32,
}

fn preview_steps() -> u32 {
    PREVIEW_STEPS
}

/// Rows by their number or by their cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowsAsked {
    /// A number of rows.
    Count(u64),
    /// Input -> cell, per row.
    Cells(Vec<Map<String, Value>>),
}

impl Default for RowsAsked {
    fn default() -> Self {
        RowsAsked::Count(1)
    }
}

/// Rows of a form: input -> its parts, one per row.
pub type FormCells = indexmap::IndexMap<String, Vec<Vec<u8>>>;

/// A checked request.
pub struct CheckedRun {
    /// The request without its cells.
    pub request: RunRequest,
    /// Number of rows.
    pub rows: u64,
    /// The rows as an Arrow IPC stream; `None` for a pipeline without inputs.
    pub input: Option<Vec<u8>>,
}

impl RunRequest {
    /// Checks a request and encodes its rows.
    ///
    /// # Errors
    /// `ApiError`, which says what to change.
    pub fn check(mut self, form: FormCells, pipeline: &Pipeline, limits: &Limits) -> Result<CheckedRun, ApiError> {
        let plan = self.plan(pipeline)?;
        check_steps(&plan, limits)?;
        let inputs = Inputs { pipeline: &self.pipeline, columns: pipeline.input_columns(&plan) };
        let cells = match std::mem::take(&mut self.rows) {
            RowsAsked::Count(rows) if inputs.columns.is_empty() && form.is_empty() => {
                check_rows(rows, limits)?;
                return Ok(CheckedRun {
                    request: RunRequest { rows: RowsAsked::Count(rows), ..self },
                    rows,
                    input: None,
                });
            }
            RowsAsked::Count(_) if !form.is_empty() => inputs.of_form(form)?,
            RowsAsked::Count(_) => {
                let text = format!("pipeline `{}` needs cells for {}", self.pipeline, inputs.names().join(", "));
                return Err(ApiError::bad("missing-input", text));
            }
            RowsAsked::Cells(rows) => inputs.of_json(&rows)?,
        };
        let rows = cells.first().map_or(0, |column| column.cells.len() as u64);
        check_rows(rows, limits)?;
        let input = cells::encoded(&cells).map_err(|text| ApiError::bad("bad-cell", text))?;
        Ok(CheckedRun { request: RunRequest { rows: RowsAsked::Count(rows), ..self }, rows, input: Some(input) })
    }

    /// The plan of the request: the pipeline with its changes.
    ///
    /// # Errors
    /// `ApiError`: a change is not allowed, or the changed pipeline is wrong.
    pub fn plan(&self, pipeline: &Pipeline) -> Result<RunPlan, ApiError> {
        self.changes().plan(pipeline)
    }

    /// What the request changes.
    pub fn changes(&self) -> Changes<'_> {
        Changes { seed: self.seed, set: &self.set, without: &self.without }
    }
}

/// What a client changes of a pipeline.
pub struct Changes<'a> {
    /// The seed.
    pub seed: Option<u64>,
    /// Values of keys.
    pub set: &'a Map<String, Value>,
    /// Inputs that are left out.
    pub without: &'a [String],
}

impl Changes<'_> {
    /// The plan of the changed pipeline.
    ///
    /// # Errors
    /// A change is not allowed, or the changed pipeline is wrong.
    pub fn plan(&self, pipeline: &Pipeline) -> Result<RunPlan, ApiError> {
        pipeline.plan_of(&self.checked(pipeline)?).map_err(|refused| ApiError::bad(&refused.code, refused.text))
    }

    /// The files of the changed pipeline.
    ///
    /// # Errors
    /// As [`Changes::plan`].
    pub fn texts(&self, pipeline: &Pipeline) -> Result<PipelineTexts, ApiError> {
        let changes = self.checked(pipeline)?;
        pipeline.changed.texts(&changes).map_err(|refused| ApiError::bad(&refused.code, refused.text))
    }

    fn checked(&self, pipeline: &Pipeline) -> Result<RunChanges, ApiError> {
        if let Some(input) = self.without.iter().find(|input| !pipeline.optional.contains(input)) {
            let optional = pipeline.optional.join(", ");
            let optional = if optional.is_empty() { "none can".into() } else { format!("{optional} can") };
            return Err(ApiError::bad("needed-input", format!("`{input}` cannot be left out; {optional}")));
        }
        let set = self.set.iter().map(|(key, value)| {
            pipeline.check_change(key)?;
            let value = value.to_string();
            if value.len() > LONGEST_VALUE {
                return Err(ApiError::bad("bad-change", format!("the value of `{key}` is too long")));
            }
            Ok(format!("{key}={value}"))
        });
        Ok(RunChanges { seed: self.seed, set: set.collect::<Result<_, _>>()?, without: self.without.to_vec() })
    }
}

/// The inputs of a plan.
struct Inputs<'a> {
    /// The name of the pipeline.
    pipeline: &'a str,
    columns: Vec<InputColumn>,
}

impl Inputs<'_> {
    fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.input.as_str()).collect()
    }

    fn of_json(self, rows: &[Map<String, Value>]) -> Result<Vec<FilledColumn>, ApiError> {
        for (number, row) in rows.iter().enumerate() {
            if let Some(name) = row.keys().find(|name| !self.names().contains(&name.as_str())) {
                return Err(ApiError::bad("unknown-input", self.unknown(number, name)));
            }
        }
        let columns = self.columns.into_iter().map(|column| {
            let name = column.input.clone();
            let cell = |(number, row): (usize, &Map<String, Value>)| {
                let value = row.get(&name).ok_or_else(|| format!("row {number} has no cell for `{name}`; use null"))?;
                column.cell(value).map_err(|text| format!("row {number}, `{name}`: {text}"))
            };
            let cells: Result<Vec<_>, String> = rows.iter().enumerate().map(cell).collect();
            let cells = cells.map_err(|text| ApiError::bad("bad-cell", text))?;
            Ok(FilledColumn { column, cells })
        });
        columns.collect()
    }

    fn of_form(self, mut form: FormCells) -> Result<Vec<FilledColumn>, ApiError> {
        if let Some(name) = form.keys().find(|name| !self.names().contains(&name.as_str())) {
            return Err(ApiError::bad("unknown-input", self.unknown(0, name)));
        }
        let rows = form.values().map(Vec::len).max().unwrap_or(0);
        let columns = self.columns.into_iter().map(|column| {
            let name = column.input.clone();
            let parts = form.swap_remove(&name).unwrap_or_default();
            if parts.len() != rows {
                let text = format!("`{name}` has {} parts, but there are {rows} rows", parts.len());
                return Err(ApiError::bad("missing-input", text));
            }
            let cell = |(number, part): (usize, &Vec<u8>)| {
                column.cell_of_part(part).map_err(|text| format!("row {number}, `{name}`: {text}"))
            };
            let cells: Result<Vec<_>, String> = parts.iter().enumerate().map(cell).collect();
            let cells = cells.map_err(|text| ApiError::bad("bad-cell", text))?;
            Ok(FilledColumn { column, cells })
        });
        columns.collect()
    }

    fn unknown(&self, row: usize, name: &str) -> String {
        let known = self.names();
        let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
        format!("row {row}: pipeline `{}` has no input `{name}`; {known}", self.pipeline)
    }
}

fn check_rows(rows: u64, limits: &Limits) -> Result<(), ApiError> {
    if rows == 0 {
        return Err(ApiError::bad("no-rows", "there are no rows to run".into()));
    }
    if rows > limits.rows {
        let text = format!("{rows} rows are more than the {} of this server; use `anyflow run` for more", limits.rows);
        return Err(ApiError::bad("too-many-rows", text));
    }
    Ok(())
}

/// Refuses samplers of too many steps.
///
/// # Errors
/// `ApiError` with the node.
pub fn check_steps(plan: &RunPlan, limits: &Limits) -> Result<(), ApiError> {
    for step in &plan.steps {
        let Some(diffusion) = step.op.diffusion() else { continue };
        if diffusion.sampler.steps > limits.steps {
            let text = format!(
                "node `{}` samples {} steps, more than the {} of this server",
                step.node, diffusion.sampler.steps, limits.steps
            );
            return Err(ApiError::bad("too-many-steps", text));
        }
    }
    Ok(())
}
