//! The module `classifier`.

use anyflow_sdk::layers::{Linear, elements};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// A perceptron with one hidden layer over one-hot tokens.
pub struct Classifier {
    hidden: Linear,
    scores: Linear,
}

const INPUT: Port = f32_port(&[axis_of("token", "length"), axis_of("word", "words")]);

#[derive(serde::Deserialize)]
struct Config {
    length: i64,
    words: i64,
    classes: i64,
    hidden: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "text",
        summary: "one-hot tokens -> score of each class, a perceptron",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[axis_of("feature", "hidden")]) },
        ],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1},
            "words": {"type": "integer", "minimum": 1},
            "classes": {"type": "integer", "minimum": 2, "default": 10},
            "hidden": {"type": "integer", "minimum": 1, "default": 64}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, words, classes, hidden } = parameters.read()?;
        let flat = elements(&[length, words])?;
        elements(&[flat.max(classes), hidden])?;
        elements(&[classes])?;
        Ok(Classifier {
            hidden: Linear::new(&(path / "hidden"), flat, hidden)?,
            scores: Linear::new(&(path / "scores"), hidden, classes)?,
        })
    }
}

impl Scorer for Classifier {
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.scores.forward(&self.features(value, train)?)
    }
}

impl FeatureExtractor for Classifier {
    fn features(&self, value: &Tensor, _train: bool) -> Result<Tensor, Error> {
        Ok(self.hidden.forward(&value.f_flatten(1, -1)?)?.f_silu()?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_become_scores() {
        let parameters = json!({"length": 4, "words": 6, "classes": 3, "hidden": 16});
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Classifier::new(&variables.root(), &Parameters::new(parameters)).unwrap();
        check_network(&variables, &[4, 6], &[3], |x| module.score(x, true));
    }
}
