//! Distributions of training times.

use super::{Kind, PLAIN};
use crate::surface::form::{Form, Key, Literal, defaulted, required};

const DENSITY: Key = defaulted(
    "density",
    Form::Choice(&["uniform", "logit-normal"]),
    Literal::Word("uniform"),
    "Density of the times: uniform, or logit-normal, which prefers the middle",
);

const PER_FORM: Form = Form::Choice(&["sample", "batch"]);

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "subset-shared",
        about: "A random subset of the streams is observed (clean); the others share one time",
        keys: &[
            defaulted("p_cond", Form::FRACTION, Literal::Number(0.5), "Probability that some streams are observed"),
            defaulted(
                "p_absent",
                Form::FRACTION,
                Literal::Number(0.0),
                "Probability that some observed streams are absent",
            ),
            defaulted("per", PER_FORM, Literal::Word("sample"), "Draw a subset per sample or per batch"),
            DENSITY,
        ],
        ..PLAIN
    },
    Kind { name: "independent", about: "A time per stream", keys: &[DENSITY], ..PLAIN },
    Kind {
        name: "shared-all",
        about: "One time for all streams",
        keys: &[
            defaulted(
                "per",
                PER_FORM,
                Literal::Word("sample"),
                "Draw a time per sample or per batch. Use `batch` with a contrastive loss on coupled streams, or the loss \
                 can distinguish rows by their noise level",
            ),
            DENSITY,
        ],
        ..PLAIN
    },
    Kind {
        name: "alternating",
        about: "Patterns of noisy, clean and absent streams in turn, with a time per noisy stream",
        keys: &[
            required(
                "patterns",
                Form::List(&Form::Names(&Form::Choice(&["noisy", "clean", "absent"]))),
                "Patterns: stream -> state; streams that a pattern does not name are absent",
            ),
            defaulted(
                "per",
                PER_FORM,
                Literal::Word("sample"),
                "Alternate from row to row, so that every step sums all losses (`sample`), or from step to step (`batch`)",
            ),
            DENSITY,
        ],
        ..PLAIN
    },
];
