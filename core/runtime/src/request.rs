//! Diffusions of a plan as requests to the engine.

use anyflow_config::Given;
use anyflow_diffusion::{Branch, Observed, PromptUse, Request, Sampled, StreamSpec};
use anyflow_plan::plan::{Diffusion, StreamRole};
use indexmap::IndexMap;
use tch::Tensor;

use crate::networks::Networks;
use crate::session::plane_name;
use crate::{Result, RunError};

/// The engine's role of each stream.
pub type StreamStates = IndexMap<String, Observed>;

/// The values that roles name.
pub trait RoleValues {
    /// What the denoiser takes of a value for this stream or prompt: normalized latents or tokens, `[row, ...]`.
    ///
    /// # Errors
    /// Errors of plugins; the value is missing, which planning excludes.
    fn value(&self, stream: &str, from: &str) -> Result<Tensor>;

    /// A mask, `[row, ...]`.
    ///
    /// # Errors
    /// As [`RoleValues::value`].
    fn mask(&self, from: &str) -> Result<Tensor>;
}

/// The diffusion of a node or task.
pub struct NodeDiffusion<'a> {
    /// The node or task that errors name.
    pub node: &'a str,
    /// Its diffusion.
    pub diffusion: &'a Diffusion,
    /// The networks.
    pub networks: &'a Networks,
}

impl NodeDiffusion<'_> {
    /// The engine's role of every stream of the denoiser.
    ///
    /// # Errors
    /// Errors of the values and of the engine.
    pub fn states(&self, values: &impl RoleValues) -> Result<StreamStates> {
        let streams = self.networks.engine().streams(&self.diffusion.denoiser);
        let streams = streams.map_err(RunError::diffusion(self.node))?;
        let planes = self
            .diffusion
            .planes
            .iter()
            .map(|(stream, from)| Ok((plane_name(stream), Observed::Kept(values.value(stream, from)?))));
        let planes = planes.collect::<Result<StreamStates>>()?;
        let others = streams.iter().filter(|stream| !planes.contains_key(&stream.name));
        let mut states: StreamStates =
            others.map(|stream| Ok((stream.name.clone(), self.state(stream, values)?))).collect::<Result<_>>()?;
        states.extend(planes);
        Ok(states)
    }

    fn state(&self, stream: &StreamSpec, values: &impl RoleValues) -> Result<Observed> {
        let name = stream.name.as_str();
        // Numbers that join the time are no condition: guidance keeps them, unless others take their place.
        let is_number = matches!(stream.prompt(), Some(PromptUse::Vector { waves: Some(_) }));
        let value = |from: &str| values.value(name, from);
        Ok(match self.diffusion.streams.0.get(name) {
            // A sampler that starts from pure noise has no use for initial values.
            Some(StreamRole::Generate { start: Some(from) }) if self.diffusion.sampler.start_at() < 1.0 => {
                Observed::Init(value(from)?)
            }
            Some(StreamRole::Generate { .. } | StreamRole::Marginalize) => Observed::Noisy,
            Some(StreamRole::Inpaint { from, mask, .. }) => {
                let value = value(from)?;
                // A mask of one channel is that of all.
                let mask = values.mask(mask)?.f_to_device(value.device())?.f_expand_as(&value)?;
                Observed::Inpaint { value, mask }
            }
            Some(StreamRole::Observe { from, given: Given::Clean }) => Observed::Clean(value(from)?),
            Some(StreamRole::Observe { from, given: Given::Noised }) => Observed::Noised(value(from)?),
            Some(StreamRole::Condition { from, instead }) => match prompt(from, instead.as_deref(), value)? {
                Observed::Prompt { value, instead: None, .. } if is_number => Observed::Kept(value),
                prompt => prompt,
            },
            Some(StreamRole::Absent) => Observed::Absent,
            None if stream.is_prompt() => Observed::Absent,
            None => Observed::Noisy,
        })
    }

    /// A request for all outputs of these rows.
    pub fn request(&self, states: StreamStates, rows: Vec<u64>) -> Request {
        let Diffusion { denoiser, streams, guidance, sampler, seed, .. } = self.diffusion;
        let names = |is_wanted: fn(&Observed) -> bool| -> Vec<&str> {
            states.iter().filter(|(_, state)| is_wanted(state)).map(|(name, _)| name.as_str()).collect()
        };
        let guidance = guidance
            .as_ref()
            .map(|guidance| Branch::of(guidance, &names(Observed::is_condition), &names(Observed::is_generated)));
        Request {
            denoiser: denoiser.clone(),
            rows,
            guidance: guidance.unwrap_or_default(),
            states,
            sampler: sampler.clone(),
            seed: *seed,
            outputs: streams.outputs().cloned().collect(),
        }
    }

    /// Runs a request and waits for its answer.
    ///
    /// # Errors
    /// The engine's error.
    pub fn sample(&self, request: Request) -> Result<Sampled> {
        let ticket = self.networks.engine().submit(request);
        ticket.and_then(|ticket| ticket.wait()).map_err(RunError::diffusion(self.node))
    }
}

/// A prompt. Several tokens are mixed: their mean, weighted.
fn prompt(
    from: &IndexMap<String, f64>,
    instead: Option<&str>,
    value: impl Fn(&str) -> Result<Tensor>,
) -> Result<Observed> {
    let weight = from.values().sum();
    let instead = instead.map(&value).transpose()?;
    let mut mixed: Option<Tensor> = None;
    for (name, share) in from {
        let tokens = value(name)?;
        if from.len() == 1 {
            return Ok(Observed::Prompt { value: tokens, weight, instead });
        }
        let tokens = tokens.f_mul_scalar(*share)?;
        mixed = Some(match mixed {
            Some(sum) => sum.f_add(&tokens)?,
            None => tokens,
        });
    }
    let Some(sum) = mixed else { return Ok(Observed::Absent) };
    Ok(Observed::Prompt { value: sum.f_div_scalar(weight)?, weight, instead })
}
