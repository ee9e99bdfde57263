//! The module `autoencoder`.

use anyflow_sdk::layers::FlatAutoencoder;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Log-mel map -> latent -> log-mel map between 0 and 1, through one hidden layer each way.
pub struct Autoencoder(FlatAutoencoder);

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    bands: i64,
    frames: i64,
    latent: i64,
    hidden: i64,
}

/// `[channel, band, frame]`.
const MAP: Port = f32_port_in(&[axis("channel"), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1);
/// `[latent]`.
const LATENT: Port = f32_port(&[axis("latent")]);

impl Module for Autoencoder {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "autoencoder",
        modality: "audio",
        summary: "log-mel map <-> latent, a perceptron each way",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: MAP, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: MAP },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "bands": {"type": "integer", "minimum": 1},
            "frames": {"type": "integer", "minimum": 1},
            "latent": {"type": "integer", "minimum": 1, "default": 24},
            "hidden": {"type": "integer", "minimum": 1, "default": 256}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, bands, frames, latent, hidden } = parameters.read()?;
        FlatAutoencoder::new(path, &[channel, bands, frames], hidden, latent).map(Autoencoder)
    }
}

impl Encoder for Autoencoder {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.0.encode(array)
    }
}

impl Decoder for Autoencoder {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        Ok(self.0.decode(latent)?.f_sigmoid()?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(bands: i64) -> Parameters {
        Parameters::new(json!({"channel": 3, "bands": bands, "frames": 5, "latent": 7, "hidden": 16}))
    }

    #[test]
    fn arrays_become_latents_and_arrays_again() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Autoencoder::new(&variables.root(), &parameters(4)).unwrap();
        check_network(&variables, &[3, 4, 5], &[3, 4, 5], |x| module.decode(&module.encode(x, true)?, true));
        let latent = module.encode(&Tensor::zeros([2, 3, 4, 5], (anyflow_sdk::tch::Kind::Float, Device::Cpu)), false);
        assert_eq!(latent.unwrap().size(), [2, 7]);
    }

    #[test]
    fn sizes_that_make_no_network_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for bands in [0, -1, i64::MAX] {
            let made = Autoencoder::new(&variables.root(), &parameters(bands));
            assert!(matches!(made, Err(Error::Parameters(_))), "{bands} bands");
        }
    }
}
