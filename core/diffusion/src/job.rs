//! A request in the engine: its rows, its tables, and its finished rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyflow_config::Auxiliary;
use crossbeam::channel::Sender;
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::follow::{Follower, SampledStep};
use crate::group::Group;
use crate::noise::RowNoise;
use crate::tensor::tensor_from_rows;
use crate::update::Coefficients;
use crate::{Branch, EngineError, Observed, Request, Result, Sampled, SamplerTable, State, StreamSpec, TensorExt};

/// The jobs of a lane, by key, in the order of their arrival.
pub(crate) type Jobs = IndexMap<u64, Job>;

/// The environment of a lane: its streams and its device.
pub(crate) struct LaneContext {
    pub streams: Vec<StreamSpec>,
    pub device: Device,
}

/// The channel for a job's answer.
pub(crate) struct Reply {
    pub to: Sender<Result<Sampled>>,
    /// True once the ticket was dropped.
    pub cancelled: Arc<AtomicBool>,
    /// Hears of each step; `None` if nobody follows the request.
    pub follower: Option<Follower>,
}

/// An accepted request.
pub(crate) struct Job {
    rows: Vec<u64>,
    seed: u64,
    streams: Vec<JobStream>,
    branches: Vec<JobBranch>,
    steps: usize,
    history: bool,
    outputs: Vec<(usize, String)>,
    admitted: usize,
    retired: usize,
    finished: Vec<Vec<Tensor>>,
    reply: Reply,
}

/// One stream of a job.
struct JobStream {
    state: State,
    /// The observed value as the caller passed it.
    original: Option<Tensor>,
    /// The same on the engine's device, f32.
    value: Option<Tensor>,
    /// The observed elements, bool, if only some are observed.
    mask: Option<Tensor>,
    /// The init value (SDEdit), as `value`.
    init: Option<Tensor>,
    /// The factors of the observed or init value and of noise at the first time.
    init_factors: [f32; 2],
    /// The presence that the network gets: 1, or the weight of a prompt.
    presence: f32,
    /// What branches that drop the stream see in its place, as `value`.
    instead: Option<Tensor>,
    start_scale: f64,
    steps: Vec<Coefficients>,
    times: Vec<f64>,
}

/// A guidance branch, by stream index.
pub(crate) struct JobBranch {
    /// Per stream: true if it is dropped.
    dropped: Vec<bool>,
    /// Per stream; 0 if it is not guided.
    pub weights: Vec<f64>,
}

impl Job {
    /// `request` must have been checked against the streams; `tables` has one table per stream, all of one length.
    pub fn new(request: Request, context: &LaneContext, tables: &[SamplerTable], reply: Reply) -> Result<Self> {
        let Request { rows, mut states, guidance, seed, outputs, sampler, .. } = request;
        let index = |name: &String| context.streams.iter().position(|stream| &stream.name == name);
        let outputs: Vec<_> = outputs.into_iter().filter_map(|name| Some((index(&name)?, name))).collect();
        let streams = context.streams.iter().zip(tables).map(|(stream, table)| {
            let observed = states.swap_remove(&stream.name).unwrap_or(Observed::Absent);
            let observed = match stream.auxiliary() {
                Some(auxiliary) => of_auxiliary(observed, &stream.name, auxiliary)?,
                None if sampler.start_at() < 1.0 && matches!(observed, Observed::Noisy) => {
                    let reason = format!("the sampler starts late, but stream {:?} has no init value", stream.name);
                    return Err(EngineError::Request(reason));
                }
                None => observed,
            };
            JobStream::new(observed, stream, table, context.device)
        });
        Ok(Job {
            rows,
            seed,
            streams: streams.collect::<Result<_>>()?,
            branches: guidance.iter().map(|branch| JobBranch::new(branch, &context.streams)).collect(),
            steps: tables.first().map_or(0, |table| table.steps.len()),
            history: tables.iter().any(SamplerTable::uses_history),
            finished: outputs.iter().map(|_| Vec::new()).collect(),
            outputs,
            admitted: 0,
            retired: 0,
            reply,
        })
    }

    /// True if the rows of one stream change: they are sampled, or observed and noised again.
    pub fn is_noisy(&self, stream: usize) -> bool {
        self.streams[stream].state == State::Noisy
    }

