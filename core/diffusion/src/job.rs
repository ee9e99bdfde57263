//! A request on its way through the engine: its rows, its tables, and what is finished of it.

use crossbeam::channel::Sender;
use tch::{Device, Kind, Tensor};

use crate::noise::{RowNoise, START_STEP, tensor_from_rows};
use crate::{Observed, Request, Result, Sampled, SamplerTable, State, StreamSpec, TableStep, TensorOp, Update};

/// The tensors a row may keep per stream: x, the saved state, the last two denoised values.
pub(crate) const PLANES: usize = 4;

/// One step of one stream in f32, with the parameterization folded in: what is denoised = k_x x + k_out output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    /// Of [x, output, noise] for the next state.
    pub next: [f32; 3],
    /// Of [saved, previous, the one before] for the next state.
    pub next_history: [f32; 3],
    /// Of [x, output] for the denoised value.
    pub denoised: [f32; 2],
    /// Of [x, output, saved, previous, the one before] for the saved state.
    pub save: [f32; 5],
}

impl Coefficients {
    /// How many numbers a step has, in the order of [`Coefficients::values`].
    pub const COUNT: usize = 13;

    /// A stream that is not sampled: nothing changes.
    const KEEP: Coefficients = Coefficients {
        next: [1.0, 0.0, 0.0],
        next_history: [0.0; 3],
        denoised: [0.0; 2],
        save: [0.0, 0.0, 1.0, 0.0, 0.0],
    };

    fn new(step: &TableStep, stream: &StreamSpec) -> Self {
        let (a, s) = (stream.schedule.signal(step.t), stream.schedule.noise(step.t));
        let (of_x, of_output) = stream.parameterization.x0_coefficients(a, s);
        let next = step.next;
        let save = step.save.unwrap_or(Update { saved: 1.0, ..Update::default() });
        let narrow = |value: f64| value as f32;
        Coefficients {
            next: [next.x + next.denoised * of_x, next.denoised * of_output, next.noise].map(narrow),
            next_history: [next.saved, next.previous[0], next.previous[1]].map(narrow),
            denoised: [of_x, of_output].map(narrow),
            save: [
                save.x + save.denoised * of_x,
                save.denoised * of_output,
                save.saved,
                save.previous[0],
                save.previous[1],
            ]
            .map(narrow),
        }
    }

    /// All numbers, in a fixed order.
    pub fn values(&self) -> [f32; Self::COUNT] {
        let [a, b, c] = self.next;
        let [d, e, f] = self.next_history;
        let [g, h] = self.denoised;
        let [i, j, k, l, m] = self.save;
        [a, b, c, d, e, f, g, h, i, j, k, l, m]
    }
}

/// Rows of one job that were admitted together: they are at the same step, next to one another in the batch.
pub(crate) struct Group {
    /// The job's key in the lane.
    pub job: u64,
    /// The number of rows.
    pub rows: usize,
    /// The step they are at, from 0.
    pub step: usize,
    /// Where the first of them lies in the lane's tensors.
    pub offset: usize,
    /// Per stream and row.
    noise: Vec<Vec<RowNoise>>,
}

impl Group {
    /// Fills `out`, row after row, with the noise of this step in one stream.
    pub fn fill_noise(&self, stream: usize, out: &mut [f32]) {
        let elements = out.len() / self.rows.max(1);
        for (noise, row) in self.noise[stream].iter().zip(out.chunks_mut(elements.max(1))) {
            noise.normals(START_STEP + 1 + self.step as u32, row);
        }
    }
}

/// A request that was accepted.
pub(crate) struct Job {
    rows: Vec<u64>,
    seed: u64,
    states: Vec<State>,
    given: Vec<Option<Tensor>>,
    clean: Vec<Option<Tensor>>,
    start_scales: Vec<f64>,
    steps: Vec<Vec<Coefficients>>,
    times: Vec<Vec<f64>>,
    history: bool,
    outputs: Vec<(usize, String)>,
    admitted: usize,
    retired: usize,
    finished: Vec<Vec<Tensor>>,
    reply: Sender<Result<Sampled>>,
}

