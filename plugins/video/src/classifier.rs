//! The module `classifier`.

use anyflow_sdk::layers::{ClassifierHead, Conv2d, elements, halve};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// A small convolutional network with the frames as channels of one image.
pub struct Classifier {
    fine: Conv2d,
    coarse: Conv2d,
    head: ClassifierHead,
}

const INPUT: Port = f32_port_in(&[axis_of("frame", "frames"), axis("channel"), axis("height"), axis("width")], 0, 1);
/// Units of the last hidden layer.
const FEATURES: i64 = 64;

#[derive(serde::Deserialize)]
struct Config {
    frames: i64,
    channel: i64,
    height: i64,
    width: i64,
    classes: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "video",
        summary: "frames -> score of each class, a small convolutional network",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[fixed("feature", FEATURES)]) },
        ],
        parameters: r#"{
            "frames": {"type": "integer", "minimum": 1},
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 4},
            "width": {"type": "integer", "minimum": 4},
            "classes": {"type": "integer", "minimum": 2, "default": 10}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { frames, channel, height, width, classes } = parameters.read()?;
        elements(&[frames, channel, height, width])?;
        let flat = elements(&[32, height / 4, width / 4]).map_err(|_| {
            Error::Parameters(format!("frames of {width} x {height} are too small; the least is 4 x 4"))
        })?;
        Ok(Classifier {
            fine: Conv2d::new(&(path / "fine"), frames * channel, 24, 5, 2)?,
            coarse: Conv2d::new(&(path / "coarse"), 24, 32, 3, 1)?,
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
        let x = halve(&self.fine.forward(&value.f_flatten(1, 2)?)?.f_relu()?)?;
        self.head.features(&halve(&self.coarse.forward(&x)?.f_relu()?)?, train)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(height: i64) -> Parameters {
        Parameters::new(json!({"frames": 3, "channel": 1, "height": height, "width": 9, "classes": 10}))
    }

    #[test]
    fn videos_become_scores() {
        for height in [4, 7, 28] {
            let variables = nn::VarStore::new(Device::Cpu);
            let module = Classifier::new(&variables.root(), &parameters(height)).unwrap();
            check_network(&variables, &[3, 1, height, 9], &[10], |x| module.score(x, true));
        }
    }

    #[test]
    fn too_small_videos_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for height in [3, 0, -5] {
            assert!(matches!(Classifier::new(&variables.root(), &parameters(height)), Err(Error::Parameters(_))));
        }
    }
}
