//! The rows in sampling, one tensor per stream, in the order of their admission.
//!
//! Each step builds one network input for all rows, whatever step each row is at, and updates each stream from the
//! network's output with per-row coefficients.

use tch::{Kind, Tensor};

use crate::branches::{Branches, Run, runs};
use crate::group::Group;
use crate::job::{Job, Jobs, Site};
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

/// The elements of a stream that change in a step.
enum Changes {
    /// None.
    Nothing,
    /// All: every row is sampled.
    All,
    /// The sampled rows: `[row, 1, ...]`, bool.
    Rows(Tensor),
    /// Some elements are observed and noised again at each step.
    Held {
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
        self.groups.iter().map(|group| group.rows * jobs[&group.job].price()).sum()
    }

    /// Rebuilds the tensors: the groups that stay, then the fresh ones with the first x of each stream.
    pub fn rebuild(self, fresh: Vec<(Group, Vec<Tensor>)>, jobs: &Jobs, site: &Site) -> Result<Batch> {
        let (fresh, start): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let stayed = self.groups.len();
        let mut groups: Vec<Group> = self.groups.into_iter().chain(fresh).collect();
        let history = groups.iter().any(|group| jobs[&group.job].uses_history());
        let mut planes = Vec::with_capacity(site.streams.len());
        for (place, stream) in site.streams.iter().enumerate() {
            let plane = |plane: usize| {
                let old = self.planes.get(place).and_then(|planes| planes.get(plane));
                let piece = |(index, group): (usize, &Group)| match (old.filter(|_| index < stayed), plane) {
                    (Some(old), _) => old.try_narrow(0, group.offset as i64, group.rows as i64),
                    (None, 0) => Ok(start[index - stayed][place].shallow_clone()),
                    _ => Tensor::try_zeros(stream.batch_shape(group.rows), (Kind::Float, site.device)),
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
        batch.branches = Branches::new(&runs, &batch.groups, jobs, site)?;
        batch.changes = (0..site.streams.len()).map(|place| batch.changes(place, jobs, site)).collect::<Result<_>>()?;
        batch.runs = runs;
        if batch.groups.is_empty() {
            return Ok(batch);
        }
        let still = |(place, changes)| matches!(changes, &Changes::Nothing).then(|| batch.spread(place)).transpose();
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

    fn changes(&self, place: usize, jobs: &Jobs, site: &Site) -> Result<Changes> {
        let stream = &site.streams[place];
        let each = |holds: fn(&Job, usize) -> bool| -> Vec<bool> {
            let of_group = |group: &Group| std::iter::repeat_n(holds(&jobs[&group.job], place), group.rows);
            self.groups.iter().flat_map(of_group).collect()
        };
        let (noisy, held) = (each(Job::is_noisy), each(Job::is_held));
        let rows =
            || Tensor::try_from_slice(&noisy)?.try_view(stream.column_shape(noisy.len()))?.try_to_device(site.device);
        let rows = if noisy.contains(&false) { Some(rows()?) } else { None };
        match () {
            () if !noisy.contains(&true) => Ok(Changes::Nothing),
            () if held.contains(&true) => self.held(place, rows, jobs, site),
            () => Ok(rows.map_or(Changes::All, Changes::Rows)),
        }
    }

    /// The observed elements of one stream; `rows` are the rows that change.
    fn held(&self, place: usize, rows: Option<Tensor>, jobs: &Jobs, site: &Site) -> Result<Changes> {
        let (mut values, mut masks, mut everywhere) = (Vec::new(), Vec::new(), true);
        for group in &self.groups {
            let size = site.streams[place].batch_shape(group.rows);
            let filled = |value: i64, kind: Kind| Tensor::try_full(&size, value, (kind, site.device));
            let held = jobs[&group.job].held(place, group)?;
            everywhere &= matches!(held, Some((_, None)));
            let (value, mask) = match held {
                Some((value, None)) => (value, filled(1, Kind::Bool)?),
                Some((value, Some(mask))) => (value, mask),
                None => (filled(0, Kind::Float)?, filled(0, Kind::Bool)?),
            };
            values.push(value);
            masks.push(mask);
        }
        let mask = if everywhere { None } else { Some(joined(masks)?) };
        Ok(Changes::Held { value: joined(values)?, mask, rows })
    }

    /// Advances all rows by one step: one network call, then one update per stream.
    ///
    /// # Errors
    /// The tensors of some or all streams are then those before the step.
    pub fn step(
        &mut self,
        jobs: &Jobs,
        site: &Site,
        predict: impl FnOnce(&DenoiserInput) -> Result<Vec<Tensor>>,
    ) -> Result<()> {
        let factors = factors(&self.groups, jobs, site)?;
        let outputs = predict(&DenoiserInput::sampling(self.seen()?, self.times(jobs, site.streams.len())))?;
        for (stream, (output, factors)) in outputs.into_iter().zip(factors).enumerate() {
            if matches!(self.changes[stream], Changes::Nothing) {
                continue;
            }
            let output = match &self.branches {
                Some(branches) => branches.gather(stream, &output)?,
                None => output,
            };
            let noise = self.noise(stream, jobs, site)?;
            self.planes[stream] = self.updated(stream, &output, noise.as_ref(), &factors)?;
        }
        for group in &mut self.groups {
            group.step += 1;
        }
        Ok(())
    }

    /// x of every stream: `[row, shape]`.
    pub fn x(&self) -> Vec<&Tensor> {
        self.planes.iter().map(|planes| &planes[0]).collect()
    }

    /// x of every stream as the network takes it: `[call row, shape]`.
    fn seen(&self) -> Result<Vec<Tensor>> {
        let seen = |(place, still): (usize, &Option<Tensor>)| match still {
            Some(still) => Ok(still.shallow_clone()),
            None => self.spread(place),
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
        let (x, history) = (&planes[0], &planes[1..]);
        let held = match &self.changes[stream] {
            Changes::Held { value, .. } => {
                let terms = [Some(value), noise].into_iter().zip(Coefficients::HELD);
                let terms: Vec<_> = terms.filter_map(|(tensor, index)| Some((index, tensor?))).collect();
                Some(factors.sum(&terms)?)
            }
            _ => None,
        };
        let whole = matches!(&self.changes[stream], Changes::Held { mask: None, rows: None, .. });
        if let Some(held) = held.as_ref().filter(|_| whole) {
            return Ok(std::iter::once(held).chain(history).map(Tensor::shallow_clone).collect());
        }
        let tensors = [Some(x), Some(output), noise].into_iter().chain(history.iter().map(Some));
        let terms = tensors.zip(Coefficients::NEXT).filter_map(|(tensor, index)| Some((index, tensor?)));
        let mut next = factors.sum(&terms.collect::<Vec<_>>())?;
        if let (Some(held), Changes::Held { mask: Some(mask), .. }) = (held, &self.changes[stream]) {
            next = held.try_where(mask, &next)?;
        }
        if let Changes::Rows(rows) | Changes::Held { rows: Some(rows), .. } = &self.changes[stream] {
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
    fn noise(&self, place: usize, jobs: &Jobs, site: &Site) -> Result<Option<Tensor>> {
        let wanted = |group: &Group| {
            let job = &jobs[&group.job];
            job.coefficients(place, group.step).has_noise(job.is_held(place))
        };
        if !self.groups.iter().any(wanted) {
            return Ok(None);
        }
        let stream = &site.streams[place];
        let (rows, elements) = (self.rows(), stream.elements() as usize);
        let mut values = vec![0.0; rows * elements];
        for group in self.groups.iter().filter(|group| wanted(group)) {
            group.fill_noise(place, &mut values[group.offset * elements..(group.offset + group.rows) * elements]);
        }
        tensor_from_rows(&values, rows, &stream.shape, site.device).map(Some)
    }
}

/// The factors of this step, per stream. If all rows are at one step of one table they share the factors and no column
/// is built; otherwise one transfer moves all columns to the device.
fn factors<'a>(groups: &[Group], jobs: &'a Jobs, site: &Site) -> Result<Vec<Factors<'a>>> {
    let streams = site.streams.len();
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
    let all = tensor_from_rows(&values, values.len(), &[], site.device)?;
    let each = (Coefficients::COUNT * rows) as i64;
    let factors = site.streams.iter().enumerate().map(|(place, stream)| {
        let columns = all.try_narrow(0, place as i64 * each, each)?;
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
