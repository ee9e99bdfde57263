//! What the engine is asked, and what it answers.

use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::{EngineError, Result, Sampler, State, StreamSpec};

/// What is known of one stream, for all rows of a request.
#[derive(Debug)]
pub enum Observed {
    /// Given: `[row, shape]`, any float dtype and device; it must not be written to while the request runs.
    Clean(Tensor),
    /// To be generated.
    Noisy,
    /// Neither given nor generated; the denoiser should have been trained with absent streams.
    Absent,
}

impl Observed {
    /// The state that all rows of the request have in this stream.
    pub fn state(&self) -> State {
        match self {
            Observed::Clean(_) => State::Clean,
            Observed::Noisy => State::Noisy,
            Observed::Absent => State::Absent,
        }
    }
}

/// Rows to be sampled together, all with the same streams given.
#[derive(Debug)]
pub struct Request {
    /// The name the denoiser was started under.
    pub denoiser: String,
    /// One key per row, unique in the dataset: it keys the row's noise.
    pub rows: Vec<u64>,
    /// What is known of each stream; every stream of the denoiser is named, at least one is noisy.
    pub states: IndexMap<String, Observed>,
    /// How the noisy streams are sampled.
    pub sampler: Sampler,
    /// Keys the noise together with the rows.
    pub seed: u64,
    /// The streams that are answered, noisy or clean.
    pub outputs: Vec<String>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Sampled {
    /// Per output, in the order asked for: `[row, shape]`; noisy streams f32 on the engine's device, clean ones the
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
    for name in request.states.keys().chain(&request.outputs) {
        streams.iter().find(|stream| &stream.name == name).ok_or_else(|| unknown(name))?;
    }
    for stream in streams {
        match request.states.get(&stream.name) {
            None => return Err(EngineError::Request(format!("it says nothing of stream {:?}", stream.name))),
            Some(Observed::Clean(value)) => {
                stream.check_batch(value, request.rows.len())?;
                if !matches!(value.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
                    let kind = value.kind();
                    return Err(EngineError::Request(format!("stream {:?} is {kind:?}, not float", stream.name)));
                }
            }
            Some(_) => {}
        }
    }
    for name in &request.outputs {
        if request.states[name].state() == State::Absent {
            return Err(EngineError::Request(format!("output {name:?} is absent")));
        }
    }
    match request.states.values().any(|observed| observed.state() == State::Noisy) {
        true => Ok(()),
        false => Err(EngineError::Request("no stream is to be generated".to_string())),
    }
}
