//! Finds values that the inferred type would change. Their columns stay text.
//!
//! `007`, `+49`, `12e5` and numbers with more digits than a type holds are usually names, and a name without one of its
//! digits is another name.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

/// Digits that identify an f64.
const MAX_DIGITS: usize = 17;

/// True if `data_type` preserves every text of a column.
pub(super) fn come_back(texts: &ArrayRef, data_type: &DataType) -> bool {
    let all = |keeps: fn(&str) -> bool| texts.as_string::<i32>().iter().flatten().all(keeps);
    match data_type {
        DataType::Utf8 => true,
        DataType::Int64 => all(is_integer),
        DataType::Float64 => all(is_decimal),
        DataType::Boolean => all(|text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        // A time type without zone loses the zone of a text.
        DataType::Timestamp(..) => all(|text| !has_zone(text)) && parses(texts, data_type),
        DataType::Date32 => same(texts, data_type),
        _ => parses(texts, data_type),
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

fn parses(texts: &ArrayRef, data_type: &DataType) -> bool {
    cast(texts, data_type).is_ok_and(|values| values.null_count() == texts.null_count())
}

fn same(texts: &ArrayRef, data_type: &DataType) -> bool {
    let Ok(values) = cast(texts, data_type) else { return false };
    let text = texts.as_string::<i32>();
    let comes_back = |row: usize| array_value_to_string(&values, row).is_ok_and(|back| back == text.value(row));
    (0..text.len()).filter(|row| text.is_valid(*row)).all(comes_back)
}

#[cfg(test)]
mod tests {
    use super::*;

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
