//! Guidance.

use super::{Kind, PLAIN};
use crate::surface::form::{Form, Literal, defaulted};

const SCALE: Form = Form::Number { minimum: 0.0, maximum: 1_000.0, above: false };

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "cfg",
        about: "Classifier-free guidance: u + g (c - u), where u is the prediction without conditions; g = 1 is the plain \
                model",
        keys: &[defaulted(
            "scale",
            Form::Or(&SCALE, &Form::Names(&SCALE)),
            Literal::Number(3.0),
            "Scale g for all conditions together, or condition -> g, with one network branch for each",
        )],
        ..PLAIN
    },
    Kind {
        name: "joint",
        about: "Joint guidance: away from the prediction of each generated stream without the other generated streams",
        keys: &[defaulted("scale", SCALE, Literal::Number(3.0), "Scale g; g = 1 is the plain model")],
        ..PLAIN
    },
];