impl Job {
    /// `request` has been checked against `streams`; `tables` holds one table per stream, all of one length.
    pub fn new(
        request: Request,
        streams: &[StreamSpec],
        tables: &[SamplerTable],
        device: Device,
        reply: Sender<Result<Sampled>>,
    ) -> Result<Self> {
        let Request { rows, mut states, seed, outputs, .. } = request;
        let place = |name: &String| streams.iter().position(|stream| &stream.name == name);
        let outputs: Vec<_> = outputs.into_iter().filter_map(|name| Some((place(&name)?, name))).collect();
        let mut job = Job {
            rows,
            seed,
            states: Vec::new(),
            given: Vec::new(),
            clean: Vec::new(),
            start_scales: tables.iter().map(|table| table.start_scale).collect(),
            steps: Vec::new(),
            times: tables.iter().map(|table| table.steps.iter().map(|step| step.t).collect()).collect(),
            history: tables.iter().any(SamplerTable::uses_history),
            finished: outputs.iter().map(|_| Vec::new()).collect(),
            outputs,
            admitted: 0,
            retired: 0,
            reply,
        };
        for (stream, table) in streams.iter().zip(tables) {
            let observed = states.swap_remove(&stream.name).unwrap_or(Observed::Absent);
            job.states.push(observed.state());
            job.steps.push(table.steps.iter().map(|step| Coefficients::new(step, stream)).collect());
            let given = if let Observed::Clean(value) = observed { Some(value) } else { None };
            let placed = |value: &Tensor| {
                let moved = value.f_to_device(device).op("to", &[value])?;
                moved.f_to_kind(Kind::Float).op("to", &[&moved])?.f_detach().op("detach", &[value])
            };
            job.clean.push(given.as_ref().map(placed).transpose()?);
            job.given.push(given);
        }
        Ok(job)
    }

    /// The state of all its rows in one stream.
    pub fn state(&self, stream: usize) -> State {
        self.states[stream]
    }

    /// Whether its rows keep more than x.
    pub fn uses_history(&self) -> bool {
        self.history
    }

    /// What the network is told of one stream at one step.
    pub fn time(&self, stream: usize, step: usize) -> f64 {
        self.states[stream].time(self.times[stream][step])
    }

    /// The update of one stream after one step.
    pub fn coefficients(&self, stream: usize, step: usize) -> &Coefficients {
        match self.states[stream] {
            State::Noisy => &self.steps[stream][step],
            State::Clean | State::Absent => &Coefficients::KEEP,
        }
    }

    /// Whether a group has gone through all steps.
    pub fn has_finished(&self, group: &Group) -> bool {
        group.step == self.times.first().map_or(0, Vec::len)
    }

    /// The rows that wait to be admitted.
    pub fn waiting(&self) -> usize {
        self.rows.len() - self.admitted
    }

    /// Whether rows have been admitted.
    pub fn has_begun(&self) -> bool {
        self.admitted > 0
    }

    /// Whether every row is through.
    pub fn is_complete(&self) -> bool {
        self.retired == self.rows.len()
    }

