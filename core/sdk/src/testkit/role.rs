//! The roles of a module with known axis sizes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::chance::Chance;
use super::descriptor::{self, Port};
use super::schema;
use crate::abi::torch::role;

/// Why the check of odd sizes is skipped.
pub(super) const FIXED_SIZES: &str = "no parameter changes the size of an axis";

/// One role of a module with fixed parameters.
pub(super) struct Role<'a> {
    pub name: &'a str,
    pub number: u32,
    pub input: (&'a Port, Vec<i64>),
    pub output: (&'a Port, Vec<i64>),
}

impl<'a> Role<'a> {
    /// All roles of a module.
    pub fn all(module: &'a descriptor::Module, parameters: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let role = |role: &'a descriptor::Role| {
            let number = number(&role.role).ok_or_else(|| format!("there is no role `{}`", role.role))?;
            let input = (&role.input, role.input.sizes(parameters)?);
            let output = (&role.output, role.output.sizes(parameters)?);
            Ok(Role { name: &role.role, number, input, output })
        };
        module.roles.iter().map(role).collect()
    }

    /// Random values that the input port may carry, for `rows` rows.
    pub fn values(&self, rows: usize) -> Vec<f64> {
        let (port, sizes) = &self.input;
        Chance::new(3).values(port, rows * sizes.iter().product::<i64>() as usize)
    }

    /// Bytes of a row of the smaller of its two arrays, with elements of four bytes.
    fn row_bytes(&self) -> usize {
        let bytes = |sizes: &[i64]| 4 * sizes.iter().product::<i64>().max(1) as usize;
        bytes(&self.input.1).min(bytes(&self.output.1))
    }
}

/// The roles in one line, for people.
pub(super) fn listed(roles: &[Role<'_>]) -> String {
    let role = |role: &Role<'_>| format!("{} {:?} -> {:?}", role.name, role.input.1, role.output.1);
    roles.iter().map(role).collect::<Vec<_>>().join(", ")
}

/// The number of a role that the module does not have.
pub(super) fn absent(roles: &[Role<'_>]) -> u32 {
    (1..=32).find(|number| roles.iter().all(|role| role.number != *number)).unwrap_or(99)
}

/// The number of rows of a batch for measuring leaks, and the bytes of its smallest array.
pub(super) fn leak_batch(roles: &[Role<'_>]) -> (usize, usize) {
    /// Bytes of the smallest array.
    const BYTES: usize = 64 << 10;
    /// The most rows.
    const ROWS: usize = 1024;
    let smallest = roles.iter().map(Role::row_bytes).min().unwrap_or(4);
    let rows = (BYTES / smallest).clamp(1, ROWS);
    (rows, smallest * rows)
}

/// Variants of the parameters with one axis of another size, each with its name and size in words.
pub(super) fn odd_sizes(
    module: &descriptor::Module,
    parameters: &Map<String, Value>,
) -> Vec<(String, Map<String, Value>)> {
    let ports = module.roles.iter().flat_map(|role| [&role.input, &role.output]);
    let names: BTreeSet<&str> = ports.flat_map(Port::parameters).collect();
    let tries = names.into_iter().flat_map(|name| [1, 7, 33].map(|wanted| (name, wanted)));
    let odd = |(name, wanted): (&str, i64)| {
        let size = schema::small(&module.parameters[name], wanted)?;
        let mut odd = parameters.clone();
        odd.insert(name.into(), size.into());
        Some((format!("{name} {size}"), odd))
    };
    tries.filter_map(odd).collect()
}

fn number(name: &str) -> Option<u32> {
    Some(match name {
        "encode" => role::ENCODE,
        "decode" => role::DECODE,
        "embed" => role::EMBED,
        "align" => role::ALIGN,
        "score" => role::SCORE,
        "features" => role::FEATURES,
        "perceptual" => role::PERCEPTUAL,
        "pool" => role::POOL,
        _ => return None,
    })
}
