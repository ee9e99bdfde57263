//! The module `classifier`.

use anyflow_sdk::layers::{Linear, elements};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, Scorer, descriptor::*,
};

/// Vector -> logits of the classes, one hidden layer. Evaluations use it as an independent judge of generated vectors.
pub struct Classifier {
    hidden: Linear,
    logits: Linear,
}

#[derive(serde::Deserialize)]
struct Config {
    {axis}: i64,
    classes: i64,
    hidden: i64,
}

/// The array of the codec.
const VECTOR: Port = f32_port(&[axis("{axis}")]);

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "{modality}",
        summary: "vector -> logits of the classes, a perceptron",
        roles: &[
            RoleDescriptor { role: Role::Score, input: VECTOR, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: VECTOR, output: f32_port(&[axis_of("feature", "hidden")]) },
        ],
        parameters: r#"{
            "{axis}": {"type": "integer", "minimum": 1},
            "classes": {"type": "integer", "minimum": 2, "default": 2, "description": "number of classes"},
            "hidden": {"type": "integer", "minimum": 1, "default": 32, "description": "width of the hidden layer"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { {axis}, classes, hidden } = parameters.read()?;
        elements(&[{axis}, hidden])?;
        elements(&[classes, hidden])?;
        Ok(Classifier {
            hidden: Linear::new(&(path / "hidden"), {axis}, hidden)?,
            logits: Linear::new(&(path / "logits"), hidden, classes)?,
        })
    }
}

impl Scorer for Classifier {
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.logits.forward(&self.features(value, train)?)
    }
}

impl FeatureExtractor for Classifier {
    /// `train` switches dropout on.
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        Ok(self.hidden.forward(value)?.f_silu()?.f_dropout(0.1, train)?)
    }
}