    /// Takes up to `limit` rows into the batch: the group, and the first x of each stream, `[row, shape]`.
    pub fn admit(
        &mut self,
        key: u64,
        limit: usize,
        streams: &[StreamSpec],
        device: Device,
    ) -> Result<(Group, Vec<Tensor>)> {
        let (first, rows) = (self.admitted, limit.min(self.waiting()));
        let keys = &self.rows[first..first + rows];
        let of_stream =
            |stream: &StreamSpec| keys.iter().map(|row| RowNoise::new(self.seed, *row, &stream.name)).collect();
        let noise: Vec<Vec<RowNoise>> = streams.iter().map(of_stream).collect();
        let mut start = Vec::with_capacity(streams.len());
        for (place, stream) in streams.iter().enumerate() {
            start.push(match (self.states[place], &self.clean[place]) {
                (State::Clean, Some(value)) => value.f_narrow(0, first as i64, rows as i64).op("narrow", &[value])?,
                (State::Noisy, _) => {
                    let elements = stream.elements() as usize;
                    let mut values = vec![0.0; rows * elements];
                    for (row, out) in noise[place].iter().zip(values.chunks_mut(elements)) {
                        row.normals(START_STEP, out);
                    }
                    let scale = self.start_scales[place] as f32;
                    values.iter_mut().for_each(|value| *value *= scale);
                    tensor_from_rows(&values, rows, &stream.shape, device)?
                }
                _ => Tensor::f_zeros(stream.batch_shape(rows), (Kind::Float, device)).op("zeros", &[])?,
            });
        }
        self.admitted += rows;
        Ok((Group { job: key, rows, step: 0, offset: 0, noise }, start))
    }

    /// Takes the finished rows of a group out of the lane's x, one tensor per stream.
    pub fn retire(&mut self, group: &Group, x: &[&Tensor]) -> Result<()> {
        self.retired += group.rows;
        for ((place, _), chunks) in self.outputs.iter().zip(&mut self.finished) {
            if self.states[*place] == State::Noisy {
                // A copy: a view would keep the rows of the whole batch in memory.
                let rows = x[*place].f_narrow_copy(0, group.offset as i64, group.rows as i64);
                chunks.push(rows.op("narrow_copy", &[x[*place]])?);
            }
        }
        Ok(())
    }

    /// Answers: the finished rows, which are in order, since rows of one job are admitted and retired in order.
    pub fn answer(self, streams: &[StreamSpec], device: Device) {
        let sampled = self.sampled(streams, device);
        // Nobody may be waiting any more; then the answer is dropped.
        let _ = self.reply.send(sampled);
    }

    /// Answers with an error.
    pub fn fail(self, error: crate::EngineError) {
        let _ = self.reply.send(Err(error));
    }

    fn sampled(&self, streams: &[StreamSpec], device: Device) -> Result<Sampled> {
        let mut sampled = Sampled { streams: Default::default(), rows_failed: Vec::new() };
        for ((place, name), chunks) in self.outputs.iter().zip(&self.finished) {
            let value = match &self.given[*place] {
                Some(given) => given.shallow_clone(),
                None if chunks.is_empty() => {
                    Tensor::f_zeros(streams[*place].batch_shape(0), (Kind::Float, device)).op("zeros", &[])?
                }
                None => Tensor::f_cat(chunks, 0).op("cat", &chunks.iter().collect::<Vec<_>>())?,
            };
            for row in rows_not_finite(&value)? {
                if sampled.rows_failed.iter().all(|(failed, _)| *failed != row) {
                    sampled.rows_failed.push((row, format!("stream {name:?} holds a value that is not finite")));
                }
            }
            sampled.streams.insert(name.clone(), value);
        }
        sampled.rows_failed.sort_by_key(|(row, _)| *row);
        Ok(sampled)
    }
}

/// The rows of `[row, ...]` with a value that is not finite: one transfer from the device.
fn rows_not_finite(value: &Tensor) -> Result<Vec<usize>> {
    let rows = value.size().first().copied().unwrap_or(0);
    if rows == 0 {
        return Ok(Vec::new());
    }
    let finite = value.f_isfinite().op("isfinite", &[value])?;
    let by_row = finite.f_reshape([rows, -1]).op("reshape", &[&finite])?;
    let good = by_row.f_all_dim(1, false).op("all", &[&by_row])?.f_to_device(Device::Cpu).op("to", &[&by_row])?;
    let good = Vec::<bool>::try_from(&good).op("to_vec", &[&good])?;
    Ok(good.iter().enumerate().filter(|(_, good)| !**good).map(|(row, _)| row).collect())
}
