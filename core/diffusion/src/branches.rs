//! The rows of a network call: the rows of the batch, then the rows of the guidance branches.

use tch::{Kind, Tensor};

use crate::group::Group;
use crate::job::{Jobs, LaneContext};
use crate::tensor::tensor_from_rows;
use crate::{Result, StreamSpec, TensorExt};

/// Rows of one group in a network call, either plain or as one guidance branch takes them.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// The index of the group in the batch.
    pub group: usize,
    /// The index of the branch in its job; `None` for the plain rows.
    pub branch: Option<usize>,
    /// The number of rows.
    pub rows: usize,
}

/// All runs of a network call: the groups in order, then the first branch of each group that has one, then the second
/// branches, and so on.
pub(crate) fn runs(groups: &[Group], jobs: &Jobs) -> Vec<Run> {
    let of = |group: &Group| jobs[&group.job].branches().len();
    let plain = groups.iter().enumerate().map(|(index, group)| Run { group: index, branch: None, rows: group.rows });
    let levels = groups.iter().map(of).max().unwrap_or(0);
    let guided = (0..levels).flat_map(|branch| {
        let guided = groups.iter().enumerate().filter(move |(_, group)| of(group) > branch);
        guided.map(move |(index, group)| Run { group: index, branch: Some(branch), rows: group.rows })
    });
    plain.chain(guided).collect()
}

/// Maps batch rows to the rows of a call with guidance branches, and back.
pub(crate) struct Branches {
    /// The number of rows in the batch.
    rows: usize,
    /// The batch row behind each call row: `[call row]`, i64.
    source: Tensor,
    /// Per stream, the call rows in which it is dropped: a mask `[call row, 1, ...]`, bool.
    dropped: Vec<Option<Tensor>>,
    /// Per stream: what takes the place of dropped rows.
    replaced: Vec<Option<Replaced>>,
    /// Per branch number: the first row in the call, the number of rows, and the batch rows, `[row]`, i64.
    levels: Vec<(i64, i64, Tensor)>,
    /// Per guided stream: the weight of every call row in the guided prediction, `[call row, 1, ...]`.
    weights: Vec<Option<Tensor>>,
}

/// Rows of a call in which another value takes the place of a dropped stream.
struct Replaced {
    /// `[call row, 1, ...]`, bool.
    rows: Tensor,
    /// `[call row, shape]`.
    values: Tensor,
}

impl Branches {
    /// `None` if no row has a branch.
    pub fn new(runs: &[Run], groups: &[Group], jobs: &Jobs, context: &LaneContext) -> Result<Option<Self>> {
        if runs.iter().all(|run| run.branch.is_none()) {
            return Ok(None);
        }
        let source: Vec<i64> = runs.iter().flat_map(|run| batch_rows(&groups[run.group])).collect();
        let placed = |rows: &[i64]| Tensor::try_from_slice(rows)?.try_to_device(context.device);
        let mut levels = Vec::new();
        let mut first = groups.iter().map(|group| group.rows).sum::<usize>();
        let rows = first;
        for branch in 0.. {
            let count: usize = runs.iter().filter(|run| run.branch == Some(branch)).map(|run| run.rows).sum();
            if count == 0 {
                break;
            }
            levels.push((first as i64, count as i64, placed(&source[first..first + count])?));
            first += count;
        }
        let streams = || context.streams.iter().enumerate();
        Ok(Some(Branches {
            rows,
            source: placed(&source)?,
            dropped: streams()
                .map(|(index, stream)| dropped(index, stream, runs, groups, jobs, context))
                .collect::<Result<_>>()?,
            replaced: streams()
                .map(|(index, stream)| replaced(index, stream, runs, groups, jobs, context))
                .collect::<Result<_>>()?,
            levels,
            weights: streams()
                .map(|(index, stream)| weights(index, stream, runs, groups, jobs, context))
                .collect::<Result<_>>()?,
        }))
    }

