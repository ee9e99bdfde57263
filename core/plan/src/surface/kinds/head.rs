//! Networks of heads.

use super::{COUNT, Kind, PLAIN};
use crate::surface::form::{Literal, defaulted};

pub(super) static KINDS: &[Kind] = &[
    Kind {
        name: "mlp",
        about: "One hidden layer over all features; maps and tokens are averaged first",
        keys: &[defaulted("width", COUNT, Literal::Integer(128), "Width of the hidden layer")],
        ..PLAIN
    },
    Kind {
        name: "conv",
        about: "Two convolutions, from a feature map to a map of the same size",
        keys: &[defaulted("width", COUNT, Literal::Integer(64), "Channels between the convolutions")],
        ..PLAIN
    },
];
