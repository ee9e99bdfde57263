//! The module `classifier`.

use anyflow_sdk::layers::{ClassifierHead, Linear, elements};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// A perceptron for drawings.
pub struct Classifier {
    wide: Linear,
    head: ClassifierHead,
}

const INPUT: Port = f32_port(&[axis_of("point", "points"), axis("coordinate")]);
/// Units of the first hidden layer.
const WIDE: i64 = 256;
/// Units of the last hidden layer.
const FEATURES: i64 = 64;

#[derive(serde::Deserialize)]
struct Config {
    points: i64,
    coordinate: i64,
    classes: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "trajectory",
        summary: "drawing -> score of each class, a perceptron",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[fixed("feature", FEATURES)]) },
        ],
        parameters: r#"{
            "points": {"type": "integer", "minimum": 1},
            "coordinate": {"type": "integer", "minimum": 1},
            "classes": {"type": "integer", "minimum": 2, "default": 10}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { points, coordinate, classes } = parameters.read()?;
        let flat = elements(&[points, coordinate])?;
        elements(&[flat, WIDE])?;
        Ok(Classifier {
            wide: Linear::new(&(path / "wide"), flat, WIDE)?,
            head: ClassifierHead::new(path, WIDE, FEATURES, classes)?,
        })
    }
}

impl Scorer for Classifier {
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.head.scores(&self.features(value, train)?)
    }
}

impl FeatureExtractor for Classifier {
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.head.features(&self.wide.forward(&value.f_flatten(1, -1)?)?.f_relu()?, train)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(points: i64) -> Parameters {
        Parameters::new(json!({"points": points, "coordinate": 3, "classes": 10}))
    }

    #[test]
    fn drawings_become_scores() {
        for points in [1, 8, 32] {
            let variables = nn::VarStore::new(Device::Cpu);
            let module = Classifier::new(&variables.root(), &parameters(points)).unwrap();
            check_network(&variables, &[points, 3], &[10], |x| module.score(x, true));
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for points in [0, -8, i64::MAX] {
            let made = Classifier::new(&variables.root(), &parameters(points));
            assert!(matches!(made, Err(Error::Parameters(_))), "{points} points");
        }
    }
}
