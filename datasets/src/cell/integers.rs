//! Integers of a column: numbers of any width, whole floats, numbers in digits, and words that name classes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::array_value_to_string;

use super::{convert, is_text, number, text_at};
use crate::error::Result;
use crate::spelling::nfc;

/// The most classes that a message lists.
const SHOWN_CLASSES: usize = 12;

/// Integers, and their original column for the reason why a row has none.
#[derive(Clone, Debug)]
pub(super) struct Integers {
    values: Int64Array,
    column: ArrayRef,
    /// Names of classes, if words were looked up in them.
    classes: Arc<[String]>,
}

impl Integers {
    /// The numbers of a column of integers. Unsigned ones may be too large for i64.
    pub(super) fn new(column: &ArrayRef) -> Result<Integers> {
        let values = number(column, &DataType::Int64, true)?.as_primitive::<Int64Type>().clone();
        Ok(Integers { values, column: column.clone(), classes: Arc::default() })
    }

    /// The numbers of a column of floats, as far as they are whole.
    pub(super) fn whole(column: &ArrayRef) -> Result<Integers> {
        let floats = convert(column, &DataType::Float64)?;
        let values = floats.as_primitive::<Float64Type>().iter().map(|value| value.and_then(whole)).collect();
        Ok(Integers { values, column: column.clone(), classes: Arc::default() })
    }

    /// The whole numbers that a column of text spells, such as `7` and `3.0`.
    pub(super) fn of_digits(column: &ArrayRef) -> Integers {
        let spelled = |row: usize| column.is_valid(row).then(|| spelled(text_at(column, row))).flatten();
        let values = (0..column.len()).map(spelled).collect();
        Integers { values, column: column.clone(), classes: Arc::default() }
    }

    /// The place of each word of a column among `classes`.
    pub(super) fn of_words(column: &ArrayRef, classes: &[String]) -> Integers {
        let place = |row: usize| column.is_valid(row).then(|| place(text_at(column, row), classes)).flatten();
        let values = (0..column.len()).map(place).collect();
        Integers { values, column: column.clone(), classes: classes.into() }
    }

    /// The same classes under the numbers that `classes` give to their names; `own` are the names by number here.
    pub(super) fn renumbered(&self, own: &[String], classes: &[String]) -> Integers {
        let name = |number: i64| usize::try_from(number).ok().and_then(|number| own.get(number));
        let values = self.values.iter().map(|number| place(name(number?)?, classes)).collect();
        let word = |number: Option<i64>| number.map(|number| name(number).cloned().unwrap_or(number.to_string()));
        let words: arrow::array::StringArray = self.values.iter().map(word).collect();
        Integers { values, column: Arc::new(words), classes: classes.into() }
    }

    /// The number of a row that is not null; the error is a reason in words.
    pub(super) fn get(&self, row: usize) -> Result<i64, String> {
        if self.values.is_valid(row) {
            return Ok(self.values.value(row));
        }
        let found = array_value_to_string(&self.column, row).unwrap_or_default();
        Err(match self.column.data_type() {
            data_type if data_type.is_floating() => format!("the number {found} is not a whole number"),
            data_type if is_text(data_type) && self.classes.is_empty() => {
                format!("the text `{found}` is not a whole number, and the model's classes have no names")
            }
            data_type if is_text(data_type) => {
                let mut classes: Vec<&str> = self.classes.iter().take(SHOWN_CLASSES).map(String::as_str).collect();
                if self.classes.len() > SHOWN_CLASSES {
                    classes.push("...");
                }
                let classes = classes.join(", ");
                match spelled(&found) {
                    Some(_) => format!(
                        "the text `{found}` names no class; the classes are {classes}; numbers of classes are read from a \
                         column of integers"
                    ),
                    None => format!("the word `{found}` names no class; the classes are {classes}"),
                }
            }
            _ => format!("the number {found} exceeds the largest signed 64-bit integer, {}", i64::MAX),
        })
    }
}

fn whole(value: f64) -> Option<i64> {
    let fits = value.fract() == 0.0 && value >= i64::MIN as f64 && value < i64::MAX as f64;
    fits.then_some(value as i64)
}

fn spelled(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

fn place(word: &str, classes: &[String]) -> Option<i64> {
    let word = nfc(word);
    classes.iter().position(|class| nfc(class) == word).map(|place| place as i64)
}
