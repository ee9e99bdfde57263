//! A network over named streams.

use anyflow_config::{Site, SiteSpec};
use tch::{Device, Tensor};

use crate::site::Reader;
use crate::tensor::tensor_from_rows;
use crate::{EngineError, Result, StreamSpec, TensorExt, Tokens};

/// Consecutive rows of a batch at one time, known on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeRun {
    /// Per stream: the time in [0, 1]; 0 if clean, 1 if absent.
    pub t: Vec<f32>,
    /// Per stream: 1 if present, or the weight of a prompt; 0 if absent.
    pub present: Vec<f32>,
    /// The number of rows.
    pub rows: usize,
}

/// The times and presences of a batch.
#[derive(Debug)]
pub enum Times {
    /// As tensors, `[row, stream]` each, f32, on the network's device.
    Rows {
        /// As [`TimeRun::t`].
        t: Tensor,
        /// As [`TimeRun::present`].
        present: Tensor,
    },
    /// Known on the host, in row order. A network may compute once per run whatever depends on the time alone.
    Runs(Vec<TimeRun>),
}

/// The input of a denoiser: a batch of rows at different times.
#[derive(Debug)]
#[non_exhaustive]
pub struct DenoiserInput {
    /// Per stream, in the denoiser's order: `[row, shape]`, f32. The values of absent streams are ignored.
    pub x: Vec<Tensor>,
    /// The times of the rows.
    pub times: Times,
    /// The prompt, for a network that takes one; `None` is a prompt without tokens.
    pub prompt: Option<Tokens>,
    /// The context of a coupled network: tokens of the other streams. `None` leaves the network uncoupled.
    pub context: Option<Tokens>,
    /// What joins the embedding of the time, for a network that takes it: `[row, number]`, f32.
    pub vectors: Option<Tensor>,
    /// Planes to concatenate to the channels of the streams, if the network takes any: `[row, channel, height, width]` or
    /// `[row, frame, channel, height, width]`, f32.
    pub planes: Option<Tensor>,
}

impl DenoiserInput {
    /// An input without prompt and context: `t` and `present` `[row, stream]`, f32, as in [`Times::Rows`].
    pub fn new(x: Vec<Tensor>, t: Tensor, present: Tensor) -> Self {
        DenoiserInput::of(x, Times::Rows { t, present })
    }

    /// An input without prompt and context whose times are known on the host, as in sampling.
    pub fn sampling(x: Vec<Tensor>, runs: Vec<TimeRun>) -> Self {
        DenoiserInput::of(x, Times::Runs(runs))
    }

    fn of(x: Vec<Tensor>, times: Times) -> Self {
        DenoiserInput { x, times, prompt: None, context: None, vectors: None, planes: None }
    }

    /// Adds a prompt.
    pub fn with_prompt(self, prompt: Tokens) -> Self {
        DenoiserInput { prompt: Some(prompt), ..self }
    }

    /// Adds a context.
    pub fn with_context(self, context: Tokens) -> Self {
        DenoiserInput { context: Some(context), ..self }
    }

    /// Adds vectors that join the embedding of the time, and planes beside the channels of the streams.
    pub fn with_beside(self, vectors: Option<Tensor>, planes: Option<Tensor>) -> Self {
        DenoiserInput { vectors, planes, ..self }
    }

    /// The prompt, for a network that takes tokens of this width or none. Rejects a prompt of another width.
    pub(crate) fn prompt_for(&self, width: Option<i64>) -> Result<Option<&Tokens>> {
        self.readable("prompt", &self.prompt, width)
    }

    /// The context, likewise.
    pub(crate) fn context_for(&self, width: Option<i64>) -> Result<Option<&Tokens>> {
        self.readable("context", &self.context, width)
    }