    /// True if the stream is observed and noised again, at least in part.
    pub fn is_inpainted(&self, stream: usize) -> bool {
        self.is_noisy(stream) && self.streams[stream].value.is_some()
    }

    /// The observed values of one stream for the rows of a group, and the mask of observed elements; no mask means all.
    pub fn inpainted(&self, stream: usize, group: &Group) -> Result<Option<(Tensor, Option<Tensor>)>> {
        let Some(value) = self.streams[stream].value.as_ref().filter(|_| self.is_inpainted(stream)) else {
            return Ok(None);
        };
        let mask = self.streams[stream].mask.as_ref();
        Ok(Some((narrow(value, group)?, mask.map(|mask| narrow(mask, group)).transpose()?)))
    }

    /// True if its rows keep more than x.
    pub fn uses_history(&self) -> bool {
        self.history
    }

    /// Its guidance branches, the same for every row.
    pub fn branches(&self) -> &[JobBranch] {
        &self.branches
    }

    /// The number of network-call rows per row.
    pub fn cost(&self) -> usize {
        1 + self.branches.len()
    }

    /// True if a stream is absent in a branch: it is dropped and nothing takes its place.
    pub fn drops(&self, stream: usize, branch: Option<usize>) -> bool {
        self.is_dropped(stream, branch) && self.streams[stream].instead.is_none()
    }

    /// What takes the place of a dropped stream in a branch, for the rows of a group.
    pub fn replacement(&self, stream: usize, branch: Option<usize>, group: &Group) -> Result<Option<Tensor>> {
        let instead = self.streams[stream].instead.as_ref().filter(|_| self.is_dropped(stream, branch));
        instead.map(|value| narrow(value, group)).transpose()
    }

    fn is_dropped(&self, stream: usize, branch: Option<usize>) -> bool {
        branch.is_some_and(|branch| self.branches[branch].dropped[stream])
    }

    /// The presence of a stream, in the row itself or in a branch: 0 if absent, otherwise 1 or the weight of a prompt.
    pub fn presence(&self, stream: usize, branch: Option<usize>) -> f32 {
        let of_stream = &self.streams[stream];
        let is_present = of_stream.state.is_present() && !self.drops(stream, branch);
        if is_present { of_stream.presence } else { 0.0 }
    }

    /// The time of one stream at one step, in the row itself or in a branch.
    pub fn time(&self, stream: usize, step: usize, branch: Option<usize>) -> f64 {
        let of_stream = &self.streams[stream];
        let state = if self.drops(stream, branch) { State::Absent } else { of_stream.state };
        state.time(of_stream.times[step])
    }

    /// The update of one stream after one step.
    pub fn coefficients(&self, stream: usize, step: usize) -> &Coefficients {
        if self.is_noisy(stream) { &self.streams[stream].steps[step] } else { &Coefficients::KEEP }
    }

    /// The step that the rows of a group make, if somebody follows it, and whether a preview of x0 is wanted.
    pub fn followed(&self, group: &Group) -> Option<(SampledStep, bool)> {
        let follower = self.reply.follower.as_ref().filter(|follower| !follower.to.is_full())?;
        let step = group.step + 1;
        let (first_row, rows, steps) = (group.first, group.rows, self.steps);
        let told = SampledStep { first_row, rows, step, steps, predicted: IndexMap::new() };
        Some((told, follower.wants_preview(step, steps)))
    }

    /// Tells the follower of a step.
    pub fn tell(&self, step: SampledStep) {
        if let Some(follower) = &self.reply.follower {
            follower.tell(step);
        }
    }

    /// The name of a stream if it is a generated output.
    pub fn generated_output(&self, stream: usize) -> Option<&String> {
        let (_, name) = self.outputs.iter().find(|(index, _)| *index == stream)?;
        self.streams[stream].is_generated().then_some(name)
    }

    /// True if a group has finished all steps.
    pub fn has_finished(&self, group: &Group) -> bool {
        group.step == self.steps
    }

    /// The number of rows that wait to be admitted.
    pub fn waiting(&self) -> usize {
        self.rows.len() - self.admitted
    }

    /// True if rows have been admitted.
    pub fn has_begun(&self) -> bool {
        self.admitted > 0
    }

    /// True if every row is finished.
    pub fn is_complete(&self) -> bool {
        self.retired == self.rows.len()
    }

