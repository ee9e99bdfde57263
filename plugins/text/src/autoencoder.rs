//! The module `autoencoder`.

use anyflow_sdk::layers::FlatAutoencoder;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// One-hot tokens -> latent -> unnormalised log-probabilities of tokens, through one hidden layer each way.
pub struct Autoencoder(FlatAutoencoder);

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    words: i64,
    latent: i64,
    hidden: i64,
}

/// `[token, word]`.
const TOKENS: Port = f32_port(&[axis_of("token", "length"), axis_of("word", "words")]);
/// `[latent]`.
const LATENT: Port = f32_port(&[axis("latent")]);

impl Module for Autoencoder {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "autoencoder",
        modality: "text",
        summary: "one-hot tokens -> latent -> scores of tokens, a perceptron each way",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: TOKENS, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: TOKENS },
        ],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "words": {"type": "integer", "minimum": 1},
            "latent": {"type": "integer", "minimum": 1, "default": 24},
            "hidden": {"type": "integer", "minimum": 1, "default": 256}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, words, latent, hidden } = parameters.read()?;
        FlatAutoencoder::new(path, &[length, words], hidden, latent).map(Autoencoder)
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

    #[test]
    fn tokens_become_latents_and_scores() {
        let parameters = json!({"length": 4, "words": 6, "latent": 5, "hidden": 16});
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Autoencoder::new(&variables.root(), &Parameters::new(parameters)).unwrap();
        check_network(&variables, &[4, 6], &[4, 6], |x| module.decode(&module.encode(x, true)?, true));
        let latent = module.encode(&Tensor::zeros([2, 4, 6], (Kind::Float, Device::Cpu)), false).unwrap();
        assert_eq!(latent.size(), [2, 5]);
    }
}
