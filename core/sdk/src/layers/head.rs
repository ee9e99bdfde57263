//! The last layers of a classifier.

use tch::{Tensor, nn};

use super::{Linear, elements};
use crate::Error;

/// Share of the activations that are dropped in training.
const DROPOUT: f64 = 0.3;

/// Flattened activations -> `features` ReLU units -> score of each class, with dropout of the activations in training.
pub struct ClassifierHead {
    hidden: Linear,
    scores: Linear,
}

impl ClassifierHead {
    /// Makes the layers `hidden` and `scores` under `path`, for `inputs` activations per row.
    ///
    /// # Errors
    /// [`Error::Parameters`] if a size is not positive or far too large.
    pub fn new(path: &nn::Path<'_>, inputs: i64, features: i64, classes: i64) -> Result<Self, Error> {
        elements(&[inputs.max(classes), features])?;
        elements(&[classes])?;
        Ok(ClassifierHead {
            hidden: Linear::new(&(path / "hidden"), inputs, features)?,
            scores: Linear::new(&(path / "scores"), features, classes)?,
        })
    }

    /// Maps activations `x: [row, ..]` to `[row, feature]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the shape does not fit.
    pub fn features(&self, x: &Tensor, train: bool) -> Result<Tensor, Error> {
        let x = x.f_flatten(1, -1)?.f_dropout(DROPOUT, train)?;
        Ok(self.hidden.forward(&x)?.f_relu()?)
    }

    /// Maps `features: [row, feature]` to logits `[row, class]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the shape does not fit.
    pub fn scores(&self, features: &Tensor) -> Result<Tensor, Error> {
        self.scores.forward(features)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn activations_become_features_and_scores() {
        let variables = nn::VarStore::new(Device::Cpu);
        let head = ClassifierHead::new(&variables.root(), 6, 4, 3).unwrap();
        let mut named: Vec<String> = variables.variables().into_keys().collect();
        named.sort();
        assert_eq!(named, ["hidden.bias", "hidden.weight", "scores.bias", "scores.weight"]);
        let x = Tensor::rand([5, 2, 3], (Kind::Float, Device::Cpu));
        let features = head.features(&x, false).unwrap();
        let all = variables.variables();
        let wanted = x.flatten(1, -1).linear(&all["hidden.weight"], Some(&all["hidden.bias"])).relu();
        assert_eq!(features, wanted, "no dropout outside of training");
        assert_eq!(head.scores(&features).unwrap().size(), [5, 3]);
        assert!(matches!(ClassifierHead::new(&variables.root(), 6, 4, 0), Err(Error::Parameters(_))));
    }
}