    /// True if nobody waits for the answer any more.
    pub fn is_cancelled(&self) -> bool {
        self.reply.cancelled.load(Ordering::Relaxed)
    }

    /// Moves `rows` rows into the batch: returns the group and the first x of each stream, `[row, shape]`.
    pub fn admit(&mut self, key: u64, rows: usize, context: &LaneContext) -> Result<(Group, Vec<Tensor>)> {
        let first = self.admitted;
        let keys = &self.rows[first..first + rows];
        let of_stream =
            |stream: &StreamSpec| keys.iter().map(|row| RowNoise::new(self.seed, *row, &stream.name)).collect();
        let noise: Vec<Vec<RowNoise>> = context.streams.iter().map(of_stream).collect();
        let group = Group { job: key, first, rows, step: 0, offset: 0, noise };
        let start =
            (0..context.streams.len()).map(|index| self.start(index, &group, context)).collect::<Result<_>>()?;
        self.admitted += rows;
        Ok((group, start))
    }

    /// The first x of one stream.
    fn start(&self, index: usize, group: &Group, context: &LaneContext) -> Result<Tensor> {
        let stream = &context.streams[index];
        let of_stream = &self.streams[index];
        match (of_stream.state, &of_stream.value) {
            (State::Clean, Some(value)) => narrow(value, group),
            (State::Noisy, _) => {
                let mut values = vec![0.0; group.rows * stream.elements() as usize];
                group.fill_start(index, &mut values);
                let scaled = |scale: f32| -> Vec<f32> { values.iter().map(|value| value * scale).collect() };
                let tensor = |values: &[f32]| tensor_from_rows(values, group.rows, &stream.shape, context.device);
                let init = of_stream.init.as_ref().map(|value| narrow(value, group)).transpose()?;
                let init = init.map(|value| (value, None));
                let Some((value, mask)) = init.or(self.inpainted(index, group)?) else {
                    return tensor(&scaled(of_stream.start_scale as f32));
                };
                let [of_value, of_noise] = of_stream.init_factors;
                let noise = tensor(&scaled(of_noise))?;
                let value = value.try_mul_scalar(f64::from(of_value))?;
                let mixed = value.try_add(&noise)?;
                let Some(mask) = mask else { return Ok(mixed) };
                let free = tensor(&scaled(of_stream.start_scale as f32))?;
                mixed.try_where(&mask, &free)
            }
            _ => Tensor::try_zeros(stream.batch_shape(group.rows), (Kind::Float, context.device)),
        }
    }

    /// Takes the finished rows of a group from the lane's x, one tensor per stream. Observed elements get back their
    /// original bits.
    pub fn retire(&mut self, group: &Group, x: &[&Tensor]) -> Result<()> {
        self.retired += group.rows;
        for ((index, _), chunks) in self.outputs.iter().zip(&mut self.finished) {
            let stream = &self.streams[*index];
            if !stream.is_generated() {
                continue;
            }
            let span = (group.offset as i64, group.rows as i64);
            chunks.push(match (&stream.value, &stream.mask) {
                (Some(value), Some(mask)) => {
                    let rows = x[*index].try_narrow(0, span.0, span.1)?;
                    let value = narrow(value, group)?;
                    let mask = narrow(mask, group)?;
                    value.try_where(&mask, &rows)?
                }
                // A copy: a view would keep the rows of the whole batch in memory.
                _ => x[*index].try_narrow_copy(0, span.0, span.1)?,
            });
        }
        Ok(())
    }

    /// Sends the finished rows. They are in order, since the rows of one job are admitted and retired in order.
    pub fn answer(self, context: &LaneContext) {
        let sampled = self.sampled(context);
        // The receiver may be gone; then the answer is dropped.
        let _ = self.reply.to.send(sampled);
    }

    /// Sends an error.
    pub fn fail(self, error: EngineError) {
        let _ = self.reply.to.send(Err(error));
    }

