//! Noise schedules.

use super::{Kind, PLAIN, POSITIVE};
use crate::surface::form::{Form, Literal, defaulted};

/// The noise rate of one of 1000 steps. A larger rate would erase the signal long before the last step.
const STEP_RATE: Form = Form::Number { minimum: 0.0, maximum: 0.1, above: true };

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "vp-linear",
        about: "Variance preserving; the noise rate is linear in time",
        keys: &[
            defaulted("beta_min", POSITIVE, Literal::Number(0.1), "Noise rate at time 0"),
            defaulted("beta_max", POSITIVE, Literal::Number(20.0), "Noise rate at time 1"),
        ],
        ascending: &[("beta_min", "beta_max")],
        ..PLAIN
    },
    Kind {
        name: "cosine",
        about: "Variance preserving; the signal is a squared cosine of time (Nichol and Dhariwal 2021)",
        keys: &[defaulted(
            "offset",
            Form::Number { minimum: 0.0, maximum: 0.5, above: true },
            Literal::Number(0.008),
            "Offset s, which keeps the noise above 0 at time 0",
        )],
        ..PLAIN
    },
    Kind {
        name: "scaled-linear",
        about: "The 1000 discrete steps of Stable Diffusion; the square root of the noise rate is linear in time",
        keys: &[
            defaulted("beta_start", STEP_RATE, Literal::Number(0.00085), "Noise rate of the first step"),
            defaulted("beta_end", STEP_RATE, Literal::Number(0.012), "Noise rate of the last step"),
        ],
        ascending: &[("beta_start", "beta_end")],
        ..PLAIN
    },
    Kind {
        name: "karras",
        about: "The noise levels of EDM (Karras et al. 2022), scaled to preserve variance",
        keys: &[
            defaulted(
                "sigma_min",
                Form::Number { minimum: 0.0, maximum: 0.5, above: true },
                Literal::Number(0.002),
                "Smallest noise-to-signal ratio above 0",
            ),
            defaulted(
                "sigma_max",
                Form::Number { minimum: 1.0, maximum: 10_000.0, above: false },
                Literal::Number(80.0),
                "Noise-to-signal ratio at time 1",
            ),
            defaulted(
                "rho",
                Form::Number { minimum: 1.0, maximum: 20.0, above: false },
                Literal::Number(7.0),
                "Exponent of the spacing; larger values give more low noise levels",
            ),
        ],
        ..PLAIN
    },
    Kind { name: "flow", about: "A straight line from data to noise (rectified flow)", ..PLAIN },
];
