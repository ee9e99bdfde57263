//! The rows in sampling, one tensor per stream, in the order of their admission.
//!
//! Each step builds one network input for all rows, whatever step each row is at, and updates each stream from the
//! network's output with per-row coefficients.

use tch::{Kind, Tensor};

use crate::branches::{Branches, Run, runs};
use crate::follow::SampledStep;
use crate::group::Group;
use crate::job::{Job, Jobs, LaneContext};
use crate::tensor::tensor_from_rows;
use crate::update::{Coefficients, Factors, PLANES};
use crate::{DenoiserInput, Result, TensorExt, TimeRun};

/// The rows in sampling.
#[derive(Default)]
pub(crate) struct Batch {
    pub groups: Vec<Group>,
    /// Per stream: x, and with history the saved state and two denoised values; `[row, shape]`.
    planes: Vec<Vec<Tensor>>,
    /// The runs of rows in a network call.
    runs: Vec<Run>,
    /// Maps between batch rows and call rows; `None` if no row has a guidance branch.
    branches: Option<Branches>,
    /// How each stream changes in a step.
    changes: Vec<Changes>,
    /// Per stream that does not change: its network input, the same memory at each step.
    still: Vec<Option<Tensor>>,
    /// True if groups left since the tensors were built.
    pub stale: bool,
}

/// A group that somebody follows.
struct FollowedGroup {
    /// Its index.
    group: usize,
    /// The step that it makes.
    step: SampledStep,
    /// True if the step shows the predicted x0.
    wants_preview: bool,
}

/// The elements of a stream that change in a step.
enum Changes {
    /// None.
    Nothing,
    /// All: every row is sampled.
    All,
    /// The sampled rows: `[row, 1, ...]`, bool.
    Rows(Tensor),
    /// Some elements are observed and noised again at each step.
    Inpaint {
        /// The observed values: `[row, shape]`.
        value: Tensor,
        /// The observed elements: `[row, shape]`, bool; all of them if `None`.
        mask: Option<Tensor>,
        /// The rows that change, as in [`Changes::Rows`]; all of them if `None`.
        rows: Option<Tensor>,
    },
}

