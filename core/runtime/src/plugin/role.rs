//! Roles of modules at the border: their names in errors, their numbers, their outputs.

use anyflow_abi::torch::role;
use anyflow_plan::descriptor::Role;
use tch::Tensor;

/// The name of a role in errors.
pub(super) fn word(role: Role) -> &'static str {
    match role {
        Role::Encode => "encode",
        Role::Decode => "decode",
        Role::Embed => "embed",
        Role::Align => "align",
        Role::Score => "score",
        Role::Features => "features",
        Role::Perceptual => "perceptual",
        Role::Pool => "pool",
    }
}

/// The number of a role in the ABI.
pub(super) fn number(role: Role) -> u32 {
    match role {
        Role::Encode => role::ENCODE,
        Role::Decode => role::DECODE,
        Role::Embed => role::EMBED,
        Role::Align => role::ALIGN,
        Role::Score => role::SCORE,
        Role::Features => role::FEATURES,
        Role::Perceptual => role::PERCEPTUAL,
        Role::Pool => role::POOL,
    }
}

/// The shape of an output: the rows of the input, then the axes of the role's port.
pub(super) fn promised(input: &Tensor, expected: &[i64]) -> Vec<i64> {
    input.size().first().copied().into_iter().chain(expected.iter().copied()).collect()
}
