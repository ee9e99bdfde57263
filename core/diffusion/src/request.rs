//! Requests to the engine, and their answers.

use anyflow_config::{Kinds, Sampling};
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::{Branch, EngineError, Result, State, StreamSpec, TensorExt};

/// The role of one stream for all rows of a request. Tensors may have any float dtype and device; they must not be
/// written to while the request runs.
#[derive(Debug)]
pub enum Observed {
    /// Observed, clean: `[row, shape]`. The network sees it at time 0.
    Clean(Tensor),
    /// Observed, noised: `[row, shape]`. Before each step it is replaced by a z + s eps with fresh noise at the time of
    /// the generated streams. For networks trained with one time for all streams ("MLD Inpaint"); with
    /// [`Resample`](anyflow_config::Resample) this is RePaint.
    Noised(Tensor),
    /// Observed in part: elements with `mask` above 0.5 are noised as in [`Observed::Noised`] and end at their exact
    /// value; all others are generated.
    Inpaint {
        /// `[row, shape]`; ignored where `mask` is 0.
        value: Tensor,
        /// `[row, shape]`, 0 or 1, of any dtype.
        mask: Tensor,
    },
    /// An observed prompt: see [`StreamKind::Prompt`](crate::StreamKind::Prompt).
    Prompt {
        /// `[row, token, feature]`, or `[row, number]` of a vector.
        value: Tensor,
        /// Above 0. Prompts are mixed by their shares of the summed weights.
        weight: f64,
        /// What the branches that drop it see in its place, as `value`; otherwise it is absent there.
        instead: Option<Tensor>,
    },
    /// An observed prompt that guidance does not drop, such as a plane: `[row, shape]`.
    Kept(Tensor),
    /// Generated, starting from this value noised instead of from pure noise (SDEdit): `[row, shape]`. Samplers that
    /// start late require it; see [`Sampling::start_at`].
    Init(Tensor),
    /// Generated.
    Noisy,
    /// Neither observed nor generated. The denoiser should have been trained with absent streams.
    Absent,
}

impl Observed {
    /// The state of the stream in all rows of the request, as the network sees it.
    pub fn state(&self) -> State {
        match self {
            Observed::Clean(_) | Observed::Prompt { .. } | Observed::Kept(_) => State::Clean,
            Observed::Noised(_) | Observed::Inpaint { .. } | Observed::Init(_) | Observed::Noisy => State::Noisy,
            Observed::Absent => State::Absent,
        }
    }

    /// True if sampling generates the stream, or some of its elements.
    pub fn is_generated(&self) -> bool {
        matches!(self, Observed::Noisy | Observed::Init(_) | Observed::Inpaint { .. })
    }

    /// True if guidance can point towards the stream: it is observed as a whole.
    pub fn is_condition(&self) -> bool {
        matches!(self, Observed::Clean(_) | Observed::Noised(_) | Observed::Prompt { .. })
    }

    /// The role of `rows` rows from row `first` on, sharing memory.
    ///
    /// # Errors
    /// There are fewer rows.
    pub fn narrow(&self, first: usize, rows: usize) -> Result<Observed> {
        let part = |value: &Tensor| value.try_narrow(0, first as i64, rows as i64);
        Ok(match self {
            Observed::Clean(value) => Observed::Clean(part(value)?),
            Observed::Noised(value) => Observed::Noised(part(value)?),
            Observed::Inpaint { value, mask } => Observed::Inpaint { value: part(value)?, mask: part(mask)? },
            Observed::Prompt { value, weight, instead } => {
                let instead = instead.as_ref().map(part).transpose()?;
                Observed::Prompt { value: part(value)?, weight: *weight, instead }
            }
            Observed::Kept(value) => Observed::Kept(part(value)?),
            Observed::Init(value) => Observed::Init(part(value)?),
            Observed::Noisy => Observed::Noisy,
            Observed::Absent => Observed::Absent,
        })
    }
}

