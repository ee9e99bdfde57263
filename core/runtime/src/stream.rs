//! A stream of the model at work: its module, and the statistics that standardise its latent.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{Form, Stream};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Tensors;
use crate::plugin::{Module, Plugins};
use crate::{Result, RunError};

/// Array <-> latent <-> standardised latent of one stream.
pub struct StreamNet {
    /// Its name.
    pub name: String,
    /// Shape of the array, without the row axis.
    pub array: Vec<i64>,
    /// Shape of the latent, without the row axis.
    pub latent: Vec<i64>,
    /// The network, if the stream has one.
    pub module: Option<Module>,
    /// Mean of the latent over the training set, `[latent]`.
    pub mean: Tensor,
    /// Standard deviation of the latent over the training set, `[latent]`.
    pub deviation: Tensor,
}

impl StreamNet {
    /// A stream with fresh parameters and neutral statistics.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(name: &str, stream: &Stream, plugins: &mut Plugins, device: Device, seed: u64) -> Result<Self> {
        let Form::Array { shape, .. } = &stream.array.form else {
            return Err(RunError::Internal(format!("stream {name} has no array")));
        };
        let module = stream.module.as_ref().map(|module| Module::new(plugins, module, device, seed)).transpose()?;
        Ok(StreamNet {
            name: name.into(),
            array: shape.clone(),
            latent: stream.latent.clone(),
            module,
            mean: Tensor::f_zeros(&stream.latent, (Kind::Float, device))?,
            deviation: Tensor::f_ones(&stream.latent, (Kind::Float, device))?,
        })
    }

    /// `[row, array]` -> latent `[row, latent]`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn encode(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(Role::Encode, array, &self.latent, train),
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

    /// Everything of the stream that a checkpoint holds, sharing memory.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        if let Some(module) = &self.module {
            for parameter in module.parameters()? {
                tensors.insert(format!("streams.{}.module.{}", self.name, parameter.name), parameter.tensor);
            }
        }
        tensors.insert(format!("streams.{}.mean", self.name), self.mean.shallow_clone());
        tensors.insert(format!("streams.{}.deviation", self.name), self.deviation.shallow_clone());
        Ok(tensors)
    }
}
