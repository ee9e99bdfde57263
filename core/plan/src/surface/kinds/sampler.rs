//! Samplers.

use super::{COUNT, Kind, PLAIN};
use crate::surface::form::{Form, Key, Literal, Mapping, defaulted, optional};

/// Keys that every sampler has.
pub(super) static SHARED: &[Key] = &[
    defaulted(
        "steps",
        COUNT,
        Literal::Integer(50),
        "Sampling steps. A step is one network call per row; with `heun` it is two, except in the last step",
    ),
    optional(
        "start_at",
        Form::Number { minimum: 0.0, maximum: 1.0, above: true },
        "Strength of SDEdit: time at which sampling starts. Below 1 it starts from partly noised data",
    ),
    optional("resample", Form::Mapping(&JUMPS), "Noise the state back and sample it again (RePaint)"),
];

/// Pairs of shared keys of which the first must not be larger.
pub(super) static ASCENDING: &[(&str, &str)] = &[("resample.jump", "steps")];

static JUMPS: Mapping = Mapping {
    name: "sampler.resample",
    keys: &[
        defaulted("jump", COUNT, Literal::Integer(10), "Steps that a jump goes back"),
        defaulted(
            "times",
            Form::Integer { minimum: 1, maximum: 100 },
            Literal::Integer(10),
            "Number of passes over each stretch of `jump` steps",
        ),
    ],
};

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "ddim",
        about: "DDIM (Song et al. 2021); `eta: 1` has the variance of DDPM",
        keys: &[defaulted(
            "eta",
            Form::FRACTION,
            Literal::Number(0.0),
            "Fraction of the posterior variance added as noise",
        )],
        ..PLAIN
    },
    Kind {
        name: "euler-maruyama",
        about: "Euler-Maruyama for the reverse SDE, in equal steps of time",
        defaults: &[("steps", Literal::Integer(250))],
        ..PLAIN
    },
    Kind {
        name: "ddpm",
        about: "Ancestral sampling from the posterior of every step (Ho et al. 2020)",
        defaults: &[("steps", Literal::Integer(1000))],
        ..PLAIN
    },
    Kind { name: "euler", about: "Euler's method in the noise-to-signal ratio, first order", ..PLAIN },
    Kind {
        name: "euler-ancestral",
        about: "An Euler step to a lower noise level, then fresh noise up to the next one",
        keys: &[defaulted("eta", Form::FRACTION, Literal::Number(1.0), "Fraction of fresh noise per step")],
        ..PLAIN
    },
    Kind {
        name: "heun",
        about: "Heun's method in the noise-to-signal ratio, second order (Karras et al. 2022)",
        defaults: &[("steps", Literal::Integer(25))],
        ..PLAIN
    },
    Kind {
        name: "dpmpp-2m",
        about: "DPM-Solver++, multistep, second order (Lu et al. 2022)",
        defaults: &[("steps", Literal::Integer(20))],
        ..PLAIN
    },
    Kind {
        name: "dpmpp-3m",
        about: "DPM-Solver++, multistep, third order (Lu et al. 2022)",
        defaults: &[("steps", Literal::Integer(20))],
        ..PLAIN
    },
    Kind {
        name: "unipc",
        about: "UniPC, predictor and corrector of order 2 (Zhao et al. 2023)",
        defaults: &[("steps", Literal::Integer(20))],
        ..PLAIN
    },
];
