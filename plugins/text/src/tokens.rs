//! The module `tokens`.

use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Error, Module, ModuleDescriptor, Parameters, PromptEncoder, Role, RoleDescriptor, descriptor::*};

use crate::grams::{self, Grams};

/// One-hot tokens -> a unit vector for each token, or for the n-gram that ends at it. Networks attend to each word by
/// itself. Empty words are zero.
pub struct TokenVectors(Grams);

impl Module for TokenVectors {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "tokens",
        modality: "text",
        summary: "one-hot tokens -> a unit vector for each token or n-gram",
        roles: &[RoleDescriptor {
            role: Role::Embed,
            input: grams::WORDS,
            output: f32_port(&[axis_of("token", "length"), axis_of("feature", "features")]),
        }],
        parameters: grams::PARAMETERS,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config = parameters.read()?;
        Ok(TokenVectors(Grams::new(&(path / "grams"), &config)?))
    }
}

impl PromptEncoder for TokenVectors {
    fn embed(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        grams::directions(&self.0.forward(array)?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_has_the_same_unit_vector_at_every_position_and_padding_is_zero() {
        let variables = nn::VarStore::new(Device::Cpu);
        let parameters = Parameters::new(json!({"length": 3, "words": 5, "span": 1, "features": 6}));
        let module = TokenVectors::new(&variables.root(), &parameters).unwrap();
        let weights = Tensor::arange(6, (Kind::Float, Device::Cpu));
        check_network(&variables, &[3, 5], &[3, 6], |x| Ok(module.embed(x, true)? * &weights));
        let words = Tensor::from_slice(&[2i64, 4, 0, 4, 0, 2]);
        let rows = Tensor::eye(5, (Kind::Float, Device::Cpu)).index_select(0, &words).view([2, 3, 5]);
        let tokens = module.embed(&rows, false).unwrap();
        let lengths = tokens.square().sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
        let wanted = Tensor::from_slice(&[1f32, 1.0, 0.0, 1.0, 0.0, 1.0]).view([2, 3]);
        assert!((lengths - wanted).abs().max().double_value(&[]) < 1e-5, "f32");
        let apart = (tokens.get(0).get(1) - tokens.get(1).get(0)).abs().max().double_value(&[]);
        assert!(apart < 1e-6, "f32: {apart}");
    }
}