    fn readable<'a>(&self, what: &str, given: &'a Option<Tokens>, width: Option<i64>) -> Result<Option<&'a Tokens>> {
        match (given, width) {
            (None, _) => Ok(None),
            (Some(tokens), Some(width)) => {
                tokens.check(&format!("the {what}"), self.rows(), width).map(|()| Some(tokens))
            }
            (Some(_), None) => {
                Err(EngineError::Request(format!("the denoiser takes no {what}, but the input has one")))
            }
        }
    }

    /// What joins the embedding of the time, for a network that takes so many numbers or none.
    pub(crate) fn vectors_for(&self, numbers: Option<i64>) -> Result<Option<&Tensor>> {
        beside("vectors", self.vectors.as_ref(), numbers, |vectors| vectors.size().last().copied())
    }

    /// Planes to concatenate to the channels of the streams, for a network that takes so many channels.
    pub(crate) fn planes_for(&self, channels: i64) -> Result<Option<&Tensor>> {
        let axis = |planes: &Tensor| planes.size().iter().rev().nth(2).copied();
        beside("planes", self.planes.as_ref(), (channels > 0).then_some(channels), axis)
    }

    /// The number of rows.
    pub fn rows(&self) -> i64 {
        match &self.times {
            Times::Rows { t, .. } => t.size().first().copied().unwrap_or(0),
            Times::Runs(runs) => runs.iter().map(|run| run.rows as i64).sum(),
        }
    }

    /// The times: `[row, stream]`, f32, in [0, 1], on the device of `x`.
    pub fn t(&self) -> Result<Tensor> {
        self.column(|t, _| t.shallow_clone(), |run| &run.t)
    }

    /// 1 if a stream is present, 0 if it is absent: `[row, stream]`, f32, on the device of `x`.
    pub fn present(&self) -> Result<Tensor> {
        self.column(|_, present| present.shallow_clone(), |run| &run.present)
    }

    /// True if every stream of every row is known to be present.
    pub fn is_all_present(&self) -> bool {
        match &self.times {
            Times::Rows { .. } => false,
            Times::Runs(runs) => runs.iter().all(|run| run.present.iter().all(|present| *present == 1.0)),
        }
    }

    /// The rows `first .. first + rows`.
    pub fn narrow(&self, first: i64, rows: i64) -> Result<Self> {
        let narrow = |tensor: &Tensor| tensor.try_narrow(0, first, rows);
        let times = match &self.times {
            Times::Rows { t, present } => Times::Rows { t: narrow(t)?, present: narrow(present)? },
            Times::Runs(runs) => Times::Runs(cut(runs, first as usize, rows as usize)),
        };
        let tokens = |of: &Option<Tokens>| of.as_ref().map(|tokens| tokens.narrow(first, rows)).transpose();
        let prompt = tokens(&self.prompt)?;
        let context = tokens(&self.context)?;
        let beside = |of: &Option<Tensor>| of.as_ref().map(narrow).transpose();
        Ok(DenoiserInput {
            x: self.x.iter().map(narrow).collect::<Result<_>>()?,
            times,
            prompt,
            context,
            vectors: beside(&self.vectors)?,
            planes: beside(&self.planes)?,
        })
    }

    /// The marked rows. The rows of one [`TimeRun`] must be all marked or all unmarked.
    pub(crate) fn pick(&self, rows: &[bool]) -> Result<Self> {
        let numbers: Vec<i64> = (0..rows.len() as i64).filter(|row| rows[*row as usize]).collect();
        let index = Tensor::try_from_slice(&numbers)?;
        let device = self.x.first().map_or(Device::Cpu, Tensor::device);
        let index = index.try_to_device(device)?;
        let picked = |tensor: &Tensor| tensor.try_index_select(0, &index);
        let times = match &self.times {
            Times::Rows { t, present } => Times::Rows { t: picked(t)?, present: picked(present)? },
            Times::Runs(runs) => {
                let mut begins = runs.iter().scan(0, |begin, run| Some(std::mem::replace(begin, *begin + run.rows)));
                let marked = |run: &&TimeRun| begins.next().is_some_and(|begin| run.rows > 0 && rows[begin]);
                Times::Runs(runs.iter().filter(marked).cloned().collect())
            }
        };
        let tokens = |of: &Option<Tokens>| of.as_ref().map(|tokens| tokens.pick(&index)).transpose();
        let prompt = tokens(&self.prompt)?;
        let context = tokens(&self.context)?;
        let beside = |of: &Option<Tensor>| of.as_ref().map(picked).transpose();
        Ok(DenoiserInput {
            x: self.x.iter().map(picked).collect::<Result<_>>()?,
            times,
            prompt,
            context,
            vectors: beside(&self.vectors)?,
            planes: beside(&self.planes)?,
        })
    }

    /// The same input restricted to the streams with these indices, without tokens, vectors and planes.
    pub(crate) fn some_streams(&self, some: &[usize]) -> Result<Self> {
        let columns = |tensor: &Tensor| columns(tensor, some);
        let times = match &self.times {
            Times::Rows { t, present } => Times::Rows { t: columns(t)?, present: columns(present)? },
            Times::Runs(runs) => {
                let picked = |values: &[f32]| some.iter().map(|index| values[*index]).collect();
                let of = |run: &TimeRun| TimeRun { t: picked(&run.t), present: picked(&run.present), rows: run.rows };
                Times::Runs(runs.iter().map(of).collect())
            }
        };
        let x = some.iter().map(|index| self.x[*index].shallow_clone()).collect();
        Ok(DenoiserInput::of(x, times))
    }

    fn column(&self, given: fn(&Tensor, &Tensor) -> Tensor, known: fn(&TimeRun) -> &Vec<f32>) -> Result<Tensor> {
        let runs = match &self.times {
            Times::Rows { t, present } => return Ok(given(t, present)),
            Times::Runs(runs) => runs,
        };
        let streams = self.x.len();
        let repeated = |run| std::iter::repeat_n(known(run).as_slice(), run.rows);
        let values: Vec<f32> = runs.iter().flat_map(repeated).flatten().copied().collect();
        let device = self.x.first().map_or(Device::Cpu, Tensor::device);
        tensor_from_rows(&values, self.rows() as usize, &[streams as i64], device)
    }
}

