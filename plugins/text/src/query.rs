//! The module `query`.

use anyflow_sdk::layers::{Linear, elements};
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::{Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// Below it a vector is not made longer, so that a text without words stays finite.
const SHORTEST: f64 = 1e-6;

/// One-hot words -> sum of a vector for each, brought to the length sqrt(features), so that its coordinates have a variance
/// of about one. The order of the words does not count. What is composed of known words lies where its words put it.
pub struct Query {
    words: Linear,
    /// Words but the empty one.
    count: i64,
    features: i64,
}

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    words: i64,
    features: i64,
}

impl Module for Query {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "query",
        modality: "text",
        summary: "one-hot words -> one vector, the sum of the words' own, of length sqrt(features)",
        roles: &[RoleDescriptor {
            role: Role::Encode,
            input: f32_port(&[axis_of("token", "length"), axis_of("word", "words")]),
            output: f32_port(&[axis_of("feature", "features")]),
        }],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "words": {"type": "integer", "minimum": 2},
            "features": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 64}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, words, features } = parameters.read()?;
        elements(&[length, words])?;
        elements(&[words, features])?;
        if words < 2 {
            return Err(Error::Parameters("there is no word but the empty one".to_string()));
        }
        Ok(Query { words: Linear::new(&(path / "words"), words - 1, features)?, count: words - 1, features })
    }
}

impl Encoder for Query {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let counts = array.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
        // The first word is the empty one, which only fills up.
        let sum = self.words.forward(&counts.f_narrow(1, 1, self.count)?)?;
        let length = sum.f_norm_scalaropt_dim(2.0, [-1], true)?.f_clamp_min(SHORTEST)?;
        Ok(sum.f_div(&length)?.f_mul_scalar((self.features as f64).sqrt())?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn module(variables: &nn::VarStore, words: i64) -> Result<Query, Error> {
        Query::new(&variables.root(), &Parameters::new(json!({"length": 3, "words": words, "features": 6})))
    }

    #[test]
    fn words_are_summed_whatever_their_order_and_the_length_is_that_of_unit_variance() {
        let variables = nn::VarStore::new(Device::Cpu);
        let query = module(&variables, 5).unwrap();
        let weights = Tensor::arange(6, (Kind::Float, Device::Cpu));
        check_network(&variables, &[3, 5], &[6], |x| Ok(query.encode(x, true)? * &weights));
        let text = |words: [i64; 3]| {
            let rows = Tensor::eye(5, (Kind::Float, Device::Cpu)).index_select(0, &Tensor::from_slice(&words));
            query.encode(&rows.unsqueeze(0), false).unwrap()
        };
        let (one, turned) = (text([1, 3, 0]), text([3, 0, 1]));
        assert!((&one - turned).abs().max().double_value(&[]) < 1e-6, "f32");
        assert!((&one - text([1, 2, 0])).abs().max().double_value(&[]) > 1e-3);
        assert!((one.square().sum(Kind::Float) - 6.0).abs().double_value(&[]) < 1e-5, "f32");
    }

    #[test]
    fn parameters_that_make_no_network_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for words in [1, 0, -1, i64::MAX] {
            assert!(matches!(module(&variables, words), Err(Error::Parameters(_))), "{words} words");
        }
    }
}
