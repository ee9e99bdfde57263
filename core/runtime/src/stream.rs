//! The network of a stream or a prompt, and the statistics that normalize a latent.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{EncodedPrompt, Form, Stream, Type};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Tensors;
use crate::plugin::{LoadedPlugins, Module, ModuleOptions};
use crate::{Result, RunError};

/// A stream (array <-> latent <-> normalized latent) or a prompt (array -> tokens).
pub struct StreamNet {
    /// Its name.
    pub name: String,
    /// Shape of the array, without the row axis.
    pub array: Vec<i64>,
    /// Shape of the latent or the tokens, without the row axis.
    pub latent: Vec<i64>,
    /// The network. Without one, the array is the latent.
    pub module: Option<Module>,
    /// Mean of the latent over the training set, `[latent]`.
    pub mean: Tensor,
    /// Standard deviation of the latent over the training set, `[latent]`.
    pub std: Tensor,
    /// True if a head predicts the stream as a class. Its latent is normalized by definition.
    pub is_class: bool,
    is_prompt: bool,
    /// The module's role that makes the latent or the tokens. A vector alone (role `pool`) is one token.
    role: Role,
    /// Size of the vector of a prompt, if it has one.
    vector: Option<i64>,
}

impl StreamNet {
    /// Makes a stream with fresh parameters, mean 0 and standard deviation 1.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(name: &str, stream: &Stream, plugins: &mut LoadedPlugins, options: ModuleOptions) -> Result<Self> {
        let module = stream.module.as_ref().map(|module| Module::new(plugins, module, options)).transpose()?;
        let net = StreamNet::bare(name, &stream.array, &stream.latent, options.device)?;
        Ok(StreamNet { module, role: stream.by, ..net })
    }

    /// Makes a prompt with fresh parameters.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn prompt(
        name: &str,
        prompt: &EncodedPrompt,
        plugins: &mut LoadedPlugins,
        options: ModuleOptions,
    ) -> Result<Self> {
        let module = Module::new(plugins, &prompt.module, options)?;
        let (role, tokens) = match (&prompt.tokens, prompt.vector) {
            (Some(tokens), _) => (Role::Embed, tokens.clone()),
            (None, vector) => (Role::Pool, vec![1, vector.unwrap_or_default()]),
        };
        let net = StreamNet::bare(name, &prompt.array, &tokens, options.device)?;
        Ok(StreamNet { module: Some(module), is_prompt: true, role, vector: prompt.vector, ..net })
    }

    /// A stream without a module.
    fn bare(name: &str, array: &Type, latent: &[i64], device: Device) -> Result<Self> {
        let Form::Array { shape, .. } = &array.form else {
            return Err(RunError::Internal(format!("{name} has no array")));
        };
        Ok(StreamNet {
            name: name.into(),
            array: shape.clone(),
            latent: latent.to_vec(),
            module: None,
            mean: Tensor::f_zeros(latent, (Kind::Float, device))?,
            std: Tensor::f_ones(latent, (Kind::Float, device))?,
            is_class: false,
            is_prompt: false,
            role: Role::Encode,
            vector: None,
        })
    }

    /// True for a prompt, which only conditions.
    pub fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    /// `[row, array]` -> latent `[row, latent]`, or tokens.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn encode(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match (&self.module, self.role) {
            (Some(_), Role::Pool) => Ok(self.pool(array, train)?.f_unsqueeze(1)?),
            (Some(module), role) => module.forward(role, array, &self.latent, train),
            (None, _) => Ok(array.shallow_clone()),
        }
    }

    /// `[row, array]` -> the vector of a prompt, `[row, feature]`.
    ///
    /// # Errors
    /// The plugin's error; the prompt has no vector, which planning excludes.
    pub fn pool(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match (&self.module, self.vector) {
            (Some(module), Some(size)) => module.forward(Role::Pool, array, &[size], train),
            _ => Err(RunError::Internal(format!("prompt {} has no vector", self.name))),
        }
    }

    /// Latent `[row, latent]` -> `[row, array]`.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(Role::Decode, latent, &self.array, train),
            None => Ok(latent.shallow_clone()),
        }
    }

    /// Shifts and scales a latent to mean 0 and variance 1 over the training set.
    ///
    /// # Errors
    /// The shapes disagree, which planning excludes.
    pub fn normalize(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(latent.f_sub(&self.mean)?.f_div(&self.std)?)
    }

    /// The inverse of [`StreamNet::normalize`].
    ///
    /// # Errors
    /// The shapes disagree, which planning excludes.
    pub fn denormalize(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(latent.f_mul(&self.std)?.f_add(&self.mean)?)
    }

    /// Encodes an array to the denoiser's input: a normalized latent, or the tokens of a prompt.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn denoiser_input(&self, array: &Tensor) -> Result<Tensor> {
        let latent = self.encode(array, false)?;
        if self.is_prompt() { Ok(latent) } else { self.normalize(&latent) }
    }

    /// All tensors of a checkpoint, by name, sharing memory.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        let kind = if self.is_prompt() { "prompts" } else { "streams" };
        if let Some(module) = &self.module {
            for parameter in module.parameters()? {
                tensors.insert(format!("{kind}.{}.module.{}", self.name, parameter.name), parameter.tensor);
            }
        }
        tensors.extend(self.statistics());
        Ok(tensors)
    }

    /// Mean and standard deviation, by their names in a checkpoint, sharing memory. A prompt has none.
    pub fn statistics(&self) -> Tensors {
        if self.is_prompt() {
            return Tensors::new();
        }
        // Shipped weights hold the standard deviation under the name `deviation`.
        let both = [("mean", &self.mean), ("deviation", &self.std)];
        both.map(|(which, tensor)| (format!("streams.{}.{which}", self.name), tensor.shallow_clone())).into()
    }
}
