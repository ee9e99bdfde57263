//! The module `prompt`.

use anyflow_sdk::layers::FlatPrompt;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Error, Module, ModuleDescriptor, Parameters, PromptEncoder, Role, RoleDescriptor, descriptor::*};

/// One-hot words -> tokens of length 1, a perceptron with two hidden layers.
pub struct Prompt(FlatPrompt);

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    words: i64,
    hidden: i64,
    tokens: i64,
    features: i64,
    dropout: f64,
}

/// `[token, word]`.
const WORDS: Port = f32_port(&[axis_of("token", "length"), axis_of("word", "words")]);

impl Module for Prompt {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "prompt",
        modality: "text",
        summary: "one-hot tokens -> tokens of length 1, a perceptron with two hidden layers",
        roles: &[RoleDescriptor {
            role: Role::Embed,
            input: WORDS,
            output: f32_port(&[axis_of("token", "tokens"), axis_of("feature", "features")]),
        }],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "words": {"type": "integer", "minimum": 1},
            "hidden": {"type": "integer", "minimum": 1, "default": 256},
            "tokens": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 1},
            "features": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 64},
            "dropout": {"type": "number", "minimum": 0, "maximum": 0.9, "default": 0.1}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, words, hidden, tokens, features, dropout } = parameters.read()?;
        FlatPrompt::new(path, &[length, words], hidden, [tokens, features], dropout).map(Prompt)
    }
}

impl PromptEncoder for Prompt {
    fn embed(&self, array: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.0.embed(array, train)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(hidden: i64, dropout: f64) -> Parameters {
        Parameters::new(json!({
            "length": 4, "words": 5, "hidden": hidden, "tokens": 2, "features": 6, "dropout": dropout
        }))
    }

    #[test]
    fn arrays_become_tokens_of_length_one() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Prompt::new(&variables.root(), &parameters(16, 0.0)).unwrap();
        let weights = Tensor::arange(6, (anyflow_sdk::tch::Kind::Float, Device::Cpu));
        // Weighted, for the sum of squares of a token of length 1 does not depend on anything.
        check_network(&variables, &[4, 5], &[2, 6], |x| Ok(module.embed(x, true)? * &weights));
        let array = Tensor::rand([3, 4, 5], (anyflow_sdk::tch::Kind::Float, Device::Cpu));
        let lengths = module.embed(&array, false).unwrap().square().sum_dim_intlist([-1i64].as_slice(), false, None);
        assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-6, "f32");
    }

    #[test]
    fn parameters_that_make_no_network_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for (hidden, dropout) in [(0, 0.1), (-1, 0.1), (i64::MAX, 0.1), (16, 1.0), (16, -0.1)] {
            let made = Prompt::new(&variables.root(), &parameters(hidden, dropout));
            assert!(matches!(made, Err(Error::Parameters(_))), "{hidden} units, dropout {dropout}");
        }
    }
}