impl Batch {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.groups.iter().map(|group| group.rows).sum()
    }

    /// The number of rows of a network call, guidance branches included.
    pub fn call_rows(&self, jobs: &Jobs) -> usize {
        self.groups.iter().map(|group| group.rows * jobs[&group.job].cost()).sum()
    }

    /// Rebuilds the tensors: the groups that stay, then the fresh ones with the first x of each stream.
    pub fn rebuild(self, fresh: Vec<(Group, Vec<Tensor>)>, jobs: &Jobs, context: &LaneContext) -> Result<Batch> {
        let (fresh, start): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let stayed = self.groups.len();
        let mut groups: Vec<Group> = self.groups.into_iter().chain(fresh).collect();
        let history = groups.iter().any(|group| jobs[&group.job].uses_history());
        let mut planes = Vec::with_capacity(context.streams.len());
        for (index, stream) in context.streams.iter().enumerate() {
            let plane = |plane: usize| {
                let old = self.planes.get(index).and_then(|planes| planes.get(plane));
                let piece = |(number, group): (usize, &Group)| match (old.filter(|_| number < stayed), plane) {
                    (Some(old), _) => old.try_narrow(0, group.offset as i64, group.rows as i64),
                    (None, 0) => Ok(start[number - stayed][index].shallow_clone()),
                    _ => Tensor::try_zeros(stream.batch_shape(group.rows), (Kind::Float, context.device)),
                };
                joined(groups.iter().enumerate().map(piece).collect::<Result<_>>()?)
            };
            let count = if history { PLANES } else { 1 };
            planes.push((0..if groups.is_empty() { 0 } else { count }).map(plane).collect::<Result<_>>()?);
        }
        let mut offset = 0;
        for group in &mut groups {
            group.offset = offset;
            offset += group.rows;
        }
        let runs = runs(&groups, jobs);
        let mut batch = Batch { groups, planes, ..Batch::default() };
        batch.branches = Branches::new(&runs, &batch.groups, jobs, context)?;
        batch.changes =
            (0..context.streams.len()).map(|index| batch.changes(index, jobs, context)).collect::<Result<_>>()?;
        batch.runs = runs;
        if batch.groups.is_empty() {
            return Ok(batch);
        }
        let still = |(index, changes)| matches!(changes, &Changes::Nothing).then(|| batch.spread(index)).transpose();
        batch.still = batch.changes.iter().enumerate().map(still).collect::<Result<_>>()?;
        Ok(batch)
    }

    /// Times and presences of the rows of a call.
    fn times(&self, jobs: &Jobs, streams: usize) -> Vec<TimeRun> {
        let told = |run: &Run| {
            let group = &self.groups[run.group];
            let job = &jobs[&group.job];
            TimeRun {
                t: (0..streams).map(|stream| job.time(stream, group.step, run.branch) as f32).collect(),
                present: (0..streams).map(|stream| job.presence(stream, run.branch)).collect(),
                rows: run.rows,
            }
        };
        self.runs.iter().map(told).collect()
    }

    fn changes(&self, index: usize, jobs: &Jobs, context: &LaneContext) -> Result<Changes> {
        let stream = &context.streams[index];
        let each = |holds: fn(&Job, usize) -> bool| -> Vec<bool> {
            let of_group = |group: &Group| std::iter::repeat_n(holds(&jobs[&group.job], index), group.rows);
            self.groups.iter().flat_map(of_group).collect()
        };
        let noisy = each(Job::is_noisy);
        let observed = each(Job::is_inpainted);
        let rows = || {
            Tensor::try_from_slice(&noisy)?.try_view(stream.column_shape(noisy.len()))?.try_to_device(context.device)
        };
        let rows = if noisy.contains(&false) { Some(rows()?) } else { None };
        if !noisy.contains(&true) {
            Ok(Changes::Nothing)
        } else if observed.contains(&true) {
            self.inpainted(index, rows, jobs, context)
        } else {
            Ok(rows.map_or(Changes::All, Changes::Rows))
        }
    }

    /// The observed elements of one stream; `rows` are the rows that change.
    fn inpainted(&self, index: usize, rows: Option<Tensor>, jobs: &Jobs, context: &LaneContext) -> Result<Changes> {
        let mut values = Vec::new();
        let mut masks = Vec::new();
        let mut everywhere = true;
        for group in &self.groups {
            let size = context.streams[index].batch_shape(group.rows);
            let filled = |value: i64, kind: Kind| Tensor::try_full(&size, value, (kind, context.device));
            let observed = jobs[&group.job].inpainted(index, group)?;
            everywhere &= matches!(observed, Some((_, None)));
            let (value, mask) = match observed {
                Some((value, None)) => (value, filled(1, Kind::Bool)?),
                Some((value, Some(mask))) => (value, mask),
                None => (filled(0, Kind::Float)?, filled(0, Kind::Bool)?),
            };
            values.push(value);
            masks.push(mask);
        }
        let mask = if everywhere { None } else { Some(joined(masks)?) };
        Ok(Changes::Inpaint { value: joined(values)?, mask, rows })
    }

    /// Advances all rows by one step: one network call, then one update per stream.
    ///
    /// # Errors
    /// The tensors of some or all streams are then those before the step.
    pub fn step(
        &mut self,
        jobs: &Jobs,
        context: &LaneContext,
        predict: impl FnOnce(&DenoiserInput) -> Result<Vec<Tensor>>,
    ) -> Result<()> {
        let factors = factors(&self.groups, jobs, context)?;
        let mut followed = self.followed(jobs);
        let outputs = predict(&DenoiserInput::sampling(self.seen()?, self.times(jobs, context.streams.len())))?;
        for (stream, (output, factors)) in outputs.into_iter().zip(factors).enumerate() {
            if matches!(self.changes[stream], Changes::Nothing) {
                continue;
            }
            let output = match &self.branches {
                Some(branches) => branches.gather(stream, &output)?,
                None => output,
            };
            for told in followed.iter_mut().filter(|told| told.wants_preview) {
                self.preview(stream, &output, jobs, told)?;
            }
            let noise = self.noise(stream, jobs, context)?;
            self.planes[stream] = self.updated(stream, &output, noise.as_ref(), &factors)?;
        }
        for group in &mut self.groups {
            group.step += 1;
        }
        for FollowedGroup { group, step, .. } in followed {
            jobs[&self.groups[group].job].tell(step);
        }
        Ok(())
    }

    /// The groups that somebody follows.
    fn followed(&self, jobs: &Jobs) -> Vec<FollowedGroup> {
        let of_group = |(group, of): (usize, &Group)| {
            let (step, wants_preview) = jobs[&of.job].followed(of)?;
            Some(FollowedGroup { group, step, wants_preview })
        };
        self.groups.iter().enumerate().filter_map(of_group).collect()
    }

    /// Adds the x0 of a group that the network's output predicts for one stream, if that is an output.
    fn preview(&self, stream: usize, output: &Tensor, jobs: &Jobs, told: &mut FollowedGroup) -> Result<()> {
        let group = &self.groups[told.group];
        let job = &jobs[&group.job];
        let Some(name) = job.generated_output(stream) else { return Ok(()) };
        let Coefficients(values) = job.coefficients(stream, group.step);
        let [of_x, of_output] = Coefficients::DENOISED.map(|index| f64::from(values[index]));
        let rows = |tensor: &Tensor| tensor.try_narrow(0, group.offset as i64, group.rows as i64);
        let x0 = rows(&self.planes[stream][0])?.try_mul_scalar(of_x)?;
        let x0 = x0.try_add(&rows(output)?.try_mul_scalar(of_output)?)?;
        let x0 = match job.inpainted(stream, group)? {
            Some((value, Some(mask))) => value.try_where(&mask, &x0)?,
            _ => x0,
        };
        told.step.predicted.insert(name.clone(), x0);
        Ok(())
    }

    /// x of every stream: `[row, shape]`.
    pub fn x(&self) -> Vec<&Tensor> {
        self.planes.iter().map(|planes| &planes[0]).collect()
    }

    /// x of every stream as the network takes it: `[call row, shape]`.
    fn seen(&self) -> Result<Vec<Tensor>> {
        let seen = |(index, still): (usize, &Option<Tensor>)| match still {
            Some(still) => Ok(still.shallow_clone()),
            None => self.spread(index),
        };
        self.still.iter().enumerate().map(seen).collect()
    }

    fn spread(&self, stream: usize) -> Result<Tensor> {
        let x = &self.planes[stream][0];
        match &self.branches {
            Some(branches) => branches.spread(stream, x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// The planes of a stream after the step. Rows that are not sampled keep their bits.
    fn updated(
        &self,
        stream: usize,
        output: &Tensor,
        noise: Option<&Tensor>,
        factors: &Factors,
    ) -> Result<Vec<Tensor>> {
        let planes = &self.planes[stream];
        let x = &planes[0];
        let history = &planes[1..];
        let observed = match &self.changes[stream] {
            Changes::Inpaint { value, .. } => {
                let terms = [Some(value), noise].into_iter().zip(Coefficients::OBSERVED);
                let terms: Vec<_> = terms.filter_map(|(tensor, index)| Some((index, tensor?))).collect();
                Some(factors.sum(&terms)?)
            }
            _ => None,
        };
        let whole = matches!(&self.changes[stream], Changes::Inpaint { mask: None, rows: None, .. });
        if let Some(observed) = observed.as_ref().filter(|_| whole) {
            return Ok(std::iter::once(observed).chain(history).map(Tensor::shallow_clone).collect());
        }
        let tensors = [Some(x), Some(output), noise].into_iter().chain(history.iter().map(Some));
        let terms = tensors.zip(Coefficients::NEXT).filter_map(|(tensor, index)| Some((index, tensor?)));
        let mut next = factors.sum(&terms.collect::<Vec<_>>())?;
        if let (Some(observed), Changes::Inpaint { mask: Some(mask), .. }) = (observed, &self.changes[stream]) {
            next = observed.try_where(mask, &next)?;
        }
        if let Changes::Rows(rows) | Changes::Inpaint { rows: Some(rows), .. } = &self.changes[stream] {
            next = next.try_where(rows, x)?;
        }
        let [saved, last, before] = history else { return Ok(vec![next]) };
        let denoised = [x, output].into_iter().zip(Coefficients::DENOISED).map(|(tensor, index)| (index, tensor));
        let denoised = factors.sum(&denoised.collect::<Vec<_>>())?;
        let terms = [x, output, saved, last, before].into_iter().zip(Coefficients::SAVE);
        let saved = factors.sum(&terms.map(|(tensor, index)| (index, tensor)).collect::<Vec<_>>())?;
        Ok(vec![next, saved, denoised, last.shallow_clone()])
    }

    /// Fresh noise for the rows whose update adds noise, zeros for the others; `None` if no update adds noise.
    fn noise(&self, index: usize, jobs: &Jobs, context: &LaneContext) -> Result<Option<Tensor>> {
        let wanted = |group: &Group| {
            let job = &jobs[&group.job];
            job.coefficients(index, group.step).has_noise(job.is_inpainted(index))
        };
        if !self.groups.iter().any(wanted) {
            return Ok(None);
        }
        let stream = &context.streams[index];
        let rows = self.rows();
        let elements = stream.elements() as usize;
        let mut values = vec![0.0; rows * elements];
        for group in self.groups.iter().filter(|group| wanted(group)) {
            group.fill_noise(index, &mut values[group.offset * elements..(group.offset + group.rows) * elements]);
        }
        tensor_from_rows(&values, rows, &stream.shape, context.device).map(Some)
    }
}

/// The factors of this step, per stream. If all rows are at one step of one table they share the factors and no column
/// is built; otherwise one transfer moves all columns to the device.
fn factors<'a>(groups: &[Group], jobs: &'a Jobs, context: &LaneContext) -> Result<Vec<Factors<'a>>> {
    let streams = context.streams.len();
    if let [group] = groups {
        let job = &jobs[&group.job];
        return Ok((0..streams).map(|stream| Factors::Same(job.coefficients(stream, group.step))).collect());
    }
    let rows: usize = groups.iter().map(|group| group.rows).sum();
    let mut values = Vec::with_capacity(streams * Coefficients::COUNT * rows);
    for stream in 0..streams {
        for column in 0..Coefficients::COUNT {
            for group in groups {
                let value = jobs[&group.job].coefficients(stream, group.step).0[column];
                values.resize(values.len() + group.rows, value);
            }
        }
    }
    let all = tensor_from_rows(&values, values.len(), &[], context.device)?;
    let each = (Coefficients::COUNT * rows) as i64;
    let factors = context.streams.iter().enumerate().map(|(index, stream)| {
        let columns = all.try_narrow(0, index as i64 * each, each)?;
        let shape = [vec![Coefficients::COUNT as i64], stream.column_shape(rows)].concat();
        columns.try_view(shape).map(Factors::Rows)
    });
    factors.collect()
}

/// Concatenates the pieces along the row axis; a single piece is not copied.
fn joined(mut pieces: Vec<Tensor>) -> Result<Tensor> {
    match pieces.len() {
        1 => Ok(pieces.swap_remove(0)),
        _ => Tensor::try_cat(&pieces, 0),
    }
}