/// Rejects a value that a network does not take, that is missing, or whose size on the axis that counts is another one.
fn beside<'a>(
    what: &str,
    given: Option<&'a Tensor>,
    wanted: Option<i64>,
    axis: impl Fn(&Tensor) -> Option<i64>,
) -> Result<Option<&'a Tensor>> {
    let found = given.and_then(axis);
    if found == wanted {
        return Ok(given);
    }
    let shown = |size: Option<i64>| size.map_or("none".to_string(), |size| size.to_string());
    Err(EngineError::Request(format!(
        "the denoiser takes {} {what}, but the input has {}",
        shown(wanted),
        shown(found)
    )))
}

/// Columns of `[row, stream]`; neighbouring ones share its memory.
fn columns(tensor: &Tensor, some: &[usize]) -> Result<Tensor> {
    let first = some.first().copied().unwrap_or(0);
    if some.iter().enumerate().all(|(offset, index)| *index == first + offset) {
        return tensor.try_narrow(1, first as i64, some.len() as i64);
    }
    let some: Vec<i64> = some.iter().map(|index| *index as i64).collect();
    let some = Tensor::try_from_slice(&some)?.try_to_device(tensor.device())?;
    tensor.try_index_select(1, &some)
}

/// The runs of the rows `first .. first + rows`.
fn cut(runs: &[TimeRun], first: usize, rows: usize) -> Vec<TimeRun> {
    let mut cut = Vec::new();
    let mut begin = 0;
    for run in runs {
        let end = begin + run.rows;
        let kept = end.min(first + rows).saturating_sub(begin.max(first));
        if kept > 0 {
            cut.push(TimeRun { rows: kept, ..run.clone() });
        }
        begin = end;
    }
    cut
}

/// A network over one or several streams. Rows must not influence each other.
pub trait Denoiser: Send {
    /// Its streams, in the order of inputs and outputs.
    fn streams(&self) -> &[StreamSpec];

    /// The raw prediction per stream, each in its parameterization: `[row, shape]`, f32, on the input's device.
    /// Differentiable; the caller decides whether gradients are recorded.
    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>>;

    /// The environment tokens of coupled streams, `[row, token, feature]` each, normalized to length 1; `None` for a
    /// stream that is absent in all rows. Empty if the streams are not coupled.
    ///
    /// # Errors
    /// A tensor operation failed.
    fn environments(&self, _batch: &DenoiserInput) -> Result<Vec<Option<Tensor>>> {
        Ok(Vec::new())
    }

    /// Sets what stands for a prompt in rows without it, in the shape of the prompt, for a network that was trained so: its own
    /// vector, or tokens for rows without any, the mean of those of all prompts. It may follow from weights, so it is
    /// set after the weights. Networks without prompts ignore it.
    ///
    /// # Errors
    /// A tensor operation failed.
    fn set_absent_prompt(&mut self, _prompt: &str, _value: &Tensor) -> Result<()> {
        Ok(())
    }

    /// The sites whose features can be read.
    fn sites(&self) -> Vec<SiteSpec> {
        Vec::new()
    }

    /// [`Denoiser::predict`] plus the features at these sites, in this order: `[row, shape of the site]`, f32.
    ///
    /// # Errors
    /// The network has no such site.
    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        Reader::new(sites, || self.sites())?;
        Ok((self.predict(batch)?, Vec::new()))
    }

    /// The parameters by name, sharing memory with the network's. Names are stable: checkpoints use them.
    fn parameters(&self) -> Vec<(String, Tensor)>;

    /// Freezes the parameters and precomputes whatever depends on them alone. Sampling calls it after loading the
    /// weights, training never does. Predictions stay differentiable with respect to `x`, but not to the parameters.
    fn freeze(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_the_host_agree_with_those_in_tensors() {
        let run = |t: f32, present, rows| TimeRun { t: vec![t, 0.0], present: vec![present, 1.0], rows };
        let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).view([6, 1]);
        let input = DenoiserInput::sampling(
            vec![x.shallow_clone(), x.shallow_clone()],
            vec![run(0.5, 1.0, 2), run(1.0, 0.0, 1), run(0.25, 1.0, 3)],
        );
        let t = input.t().unwrap();
        let present = input.present().unwrap();
        assert_eq!((input.rows(), t.size()), (6, vec![6, 2]));
        assert_eq!(Vec::<f32>::try_from(t.select(1, 0)).unwrap(), [0.5, 0.5, 1.0, 0.25, 0.25, 0.25]);
        let given = DenoiserInput::new(vec![x.shallow_clone(), x], t, present);
        assert!(!input.is_all_present());
        for (first, rows) in [(0, 6), (1, 1), (1, 3), (2, 1), (3, 3), (0, 0)] {
            let cut = input.narrow(first, rows).unwrap();
            let expected = given.narrow(first, rows).unwrap();
            assert_eq!(cut.rows(), rows);
            assert_eq!(cut.t().unwrap(), expected.t().unwrap());
            assert_eq!(cut.present().unwrap(), expected.present().unwrap());
            assert_eq!(cut.x[0], expected.x[0]);
            assert!(matches!(&cut.times, Times::Runs(runs) if runs.iter().all(|run| run.rows > 0)));
        }
    }
}
