//! Classification: a scorer predicts the class of a row.

use anyflow_config::objective::Classify as Options;
use tch::{Kind, Reduction, Tensor};

use super::augment::{noised, shifted};
use super::{ACCURACY, BatchPart, Objective, StepBatch, StepKey, StepLoss};
use crate::table::{RowNeeds, Tuples};
use crate::train::frozen::Setting;
use crate::{Judge, Result};

/// Trains a scorer.
pub struct Classify<'a> {
    options: &'a Options,
    scorer: &'a Judge,
    setting: Setting<'a>,
}

impl<'a> Classify<'a> {
    /// Checks the classes of the table.
    ///
    /// # Errors
    /// The table has a class that the scorer does not have.
    pub fn prepare(options: &'a Options, name: &str, setting: Setting<'a>) -> Result<Self> {
        let scorer = &setting.trainee.scorers[name];
        setting.data.check_classes(name, scorer.classes)?;
        Ok(Classify { options, scorer, setting })
    }
}

impl Objective for Classify<'_> {
    fn unit(&self) -> &'static str {
        "cross-entropy in nats, mean over rows"
    }

    fn needs(&self) -> RowNeeds {
        RowNeeds { all: vec![self.scorer.stream.clone()], class: true, ..RowNeeds::default() }
    }

    /// The disturbed array, and the classes.
    fn gather(&mut self, tuples: &Tuples) -> Result<StepBatch> {
        let device = self.setting.trainee.session.device;
        let array = self.setting.rows(&self.scorer.stream, tuples)?.f_to_device(device)?;
        let classes = Tensor::from_slice(&self.setting.data.classes(tuples)?).f_to_device(device)?;
        let array = noised(shifted(array, self.options.shift)?, self.options.noise)?;
        Ok(StepBatch { tensors: vec![array, classes], ..StepBatch::default() })
    }

    fn loss(&self, part: &BatchPart, _key: StepKey) -> Result<StepLoss> {
        let scores = self.scorer.score(&part.tensors[0], true)?;
        let classes = &part.tensors[1];
        let accuracy = scores.f_argmax(-1, false)?.f_eq_tensor(classes)?.f_mean(Kind::Float)?;
        let loss = scores.f_cross_entropy_loss(classes, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
        Ok(StepLoss { loss, figures: vec![(ACCURACY.into(), accuracy)] })
    }
}
