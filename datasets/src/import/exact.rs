//! Finds values that the inferred type would change. Their columns stay text.
//!
//! `007`, `+49`, `12e5` and numbers with more digits than a type holds are usually names, and a name without one of its
//! digits is another name. So is `1.10` in a column of versions, which `1.1` would replace.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

/// Digits that identify an f64.
const MAX_DIGITS: usize = 17;

/// The digits behind the points of a column of decimals. A column of figures has them all to the same digit, as prices, or drops
/// zeros at the end, as programs do; a column that does neither is of names, such as versions, where `1.10` is not `1.1`.
#[derive(Default)]
pub(super) struct Fractions {
    length: Option<usize>,
    lengths_differ: bool,
    /// The first value with a zero at the end, other than `1.0`.
    padded: Option<String>,
}

impl Fractions {
    /// Notes the values of a column.
    pub(super) fn add(&mut self, texts: &ArrayRef) {
        texts.as_string::<i32>().iter().flatten().for_each(|text| self.add_one(text));
    }

    fn add_one(&mut self, text: &str) {
        let Some((_, fraction)) =
            text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|b| b.is_ascii_digit()))
        else {
            return;
        };
        self.lengths_differ |= *self.length.get_or_insert(fraction.len()) != fraction.len();
        if self.padded.is_none() && fraction.len() > 1 && fraction.ends_with('0') {
            self.padded = Some(text.to_string());
        }
    }

    /// The first value that would lose a zero which tells it from another; `None` for figures.
    pub(super) fn first_name(self) -> Option<String> {
        self.padded.filter(|_| self.lengths_differ)
    }
}

/// The first text of a column that `data_type` would change.
pub(super) fn first_changed(texts: &ArrayRef, data_type: &DataType) -> Option<String> {
    let words = texts.as_string::<i32>();
    let find = |keeps: &dyn Fn(&str) -> bool| words.iter().flatten().find(|text| !keeps(text)).map(str::to_string);
    match data_type {
        DataType::Utf8 => None,
        DataType::Int64 => find(&is_integer),
        DataType::Float64 => find(&is_decimal),
        DataType::Boolean => find(&|text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        // A time type without zone loses the zone of a text.
        DataType::Timestamp(..) => find(&|text| !has_zone(text)).or_else(|| first_unparsed(texts, data_type)),
        DataType::Date32 => first_respelled(texts, data_type),
        _ => first_unparsed(texts, data_type),
    }
}

/// True for a 64-bit integer in the usual notation of programs.
pub(super) fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|value| value.to_string() == text)
}

/// True for a number that an f64 preserves to its last digit, in the usual notation of programs.
pub(super) fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let plain = !whole.is_empty() && [whole, fraction].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    // With an exponent, programs write one digit before the point; `12e5` is a name.
    if !plain || leading_zero || (exponent.is_some() && whole.len() != 1) {
        return false;
    }
    let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else { return false };
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    // The f64 must print as the same digits.
    match digits.trim_end_matches('0').len() {
        0 => true,
        count if count < 16 => value != 0.0,
        count if count > MAX_DIGITS => false,
        count => written(value.abs(), count) == digits[..count],
    }
}

/// The first `digits` digits of a value, without point and exponent.
fn written(value: f64, digits: usize) -> String {
    let text = format!("{value:.*e}", digits - 1);
    text.split('e').next().unwrap_or_default().replace('.', "")
}

fn has_zone(text: &str) -> bool {
    let time = text.split_once(['T', ' ']).map_or("", |(_, time)| time);
    time.contains(['+', '-', 'Z', 'z'])
}

/// The first text that is not a value of `data_type`.
fn first_unparsed(texts: &ArrayRef, data_type: &DataType) -> Option<String> {
    let words = texts.as_string::<i32>();
    let values = cast(texts, data_type).ok();
    let is_lost = |row: &usize| words.is_valid(*row) && values.as_ref().is_none_or(|values| values.is_null(*row));
    (0..words.len()).find(is_lost).map(|row| words.value(row).to_string())
}

/// The first text that a value of `data_type` would be written differently from.
fn first_respelled(texts: &ArrayRef, data_type: &DataType) -> Option<String> {
    let words = texts.as_string::<i32>();
    let Ok(values) = cast(texts, data_type) else { return first_unparsed(texts, data_type) };
    let comes_back = |row: usize| array_value_to_string(&values, row).is_ok_and(|back| back == words.value(row));
    let row = (0..words.len()).find(|row| words.is_valid(*row) && !comes_back(*row));
    row.map(|row| words.value(row).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_names_and_figures_are_not() {
        let first_name = |texts: &[&str]| {
            let mut fractions = Fractions::default();
            texts.iter().for_each(|text| fractions.add_one(text));
            fractions.first_name()
        };
        for names in [&["1.9", "1.10", "1.1"][..], &["1.1", "1.10"], &["0.20", "0.3"], &["2", "1.10", "1.9"]] {
            assert!(first_name(names).is_some(), "{names:?}");
        }
        let figures = [
            &["1.50", "2.25", "10.00"][..],
            &["1.0", "0.5", "0.25"],
            &["10", "2.50", "3.75"],
            &["1.5e10", "0.25"],
            &["x.10", "y.1"][..1],
            &["1.125", "0.5"],
        ];
        for figures in figures {
            assert_eq!(first_name(figures), None, "{figures:?}");
        }
    }

    #[test]
    fn names_of_digits_stay_text() {
        for text in ["0", "7", "-7", "9223372036854775807"] {
            assert!(is_integer(text), "{text}");
        }
        for text in ["007", "+7", "-0", "9223372036854775808", "12345678901234567890123", " 7", "7 ", ""] {
            assert!(!is_integer(text), "{text}");
        }
        for text in
            ["0.5", "-1.25", "1.50", "3", "1e-5", "1e-05", "1.5E+20", "0.1", "0.30000000000000004", "0.0", "1.0"]
        {
            assert!(is_decimal(text), "{text}");
        }
        let odd = [
            "00.5",
            "+1.5",
            "12e5",
            ".5",
            "1.e",
            "1e999",
            "9007199254740993",
            "9007199254740993.0",
            "NaN",
            "0x1",
            "0.1234567890123456789",
            "1_0",
        ];
        for text in odd {
            assert!(!is_decimal(text), "{text}");
        }
    }
}
