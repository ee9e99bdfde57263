//! The module `query`.

use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::{Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

use crate::grams::{self, Grams};

/// One-hot tokens -> the sum of the vectors of its tokens or n-grams, scaled to length sqrt(features) so that
/// coordinates have a variance of about one. A new combination of known words has the sum of their vectors.
pub struct Query {
    grams: Grams,
    features: i64,
}

impl Module for Query {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "query",
        modality: "text",
        summary: "one-hot tokens -> the sum of its n-gram vectors, of length sqrt(features)",
        roles: &[RoleDescriptor {
            role: Role::Encode,
            input: grams::WORDS,
            output: f32_port(&[axis_of("feature", "features")]),
        }],
        parameters: grams::PARAMETERS,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: grams::Config = parameters.read()?;
        Ok(Query { grams: Grams::new(&(path / "grams"), &config)?, features: config.features })
    }
}

impl Encoder for Query {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let sum = self.grams.forward(array)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
        Ok(grams::directions(&sum)?.f_mul_scalar((self.features as f64).sqrt())?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn module(variables: &nn::VarStore, words: i64, span: i64) -> Result<Query, Error> {
        let parameters = json!({"length": 3, "words": words, "span": span, "features": 6});
        Query::new(&variables.root(), &Parameters::new(parameters))
    }

    fn text(query: &Query, words: [i64; 3]) -> Tensor {
        let rows = Tensor::eye(5, (Kind::Float, Device::Cpu)).index_select(0, &Tensor::from_slice(&words));
        query.encode(&rows.unsqueeze(0), false).unwrap()
    }

    fn apart(one: &Tensor, other: &Tensor) -> f64 {
        (one - other).abs().max().double_value(&[])
    }

    #[test]
    fn the_sum_ignores_word_order_and_has_unit_variance() {
        let variables = nn::VarStore::new(Device::Cpu);
        let query = module(&variables, 5, 1).unwrap();
        let weights = Tensor::arange(6, (Kind::Float, Device::Cpu));
        check_network(&variables, &[3, 5], &[6], |x| Ok(query.encode(x, true)? * &weights));
        let one = text(&query, [1, 3, 0]);
        assert!(apart(&one, &text(&query, [3, 0, 1])) < 1e-6, "f32");
        assert!(apart(&one, &text(&query, [1, 2, 0])) > 1e-3);
        assert!((one.square().sum(Kind::Float) - 6.0).abs().double_value(&[]) < 1e-5, "f32");
        assert_eq!(text(&query, [0, 0, 0]).abs().max().double_value(&[]), 0.0, "an empty text is zero");
    }

    #[test]
    fn n_grams_distinguish_word_order() {
        let variables = nn::VarStore::new(Device::Cpu);
        let query = module(&variables, 5, 2).unwrap();
        assert!(apart(&text(&query, [1, 3, 0]), &text(&query, [3, 1, 0])) > 1e-3);
    }

    #[test]
    fn impossible_parameters_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for (words, span) in [(1, 1), (0, 1), (-1, 1), (i64::MAX, 1), (5, 0), (5, i64::MAX)] {
            assert!(matches!(module(&variables, words, span), Err(Error::Parameters(_))), "{words} words, {span}");
        }
    }
}
