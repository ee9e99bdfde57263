//! One row of a WebDataset.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Cut, ID, Member, names};
use crate::cell::OwnedCell;
use crate::feature::{CellKind, Feature, Features};
use crate::rows::Value;

/// The members of one row so far.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) key: String,
    values: IndexMap<String, Value>,
    /// The columns of its members, also of those that are no values.
    pub(super) columns: BTreeSet<String>,
    /// Names of the members, for the count of those that are left out.
    pub(super) members: Vec<String>,
    /// Why the row is left out.
    pub(super) bad: Option<String>,
    /// True if the file ends within a member.
    pub(super) was_cut: bool,
}

impl Sample {
    pub(super) fn new(key: &str) -> Sample {
        Sample { key: key.to_string(), ..Sample::default() }
    }

    /// Adds a member. A member that its column cannot hold makes the row bad.
    pub(super) fn add(&mut self, extension: &str, member: &mut Member<'_>) -> Result<(), Cut> {
        let (column, feature) = names::member(extension);
        self.members.push(member.name.to_string());
        let bytes = member.read().inspect_err(|_| self.was_cut = true)?;
        self.columns.insert(column.clone());
        let value = match value(bytes, &feature, member.name) {
            Ok(value) => value,
            Err(reason) => {
                self.bad.get_or_insert(format!("member {}: {reason}", member.name));
                return Ok(());
            }
        };
        if self.values.insert(column.clone(), value).is_some() {
            let name = member.name;
            self.bad.get_or_insert(format!(
                "{name} is the second {column} of its row; give it another name before the extension"
            ));
        }
        Ok(())
    }

    pub(super) fn into_row(mut self, features: &Features) -> Vec<Value> {
        self.values.insert(ID.into(), Value::text(self.key));
        features.keys().map(|column| self.values.swap_remove(column).unwrap_or(Value::Null)).collect()
    }
}

fn value(bytes: Vec<u8>, feature: &Feature, name: &str) -> Result<Value, String> {
    if feature.is_media() {
        return Ok(Value::File { bytes, name: name.to_string() });
    }
    if feature.cell() == Some(CellKind::Bytes) {
        return Ok(Value::Cell(OwnedCell::Bytes(bytes)));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_string())?;
    if feature.cell() == Some(CellKind::Utf8) {
        return Ok(Value::text(text));
    }
    let number = text.trim().parse().map_err(|_| format!("`{}` is not an integer", text.trim()))?;
    Ok(Value::Cell(OwnedCell::I64(number)))
}
