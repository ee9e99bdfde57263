//! Optimizers.

use super::{Kind, NOT_NEGATIVE, PLAIN, POSITIVE};
use crate::surface::form::{Form, Literal, defaulted};

const UPDATES: Form = Form::integer_from(0);

pub(super) static KINDS: &[Kind] = &[Kind {
    name: "adamw",
    about: "Adam with decoupled weight decay",
    keys: &[
        defaulted("lr", POSITIVE, Literal::Number(1.0e-3), "Peak learning rate"),
        defaulted("warmup", UPDATES, Literal::Integer(0), "Steps of linear warmup"),
        defaulted(
            "decay",
            Form::Choice(&["constant", "cosine"]),
            Literal::Word("constant"),
            "Learning rate after the warmup",
        ),
        defaulted("weight_decay", NOT_NEGATIVE, Literal::Number(0.0), "Weight decay"),
        defaulted("max_grad_norm", NOT_NEGATIVE, Literal::Number(1.0), "Maximum norm of the gradient; 0 for no limit"),
    ],
    ..PLAIN
}];
