//! The module `autoencoder`.

use anyflow_sdk::layers::{Linear, elements};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Vector <-> latent, one hidden layer each way.
pub struct Autoencoder {
    encoder: [Linear; 2],
    decoder: [Linear; 2],
}

#[derive(serde::Deserialize)]
struct Config {
    {axis}: i64,
    latent: i64,
    hidden: i64,
}

/// The array of the codec.
const VECTOR: Port = f32_port(&[axis("{axis}")]);
const LATENT: Port = f32_port(&[axis("latent")]);

impl Module for Autoencoder {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "autoencoder",
        modality: "{modality}",
        summary: "vector <-> latent, a perceptron each way",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: VECTOR, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: VECTOR },
        ],
        // The first has no default: the planner infers it from the connected codec.
        parameters: r#"{
            "{axis}": {"type": "integer", "minimum": 1},
            "latent": {"type": "integer", "minimum": 1, "default": 4, "description": "size of the latent"},
            "hidden": {"type": "integer", "minimum": 1, "default": 32, "description": "width of the hidden layers"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { {axis}, latent, hidden } = parameters.read()?;
        // Refuses sizes that are not positive, or whose layers would fill the memory.
        elements(&[{axis}, hidden])?;
        elements(&[latent, hidden])?;
        let layer = |name: &str, inputs, outputs| Linear::new(&(path / name), inputs, outputs);
        Ok(Autoencoder {
            encoder: [layer("encoder_hidden", {axis}, hidden)?, layer("encoder_latent", hidden, latent)?],
            decoder: [layer("decoder_hidden", latent, hidden)?, layer("decoder_vector", hidden, {axis})?],
        })
    }
}

impl Encoder for Autoencoder {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        through(&self.encoder, array)
    }
}

impl Decoder for Autoencoder {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        through(&self.decoder, latent)
    }
}

/// Uses the `tch` calls that start with `f_`, because they return errors.
fn through([hidden, last]: &[Linear; 2], x: &Tensor) -> Result<Tensor, Error> {
    last.forward(&hidden.forward(x)?.f_silu()?)
}
