//! Sums the figures of the steps between two lines of metrics, on the device.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::Result;

/// The figures of a step, such as its loss: scalars without gradient, on the device.
#[derive(Default)]
pub struct StepFigures {
    figures: IndexMap<String, Tensor>,
}

impl StepFigures {
    /// Adds the figures of a part of the step, weighted by its share of the step's rows.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn add(&mut self, part: Vec<(String, Tensor)>, share: f64) -> Result<()> {
        for (name, value) in part {
            let value = if share == 1.0 { value.f_detach()? } else { value.f_detach()?.f_mul_scalar(share)? };
            if let Some(sum) = self.figures.get_mut(&name) {
                let _ = sum.f_add_(&value)?;
            } else {
                self.figures.insert(name, value);
            }
        }
        Ok(())
    }

    /// Returns a figure by name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.figures.get(name)
    }
}

/// Sums since the last line of metrics, in f64.
#[derive(Default)]
pub struct Recent {
    steps: u64,
    sums: IndexMap<String, Tensor>,
}

impl Recent {
    /// Adds a step, without reading from the device.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn add(&mut self, step: StepFigures) -> Result<()> {
        self.steps += 1;
        for (name, value) in step.figures {
            if let Some(sum) = self.sums.get_mut(&name) {
                let _ = sum.f_add_(&value)?;
            } else {
                self.sums.insert(name, value.f_to_kind(Kind::Double)?);
            }
        }
        Ok(())
    }

    /// Returns a line of metrics with the means over the steps, and resets the sums.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn take(&mut self, stage: &str, step: u64, lr: f64, elapsed: Duration) -> Result<Value> {
        let recent = std::mem::take(self);
        let mut line = json!({ "stage": stage, "step": step });
        for (name, sum) in &recent.sums {
            line[name] = (sum.f_double_value(&[])? / recent.steps as f64).into();
        }
        line["lr"] = lr.into();
        line["seconds"] = elapsed.as_secs_f64().into();
        Ok(line)
    }
}
