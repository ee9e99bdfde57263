//! The module `autoencoder`.

use anyflow_sdk::layers::FlatAutoencoder;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Drawing -> latent -> drawing, through one hidden layer each way.
pub struct Autoencoder(FlatAutoencoder);

#[derive(serde::Deserialize)]
struct Config {
    points: i64,
    coordinate: i64,
    latent: i64,
    hidden: i64,
}

/// `[point, coordinate]`.
const DRAWING: Port = f32_port(&[axis_of("point", "points"), axis("coordinate")]);
/// `[latent]`.
const LATENT: Port = f32_port(&[axis("latent")]);

impl Module for Autoencoder {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "autoencoder",
        modality: "trajectory",
        summary: "drawing <-> latent, a perceptron each way",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: DRAWING, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: DRAWING },
        ],
        parameters: r#"{
            "points": {"type": "integer", "minimum": 1},
            "coordinate": {"type": "integer", "minimum": 1},
            "latent": {"type": "integer", "minimum": 1, "default": 24},
            "hidden": {"type": "integer", "minimum": 1, "default": 256}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { points, coordinate, latent, hidden } = parameters.read()?;
        FlatAutoencoder::new(path, &[points, coordinate], hidden, latent).map(Autoencoder)
    }
}

impl Encoder for Autoencoder {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.0.encode(array)
    }
}

impl Decoder for Autoencoder {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.0.decode(latent)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(points: i64) -> Parameters {
        Parameters::new(json!({"points": points, "coordinate": 3, "latent": 7, "hidden": 16}))
    }

    #[test]
    fn drawings_become_latents_and_drawings_again() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Autoencoder::new(&variables.root(), &parameters(8)).unwrap();
        check_network(&variables, &[8, 3], &[8, 3], |x| module.decode(&module.encode(x, true)?, true));
        let latent = module.encode(&Tensor::zeros([2, 8, 3], (Kind::Float, Device::Cpu)), false);
        assert_eq!(latent.unwrap().size(), [2, 7]);
    }

    #[test]
    fn sizes_that_make_no_network_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for points in [0, -1, i64::MAX] {
            let made = Autoencoder::new(&variables.root(), &parameters(points));
            assert!(matches!(made, Err(Error::Parameters(_))), "{points} points");
        }
    }
}