    fn sampled(&self, context: &LaneContext) -> Result<Sampled> {
        let mut sampled = Sampled { streams: Default::default(), rows_failed: Vec::new() };
        for ((index, name), chunks) in self.outputs.iter().zip(&self.finished) {
            let stream = &self.streams[*index];
            let value = match (&stream.original, chunks.as_slice()) {
                (Some(original), _) => original.shallow_clone(),
                (None, []) => Tensor::try_zeros(context.streams[*index].batch_shape(0), (Kind::Float, context.device))?,
                (None, [whole]) => whole.shallow_clone(),
                (None, chunks) => Tensor::try_cat(chunks, 0)?,
            };
            for row in rows_not_finite(&value)? {
                if sampled.rows_failed.iter().all(|(failed, _)| *failed != row) {
                    sampled.rows_failed.push((row, format!("stream {name:?} has a value that is not finite")));
                }
            }
            sampled.streams.insert(name.clone(), value);
        }
        sampled.rows_failed.sort_by_key(|(row, _)| *row);
        Ok(sampled)
    }
}

/// The role of an auxiliary stream: it has no noise, and a head estimates it as a whole.
fn of_auxiliary(observed: Observed, name: &str, auxiliary: &Auxiliary) -> Result<Observed> {
    let refuse = |reason: &str| Err(EngineError::Request(format!("auxiliary stream {name:?} {reason}")));
    match observed {
        Observed::Noised(value) => Ok(Observed::Clean(value)),
        Observed::Inpaint { .. } => refuse("cannot be observed in part"),
        Observed::Init(_) => refuse("cannot start from an init value"),
        Observed::Noisy if auxiliary.head.is_none() => {
            refuse("has no head to generate it; observe it or leave it absent")
        }
        observed => Ok(observed),
    }
}

impl JobStream {
    fn new(observed: Observed, stream: &StreamSpec, table: &SamplerTable, device: Device) -> Result<Self> {
        let placed = |value: &Tensor| value.try_to_device(device)?.try_to_kind(Kind::Float)?.try_detach();
        let state = observed.state();
        let (presence, instead) = match &observed {
            Observed::Prompt { weight, instead, .. } => (*weight as f32, instead.as_ref().map(placed).transpose()?),
            _ => (1.0, None),
        };
        let init = if let Observed::Init(value) = &observed { Some(placed(value)?) } else { None };
        let (original, value, mask) = match observed {
            Observed::Clean(value)
            | Observed::Noised(value)
            | Observed::Kept(value)
            | Observed::Prompt { value, .. } => (Some(value.shallow_clone()), Some(placed(&value)?), None),
            Observed::Inpaint { value, mask } => {
                let mask = placed(&mask)?;
                (None, Some(placed(&value)?), Some(mask.try_gt(0.5)?))
            }
            Observed::Init(_) | Observed::Noisy | Observed::Absent => (None, None, None),
        };
        let first = table.steps.first().map_or([1.0, 0.0], |step| [step.from.a, step.from.s]);
        Ok(JobStream {
            state,
            original,
            value,
            mask,
            init,
            init_factors: first.map(|number| number as f32),
            presence,
            instead,
            start_scale: table.start_scale,
            steps: table.steps.iter().map(|step| Coefficients::new(step, stream)).collect(),
            times: table.steps.iter().map(|step| step.from.t).collect(),
        })
    }

    fn is_generated(&self) -> bool {
        self.state == State::Noisy && self.original.is_none()
    }
}

impl JobBranch {
    fn new(branch: &Branch, streams: &[StreamSpec]) -> Self {
        let dropped = |stream: &StreamSpec| branch.dropped.contains(&stream.name);
        let weight = |stream: &StreamSpec| branch.weights.get(&stream.name).copied().unwrap_or(0.0);
        JobBranch { dropped: streams.iter().map(dropped).collect(), weights: streams.iter().map(weight).collect() }
    }
}

/// The rows of a group in a tensor over all rows of its job.
fn narrow(tensor: &Tensor, group: &Group) -> Result<Tensor> {
    tensor.try_narrow(0, group.first as i64, group.rows as i64)
}

/// The rows of `[row, ...]` with a NaN or infinite value, found in one transfer from the device.
fn rows_not_finite(value: &Tensor) -> Result<Vec<usize>> {
    let rows = value.size().first().copied().unwrap_or(0);
    if rows == 0 {
        return Ok(Vec::new());
    }
    let good = value.try_isfinite()?.try_reshape([rows, -1])?.try_all(1)?.try_to_device(Device::Cpu)?.try_to_bools()?;
    Ok(good.iter().enumerate().filter(|(_, good)| !**good).map(|(row, _)| row).collect())
}
