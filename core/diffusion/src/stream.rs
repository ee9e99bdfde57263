//! The streams of a denoiser.

use anyflow_config::Auxiliary;
use tch::Tensor;

use crate::{EngineError, Parameterization, Result, Schedule};

/// One stream of a denoiser.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    /// Its name, unique in the denoiser; it also keys the stream's noise.
    pub name: String,
    /// The shape of one row; see [`PromptUse`] for that of a prompt.
    pub shape: Vec<i64>,
    /// Its noise schedule.
    pub schedule: Schedule,
    /// The quantity that the network predicts.
    pub parameterization: Parameterization,
    /// What it is to the denoiser.
    pub kind: StreamKind,
}

/// What a stream is to its denoiser.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StreamKind {
    /// Diffused: generated, observed or absent.
    #[default]
    Diffused,
    /// Observed, estimated by a head or absent, never diffused: see [`Auxiliary`].
    Auxiliary(Auxiliary),
    /// A prompt: observed or absent, never diffused. Its prediction is meaningless.
    Prompt(PromptUse),
}

/// What a denoiser does with a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptUse {
    /// It attends to the tokens, `[token, feature]`.
    Tokens,
    /// The vector, `[number]`, joins the embedding of the time.
    Vector {
        /// The cosines and sines that each number becomes, like a time; `None` for the numbers themselves.
        waves: Option<i64>,
    },
    /// The channels, `[channel, height, width]` or `[frame, channel, height, width]`, are concatenated to those of the streams.
    Plane,
}

impl StreamSpec {
    /// True if it is diffused.
    pub fn is_diffused(&self) -> bool {
        self.kind == StreamKind::Diffused
    }

    /// True for a prompt.
    pub fn is_prompt(&self) -> bool {
        self.prompt().is_some()
    }

    /// What the denoiser does with a prompt; `None` for other streams.
    pub fn prompt(&self) -> Option<&PromptUse> {
        if let StreamKind::Prompt(of) = &self.kind { Some(of) } else { None }
    }

    /// The connections of an auxiliary stream.
    pub fn auxiliary(&self) -> Option<&Auxiliary> {
        match &self.kind {
            StreamKind::Auxiliary(auxiliary) => Some(auxiliary),
            StreamKind::Diffused | StreamKind::Prompt(_) => None,
        }
    }

    /// The number of elements of one row.
    pub fn elements(&self) -> i64 {
        self.shape.iter().product()
    }

    /// `[rows, shape]`: the shape of a batch.
    pub fn batch_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().copied()).collect()
    }

    /// `[rows, 1, ...]`, one axis per axis of the stream: the shape of one number per row.
    pub(crate) fn column_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().map(|_| 1)).collect()
    }

    /// Rejects a tensor whose shape is not `[rows, shape]`.
    pub fn check_batch(&self, tensor: &Tensor, rows: usize) -> Result<()> {
        let expected = self.batch_shape(rows);
        let found = tensor.size();
        if expected == found {
            Ok(())
        } else {
            Err(EngineError::Shape { what: format!("stream {:?}", self.name), expected, found })
        }
    }
}

/// The index of a diffused stream.
///
/// # Errors
/// No diffused stream has this name.
pub(crate) fn index_of(streams: &[StreamSpec], name: &str) -> Result<usize> {
    let index = streams.iter().position(|stream| stream.is_diffused() && stream.name == name);
    index.ok_or_else(|| EngineError::Unknown {
        what: "stream",
        name: name.to_string(),
        known: streams.iter().filter(|stream| stream.is_diffused()).map(|stream| stream.name.clone()).collect(),
    })
}

/// Rejects a list without a diffused stream, empty shapes, duplicate names and invalid schedules.
pub fn check_streams(streams: &[StreamSpec]) -> Result<()> {
    let bad = |wanted, found: String| Err(EngineError::Config { field: "streams", wanted, found });
    if !streams.iter().any(StreamSpec::is_diffused) {
        return bad("at least one that is diffused", "none".to_string());
    }
    for (index, stream) in streams.iter().enumerate() {
        if stream.shape.iter().any(|size| *size < 1) {
            return bad("of positive sizes", format!("{:?} {:?}", stream.name, stream.shape));
        }
        if streams[..index].iter().any(|other| other.name == stream.name) {
            return bad("of different names", format!("{:?} twice", stream.name));
        }
        stream.schedule.check()?;
    }
    Ok(())
}
