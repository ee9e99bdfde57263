//! The module `classifier`.

use anyflow_sdk::layers::{ClassifierHead, Conv2d, elements, halve};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// A small convolutional network for log-mel maps.
pub struct Classifier {
    fine: Conv2d,
    middle: Conv2d,
    coarse: Conv2d,
    head: ClassifierHead,
}

const INPUT: Port = f32_port_in(&[axis("channel"), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1);
/// Units of the last hidden layer.
const FEATURES: i64 = 64;

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    bands: i64,
    frames: i64,
    classes: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "audio",
        summary: "log-mel map -> score of each class, a small convolutional network",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[fixed("feature", FEATURES)]) },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "bands": {"type": "integer", "minimum": 8},
            "frames": {"type": "integer", "minimum": 8},
            "classes": {"type": "integer", "minimum": 2, "default": 10}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, bands, frames, classes } = parameters.read()?;
        elements(&[channel, bands, frames])?;
        let flat = elements(&[32, bands / 8, frames / 8])
            .map_err(|_| Error::Parameters(format!("maps of {bands} x {frames} are too small; the least is 8 x 8")))?;
        Ok(Classifier {
            fine: Conv2d::new(&(path / "fine"), channel, 16, 3, 1)?,
            middle: Conv2d::new(&(path / "middle"), 16, 32, 3, 1)?,
            coarse: Conv2d::new(&(path / "coarse"), 32, 32, 3, 1)?,
            head: ClassifierHead::new(path, flat, FEATURES, classes)?,
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
        let x = halve(&self.fine.forward(value)?.f_relu()?)?;
        let x = halve(&self.middle.forward(&x)?.f_relu()?)?;
        self.head.features(&halve(&self.coarse.forward(&x)?.f_relu()?)?, train)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(bands: i64) -> Parameters {
        Parameters::new(json!({"channel": 1, "bands": bands, "frames": 32, "classes": 10}))
    }

    #[test]
    fn maps_become_scores() {
        for bands in [8, 13, 40] {
            let variables = nn::VarStore::new(Device::Cpu);
            let module = Classifier::new(&variables.root(), &parameters(bands)).unwrap();
            check_network(&variables, &[1, bands, 32], &[10], |x| module.score(x, true));
        }
    }

    #[test]
    fn it_has_56_thousand_parameters() {
        let variables = nn::VarStore::new(Device::Cpu);
        Classifier::new(&variables.root(), &parameters(40)).unwrap();
        let parameters: usize = variables.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(parameters, 55_722);
    }

    #[test]
    fn too_small_maps_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for bands in [7, 0, -8] {
            let made = Classifier::new(&variables.root(), &parameters(bands));
            assert!(matches!(made, Err(Error::Parameters(_))), "{bands} bands");
        }
    }
}