/// Rows to sample together, all with the same stream roles.
#[derive(Debug)]
pub struct Request {
    /// The name of the denoiser.
    pub denoiser: String,
    /// One key per row, unique in the dataset: it keys the row's noise.
    pub rows: Vec<u64>,
    /// The role of each stream. Every stream of the denoiser must have one, and at least one stream must be generated.
    pub states: IndexMap<String, Observed>,
    /// How the noisy streams are sampled.
    pub sampler: Sampling,
    /// The guidance branches; without one the plain predictions are used.
    pub guidance: Vec<Branch>,
    /// Keys the noise together with the rows.
    pub seed: u64,
    /// The streams to return, generated or observed.
    pub outputs: Vec<String>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Sampled {
    /// Per output, in the requested order: `[row, shape]`. Generated streams are f32 on the engine's device; observed
    /// streams are the caller's tensors.
    pub streams: IndexMap<String, Tensor>,
    /// Rows with a NaN or infinite value, by index in the request, with a description. Their values are meaningless;
    /// all other rows are valid.
    pub rows_failed: Vec<(usize, String)>,
}

/// Rejects a request that a denoiser with these streams cannot run, before any work is done.
pub(crate) fn check(request: &Request, streams: &[StreamSpec]) -> Result<()> {
    request.sampler.check().map_err(EngineError::Options)?;
    let known = || streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>();
    let unknown = |name: &String| EngineError::Unknown { what: "stream", name: name.clone(), known: known() };
    let branches = request.guidance.iter().flat_map(|branch| branch.dropped.iter().chain(branch.weights.keys()));
    for name in request.states.keys().chain(&request.outputs).chain(branches) {
        streams.iter().find(|stream| &stream.name == name).ok_or_else(|| unknown(name))?;
    }
    for stream in streams {
        match request.states.get(&stream.name) {
            None => return refuse(format!("stream {:?} has no role", stream.name)),
            Some(Observed::Clean(value) | Observed::Noised(value) | Observed::Kept(value) | Observed::Init(value)) => {
                check_value(value, stream, request.rows.len())?;
            }
            Some(Observed::Prompt { value, weight, instead }) => {
                check_value(value, stream, request.rows.len())?;
                instead.iter().try_for_each(|value| check_value(value, stream, request.rows.len()))?;
                if !(weight.is_finite() && *weight > 0.0) {
                    return refuse(format!("the weight of prompt {:?} must be above 0, found {weight}", stream.name));
                }
            }
            Some(Observed::Inpaint { value, mask }) => {
                check_value(value, stream, request.rows.len())?;
                stream.check_batch(mask, request.rows.len())?;
            }
            Some(Observed::Noisy | Observed::Absent) => {}
        }
    }
    for name in &request.outputs {
        if request.states[name].state() == State::Absent {
            return refuse(format!("output {name:?} is an absent stream"));
        }
    }
    request.guidance.iter().try_for_each(|branch| check_branch(branch, request))?;
    if request.states.values().any(Observed::is_generated) {
        return Ok(());
    }
    refuse("no stream is generated".to_string())
}

fn refuse(reason: String) -> Result<()> {
    Err(EngineError::Request(reason))
}

fn check_value(value: &Tensor, stream: &StreamSpec, rows: usize) -> Result<()> {
    stream.check_batch(value, rows)?;
    match value.kind() {
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => Ok(()),
        kind => refuse(format!("stream {:?} must have a float dtype, found {kind:?}", stream.name)),
    }
}

/// Every stream that a branch guides must be generated, and the branch must not drop it.
fn check_branch(branch: &Branch, request: &Request) -> Result<()> {
    for (name, weight) in &branch.weights {
        if !weight.is_finite() {
            return refuse(format!("the guidance weight of stream {name:?} must be finite, found {weight}"));
        }
        if branch.dropped.contains(name) || !request.states[name].is_generated() {
            return refuse(format!("a branch guides stream {name:?}, which it does not generate"));
        }
    }
    Ok(())
}
