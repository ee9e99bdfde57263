//! Tokens: what codecs of text give to text encoders with published weights.

use crate::descriptor::{Port, axis_of, fixed};

/// `[part, token]`, i64: part 0 has the ids of the tokens, part 1 is 1 for tokens of the text and 0 for padding.
pub const TOKENS: Port = Port { dtype: "i64", axes: &[fixed("part", 2), axis_of("token", "length")], range: None };
