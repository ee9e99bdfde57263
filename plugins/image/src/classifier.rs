//! The module `classifier`.

use anyflow_sdk::layers::{Conv2d, Linear, elements, halve};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// A small convolutional network for small pictures: 65,000 parameters for 28 x 28.
pub struct Classifier {
    fine: Conv2d,
    coarse: Conv2d,
    hidden: Linear,
    scores: Linear,
}

const INPUT: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
/// Units of the last hidden layer.
const FEATURES: i64 = 64;

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    height: i64,
    width: i64,
    classes: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "image",
        summary: "picture -> score of each class, a small convolutional network",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[fixed("feature", FEATURES)]) },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 12},
            "width": {"type": "integer", "minimum": 12},
            "classes": {"type": "integer", "minimum": 2, "default": 10}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, height, width, classes } = parameters.read()?;
        elements(&[channel, height, width])?;
        elements(&[classes])?;
        // The sides of what is left: halved, less the edge of the second kernel, halved.
        let side = |full: i64| (full / 2 - 4) / 2;
        let flat = elements(&[32, side(height), side(width)])
            .map_err(|_| Error::Parameters(format!("pictures of {width} x {height} are not at least 12 x 12")))?;
        Ok(Classifier {
            fine: Conv2d::new(&(path / "fine"), channel, 16, 5, 2)?,
            coarse: Conv2d::new(&(path / "coarse"), 16, 32, 5, 0)?,
            hidden: Linear::new(&(path / "hidden"), flat, FEATURES)?,
            scores: Linear::new(&(path / "scores"), FEATURES, classes)?,
        })
    }
}

impl Scorer for Classifier {
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.scores.forward(&self.features(value, train)?)
    }
}

impl FeatureExtractor for Classifier {
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        let x = halve(&self.fine.forward(value)?.f_relu()?)?;
        let x = halve(&self.coarse.forward(&x)?.f_relu()?)?;
        let x = x.f_flatten(1, -1)?.f_dropout(0.3, train)?;
        Ok(self.hidden.forward(&x)?.f_relu()?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(height: i64) -> Parameters {
        Parameters::new(json!({"channel": 1, "height": height, "width": 28, "classes": 10}))
    }

    #[test]
    fn pictures_become_scores() {
        for height in [12, 13, 28] {
            let variables = nn::VarStore::new(Device::Cpu);
            let module = Classifier::new(&variables.root(), &parameters(height)).unwrap();
            check_network(&variables, &[1, height, 28], &[10], |x| module.score(x, true));
        }
    }

    #[test]
    fn it_is_small() {
        let variables = nn::VarStore::new(Device::Cpu);
        Classifier::new(&variables.root(), &parameters(28)).unwrap();
        let parameters: usize = variables.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(parameters, 65_162);
    }

    #[test]
    fn pictures_too_small_for_it_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for height in [11, 0, -5] {
            let made = Classifier::new(&variables.root(), &parameters(height));
            assert!(matches!(made, Err(Error::Parameters(_))), "height {height}");
        }
    }
}
