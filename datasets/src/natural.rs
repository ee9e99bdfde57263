//! The order of file names: numbers in them by their value, so that `part-2` comes before `part-10`.

use std::cmp::Ordering;
use std::path::Path;

/// Compares paths part by part; runs of digits compare by their value, all else byte by byte. Paths that differ only in
/// leading zeros keep the order of bytes.
pub(crate) fn by_number(a: &Path, b: &Path) -> Ordering {
    let mut parts = a.components().zip(b.components());
    let differing = parts.find_map(|(a, b)| {
        let order = compare(a.as_os_str().as_encoded_bytes(), b.as_os_str().as_encoded_bytes());
        (order != Ordering::Equal).then_some(order)
    });
    differing.unwrap_or_else(|| a.components().count().cmp(&b.components().count())).then_with(|| a.cmp(b))
}

fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        let order = match (digits_a.is_empty(), digits_b.is_empty()) {
            (false, false) => {
                (a, b) = (&a[digits_a.len()..], &b[digits_b.len()..]);
                let (value_a, value_b) = (significant(digits_a), significant(digits_b));
                value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(value_b))
            }
            _ => match (a.split_first(), b.split_first()) {
                (Some((first_a, rest_a)), Some((first_b, rest_b))) => {
                    (a, b) = (rest_a, rest_b);
                    first_a.cmp(first_b)
                }
                (first_a, first_b) => return first_a.is_some().cmp(&first_b.is_some()),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The digits at the start.
fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// The digits without leading zeros.
fn significant(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    &digits[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.sort_by(|a, b| by_number(Path::new(a), Path::new(b)));
        names
    }

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let ordered =
            ["a/9.png", "a/10.png", "part-1.parquet", "part-2.parquet", "part-10.parquet", "part-a", "x10y2", "x10y11"];
        let mut shuffled = ordered;
        shuffled.reverse();
        assert_eq!(sorted(&shuffled), ordered);
        assert_eq!(sorted(&["10/a", "9/b", "9/a"]), ["9/a", "9/b", "10/a"]);
        assert_eq!(sorted(&["shard-00010", "shard-00009"]), ["shard-00009", "shard-00010"]);
        let long = ["n99999999999999999999999", "n100000000000000000000000"];
        assert_eq!(sorted(&[long[1], long[0]]), long, "numbers of any length");
    }

    #[test]
    fn the_order_is_total() {
        let names = ["7", "007", "07", "a", "a7", "a07", "a7b", "", "a/b", "a/7", "A", "ä7", "a-", "a.7", "a 7"];
        for a in names {
            for b in names {
                let order = by_number(Path::new(a), Path::new(b));
                assert_eq!(order == Ordering::Equal, a == b, "{a} {b}");
                assert_eq!(order, by_number(Path::new(b), Path::new(a)).reverse(), "{a} {b}");
                for c in names {
                    if order.is_lt() && by_number(Path::new(b), Path::new(c)).is_lt() {
                        assert!(by_number(Path::new(a), Path::new(c)).is_lt(), "{a} {b} {c}");
                    }
                }
            }
        }
        assert_eq!(sorted(&["7", "007", "07"]), ["007", "07", "7"]);
    }
}
