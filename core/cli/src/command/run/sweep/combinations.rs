//! The combinations of values that a sweep asks for.

use anyflow_plan::Choices;
use serde_json::{Map, Value};

use super::Args;
use crate::combination::Combination;
use crate::error::{CliError, Result};

/// Maximum number of combinations.
const MOST: usize = 1000;

/// The combinations that the options ask for.
pub(super) fn combinations(args: &Args) -> Result<Vec<Combination>> {
    let read = |text: &String| Choices::parse(text).map_err(|errors| CliError::plan(errors, Vec::new()));
    let axes = args.sweep.iter().map(read).collect::<Result<Vec<_>>>()?;
    for (index, axis) in axes.iter().enumerate() {
        if axes[..index].iter().any(|other| other.path == axis.path) {
            return Err(CliError::Usage(format!("--sweep names {} twice; write all its values into one", axis.path)));
        }
    }
    let sets = if args.sweep_zip { zip(&axes)? } else { grid(&axes)? };
    for (index, set) in sets.iter().enumerate() {
        if sets[..index].contains(set) {
            let name = Combination { set: set.clone(), error: None }.folder_name();
            return Err(CliError::Usage(format!("the sweep has {name} twice; name each value once")));
        }
    }
    Ok(sets.into_iter().map(|set| Combination { set, error: None }).collect())
}

/// Every value of each key with every value of the others; the last key varies fastest.
fn grid(axes: &[Choices]) -> Result<Vec<Map<String, Value>>> {
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MOST) {
        let sizes: Vec<String> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
        let text = format!("--sweep asks for {} combinations; at most {MOST}", sizes.join(" x "));
        return Err(CliError::Usage(text));
    }
    let mut sets = vec![Map::new()];
    for axis in axes {
        let with = |set: &Map<String, Value>, value: &Value| {
            let mut set = set.clone();
            set.insert(axis.path.clone(), value.clone());
            set
        };
        sets = sets.iter().flat_map(|set| axis.values.iter().map(move |value| with(set, value))).collect();
    }
    Ok(sets)
}

/// The first values of all keys together, then the second ones, and so on.
fn zip(axes: &[Choices]) -> Result<Vec<Map<String, Value>>> {
    let count = axes.first().map_or(0, |axis| axis.values.len());
    if let Some(other) = axes.iter().find(|axis| axis.values.len() != count) {
        return Err(CliError::Usage(format!(
            "--sweep-zip takes the values one by one, but {} has {count} and {} has {}; name as many for each",
            axes[0].path,
            other.path,
            other.values.len()
        )));
    }
    if count > MOST {
        return Err(CliError::Usage(format!("--sweep asks for {count} combinations; at most {MOST}")));
    }
    let row = |index: usize| axes.iter().map(|axis| (axis.path.clone(), axis.values[index].clone())).collect();
    Ok((0..count).map(row).collect())
}