    /// The network input of one stream: `[row, shape]` -> `[call row, shape]`.
    pub fn spread(&self, stream: usize, x: &Tensor) -> Result<Tensor> {
        let spread = x.try_index_select(0, &self.source)?;
        let spread = match &self.replaced[stream] {
            None => spread,
            Some(Replaced { rows, values }) => values.try_where(rows, &spread)?,
        };
        match &self.dropped[stream] {
            None => Ok(spread),
            Some(mask) => spread.try_masked_fill(mask, 0.0),
        }
    }

    /// The guided prediction of one stream: `[call row, shape]` -> `[row, shape]`.
    pub fn gather(&self, stream: usize, output: &Tensor) -> Result<Tensor> {
        let narrow = |tensor: &Tensor, first: i64, rows: i64| tensor.try_narrow(0, first, rows);
        let Some(weights) = &self.weights[stream] else { return narrow(output, 0, self.rows as i64) };
        let weighed = output.try_mul(weights)?;
        let mut guided = narrow(&weighed, 0, self.rows as i64)?;
        for (first, rows, source) in &self.levels {
            let branch = narrow(&weighed, *first, *rows)?;
            // No row occurs twice, so the order of additions is fixed on every device.
            guided = guided.try_index_add_(0, source, &branch)?;
        }
        Ok(guided)
    }
}

fn batch_rows(group: &Group) -> std::ops::Range<i64> {
    group.offset as i64..(group.offset + group.rows) as i64
}

/// The call rows in which a stream is dropped, `[call row, 1, ...]`, bool; `None` if there are none.
fn dropped(
    index: usize,
    stream: &StreamSpec,
    runs: &[Run],
    groups: &[Group],
    jobs: &Jobs,
    context: &LaneContext,
) -> Result<Option<Tensor>> {
    let mut mask = Vec::new();
    for run in runs {
        let job = &jobs[&groups[run.group].job];
        mask.resize(mask.len() + run.rows, job.drops(index, run.branch));
    }
    if !mask.contains(&true) {
        return Ok(None);
    }
    let column = Tensor::try_from_slice(&mask)?.try_view(stream.column_shape(mask.len()))?;
    column.try_to_device(context.device).map(Some)
}

/// What takes the place of a stream in the call rows that drop it; `None` if nothing does.
fn replaced(
    index: usize,
    stream: &StreamSpec,
    runs: &[Run],
    groups: &[Group],
    jobs: &Jobs,
    context: &LaneContext,
) -> Result<Option<Replaced>> {
    let mut mask = Vec::new();
    let mut values = Vec::new();
    for run in runs {
        let group = &groups[run.group];
        let value = jobs[&group.job].replacement(index, run.branch, group)?;
        mask.resize(mask.len() + run.rows, value.is_some());
        values.push(match value {
            Some(value) => value,
            None => Tensor::try_zeros(stream.batch_shape(run.rows), (Kind::Float, context.device))?,
        });
    }
    if !mask.contains(&true) {
        return Ok(None);
    }
    let rows = Tensor::try_from_slice(&mask)?.try_view(stream.column_shape(mask.len()))?;
    Ok(Some(Replaced { rows: rows.try_to_device(context.device)?, values: Tensor::try_cat(&values, 0)? }))
}

/// The weight of a row is 1 plus the sum of its branch weights; a branch has minus its own weight. This is p + sum_b
/// w_b (p - p_b) term by term, so that a stream with g = 0 has exactly the bits of the branch's prediction.
fn weights(
    index: usize,
    stream: &StreamSpec,
    runs: &[Run],
    groups: &[Group],
    jobs: &Jobs,
    context: &LaneContext,
) -> Result<Option<Tensor>> {
    let mut values = Vec::new();
    for run in runs {
        let branches = jobs[&groups[run.group].job].branches();
        let weight = match run.branch {
            None => 1.0 + branches.iter().map(|branch| branch.weights[index]).sum::<f64>(),
            Some(branch) => -branches[branch].weights[index],
        };
        values.resize(values.len() + run.rows, weight as f32);
    }
    let plain: usize = runs.iter().filter(|run| run.branch.is_none()).map(|run| run.rows).sum();
    if values[plain..].iter().all(|weight| *weight == 0.0) {
        return Ok(None);
    }
    tensor_from_rows(&values, values.len(), &vec![1; stream.shape.len()], context.device).map(Some)
}
