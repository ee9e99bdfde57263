//! Guidance.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Field, ValueForm};

const SCALE: ValueForm = ValueForm::number(0.0, 1_000.0);

kinds! {
    /// The guidance of a diffusion. Scales are g: 1 is the plain model.
    pub enum Guidance("guidance", "guidance") {
        /// Classifier-free guidance: u + g (c - u), where u is the prediction without conditions; g = 1 is the plain model.
        Cfg = "cfg" {
            /// Scale g for all conditions together, or condition -> g, with one network branch for each.
            scale: Scale = Scale::All(3.0);
            /// Condition -> prompt that takes its place in u, for example a description of what to avoid ("negative prompt").
            instead: Option<IndexMap<String, String>>;
        }

        /// Joint guidance: away from the prediction of each generated stream without the other generated streams.
        Joint = "joint" {
            /// Scale g; g = 1 is the plain model.
            scale: f64 [SCALE] = 3.0;
        }
    }
}

/// One scale for all conditions together, or one per condition.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scale {
    /// One branch, in which all conditions are dropped.
    All(f64),
    /// One branch per named condition.
    Each(IndexMap<String, f64>),
}

impl Field for Scale {
    const FORM: ValueForm = ValueForm::Or(&SCALE, &ValueForm::Names(&SCALE));

    fn check_bounds(&self, key: &str, _: &ValueForm) -> Result<(), String> {
        match self {
            Scale::All(scale) => scale.check_bounds(key, &SCALE),
            Scale::Each(scales) => scales.check_bounds(key, &ValueForm::Names(&SCALE)),
        }
    }
}
