//! What the engine is asked, and what it answers.

use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::{Branch, EngineError, Result, Sampling, State, StreamSpec};

/// What is known of one stream, for all rows of a request. Tensors may be of any float dtype and device; they must not be
/// written to while the request runs.
#[derive(Debug)]
pub enum Observed {
    /// Given: `[row, shape]`. The network sees it clean, at time 0.
    Clean(Tensor),
    /// Given: `[row, shape]`. The network sees it noised, at the time that the generated streams have: before each step
    /// it is replaced by a z + s eps with fresh noise. For networks that were trained with one time for all streams
    /// ("MLD Inpaint"); with [`Resample`](crate::Resample) this is RePaint.
    Noised(Tensor),
    /// Given in part: the elements where `mask` is above 0.5 are replaced as in [`Observed::Noised`] and have their exact
    /// value in the end; all others are generated.
    Partly {
        /// `[row, shape]`; where `mask` is 0 it means nothing.
        value: Tensor,
        /// `[row, shape]`, 0 or 1, of any dtype.
        mask: Tensor,
    },
    /// A prompt that is given: see [`Denoiser::prompts`](crate::Denoiser::prompts).
    Prompt {
        /// `[row, token, feature]`.
        value: Tensor,
        /// Above 0: prompts are mixed by their shares in the sum of weights.
        weight: f64,
    },
    /// To be generated, from this value noised in place of noise alone: `[row, shape]`. What a sampler needs that begins
    /// late; see [`Sampling::begin`].
    Begun(Tensor),
    /// To be generated.
    Noisy,
    /// Neither given nor generated; the denoiser should have been trained with absent streams.
    Absent,
}

impl Observed {
    /// The state in which the network sees the stream in all rows of the request.
    pub fn state(&self) -> State {
        match self {
            Observed::Clean(_) | Observed::Prompt { .. } => State::Clean,
            Observed::Noised(_) | Observed::Partly { .. } | Observed::Begun(_) | Observed::Noisy => State::Noisy,
            Observed::Absent => State::Absent,
        }
    }

    /// Whether sampling generates it, or some of it.
    pub fn is_generated(&self) -> bool {
        matches!(self, Observed::Noisy | Observed::Begun(_) | Observed::Partly { .. })
    }
}

/// Rows to be sampled together, all with the same streams given.
#[derive(Debug)]
pub struct Request {
    /// The name the denoiser was started under.
    pub denoiser: String,
    /// One key per row, unique in the dataset: it keys the row's noise.
    pub rows: Vec<u64>,
    /// What is known of each stream; every stream of the denoiser is named, at least one is generated.
    pub states: IndexMap<String, Observed>,
    /// How the noisy streams are sampled.
    pub sampler: Sampling,
    /// Guidance; without a branch the plain predictions are used.
    pub guidance: Vec<Branch>,
    /// Keys the noise together with the rows.
    pub seed: u64,
    /// The streams that are answered, generated or given.
    pub outputs: Vec<String>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Sampled {
    /// Per output, in the order asked for: `[row, shape]`; generated streams f32 on the engine's device, given ones the
    /// tensors that were given.
    pub streams: IndexMap<String, Tensor>,
    /// Rows with a value that is not finite, by index in the request, with what was found. Their values mean nothing;
    /// all other rows are good.
    pub rows_failed: Vec<(usize, String)>,
}

/// Refuses a request that a denoiser of these streams cannot run, before any work is done.
pub(crate) fn check(request: &Request, streams: &[StreamSpec]) -> Result<()> {
    request.sampler.check()?;
    let known = || streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>();
    let unknown = |name: &String| EngineError::Unknown { what: "stream", name: name.clone(), known: known() };
    let branches = request.guidance.iter().flat_map(|branch| branch.dropped.iter().chain(branch.weights.keys()));
    for name in request.states.keys().chain(&request.outputs).chain(branches) {
        streams.iter().find(|stream| &stream.name == name).ok_or_else(|| unknown(name))?;
    }
    for stream in streams {
        match request.states.get(&stream.name) {
            None => return refuse(format!("it says nothing of stream {:?}", stream.name)),
            Some(Observed::Clean(value) | Observed::Noised(value) | Observed::Begun(value)) => {
                given(value, stream, request.rows.len())?;
            }
            Some(Observed::Prompt { value, weight }) => {
                given(value, stream, request.rows.len())?;
                if !(weight.is_finite() && *weight > 0.0) {
                    return refuse(format!("prompt {:?} weighs {weight}", stream.name));
                }
            }
            Some(Observed::Partly { value, mask }) => {
                given(value, stream, request.rows.len())?;
                stream.check_batch(mask, request.rows.len())?;
            }
            Some(Observed::Noisy | Observed::Absent) => {}
        }
    }
    for name in &request.outputs {
        if request.states[name].state() == State::Absent {
            return refuse(format!("output {name:?} is absent"));
        }
    }
    request.guidance.iter().try_for_each(|branch| guided(branch, request))?;
    match request.states.values().any(Observed::is_generated) {
        true => Ok(()),
        false => refuse("no stream is to be generated".to_string()),
    }
}

fn refuse(reason: String) -> Result<()> {
    Err(EngineError::Request(reason))
}

fn given(value: &Tensor, stream: &StreamSpec, rows: usize) -> Result<()> {
    stream.check_batch(value, rows)?;
    match value.kind() {
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => Ok(()),
        kind => refuse(format!("stream {:?} is {kind:?}, not float", stream.name)),
    }
}

/// A branch must say something of what it guides.
fn guided(branch: &Branch, request: &Request) -> Result<()> {
    for (name, weight) in &branch.weights {
        if !weight.is_finite() {
            return refuse(format!("the guidance of stream {name:?} weighs {weight}"));
        }
        if branch.dropped.contains(name) || !request.states[name].is_generated() {
            return refuse(format!("stream {name:?} is guided by a branch that does not generate it"));
        }
    }
    Ok(())
}
