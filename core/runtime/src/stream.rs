//! A stream or a prompt of the model at work: its module, and the statistics that standardise a latent.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{Form, Prompt, Stream, Type};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Tensors;
use crate::plugin::{Module, Plugins};
use crate::{Result, RunError};

/// Array <-> latent <-> standardised latent of one stream; or array -> tokens of one prompt.
pub struct StreamNet {
    /// Its name.
    pub name: String,
    /// Shape of the array, without the row axis.
    pub array: Vec<i64>,
    /// Shape of the latent or the tokens, without the row axis.
    pub latent: Vec<i64>,
    /// The network, if the stream has one.
    pub module: Option<Module>,
    /// Mean of the latent over the training set, `[latent]`.
    pub mean: Tensor,
    /// Standard deviation of the latent over the training set, `[latent]`.
    pub deviation: Tensor,
    /// It is read off as a class, whose latent is standardised by definition.
    pub is_class: bool,
    /// It only conditions.
    is_prompt: bool,
    /// What makes the latent, or the tokens.
    role: Role,
}

impl StreamNet {
    /// A stream with fresh parameters and neutral statistics.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(name: &str, stream: &Stream, plugins: &mut Plugins, device: Device, seed: u64) -> Result<Self> {
        let module = stream.module.as_ref().map(|module| Module::new(plugins, module, device, seed)).transpose()?;
        StreamNet::of(name, (false, stream.by), &stream.array, &stream.latent, module, device)
    }

    /// A prompt with fresh parameters.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn prompt(name: &str, prompt: &Prompt, plugins: &mut Plugins, device: Device, seed: u64) -> Result<Self> {
        let module = Module::new(plugins, &prompt.module, device, seed)?;
        StreamNet::of(name, (true, Role::Embed), &prompt.array, &prompt.tokens, Some(module), device)
    }

    fn of(
        name: &str,
        (is_prompt, role): (bool, Role),
        array: &Type,
        latent: &[i64],
        module: Option<Module>,
        device: Device,
    ) -> Result<Self> {
        let Form::Array { shape, .. } = &array.form else {
            return Err(RunError::Internal(format!("{name} has no array")));
        };
        Ok(StreamNet {
            name: name.into(),
            array: shape.clone(),
            latent: latent.to_vec(),
            module,
            mean: Tensor::f_zeros(latent, (Kind::Float, device))?,
            deviation: Tensor::f_ones(latent, (Kind::Float, device))?,
            is_class: false,
            is_prompt,
            role,
        })
    }

    /// Whether it only conditions.
    pub fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    /// `[row, array]` -> latent `[row, latent]`, or tokens.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn encode(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(self.role, array, &self.latent, train),
            None => Ok(array.shallow_clone()),
        }
    }

    /// Latent `[row, latent]` -> `[row, array]`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(Role::Decode, latent, &self.array, train),
            None => Ok(latent.shallow_clone()),
        }
    }

    /// Latent -> zero mean, unit variance over the training set; same shape.
    ///
    /// # Errors
    /// Only if the shapes disagree, which planning excludes.
    pub fn standardise(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(latent.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }

    /// The inverse of [`StreamNet::standardise`].
    ///
    /// # Errors
    /// Only if the shapes disagree, which planning excludes.
    pub fn restore(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(latent.f_mul(&self.deviation)?.f_add(&self.mean)?)
    }

    /// What a denoiser sees of rows of the array: standardised latents, or tokens as they are.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn seen(&self, array: &Tensor) -> Result<Tensor> {
        let latent = self.encode(array, false)?;
        if self.is_prompt() { Ok(latent) } else { self.standardise(&latent) }
    }

    /// Everything of it that a checkpoint holds, sharing memory.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        let sort = if self.is_prompt() { "prompts" } else { "streams" };
        if let Some(module) = &self.module {
            for parameter in module.parameters()? {
                tensors.insert(format!("{sort}.{}.module.{}", self.name, parameter.name), parameter.tensor);
            }
        }
        tensors.extend(self.statistics());
        Ok(tensors)
    }

    /// Mean and deviation, by the names a checkpoint uses, sharing memory; a prompt has none.
    pub fn statistics(&self) -> Tensors {
        let both = [("mean", &self.mean), ("deviation", &self.deviation)];
        let both = both.into_iter().filter(|_| !self.is_prompt());
        both.map(|(which, tensor)| (format!("streams.{}.{which}", self.name), tensor.shallow_clone())).collect()
    }
}
