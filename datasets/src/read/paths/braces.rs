//! Braces in patterns, as shells and the library `webdataset` write them: `{000..012}` and `{train,val}`.

/// The most numbers of a range.
const MOST: u64 = 100_000;

/// The patterns that a pattern with braces stands for, in order.
pub(super) fn expanded(pattern: &str) -> Vec<String> {
    let Some((before, inside, after)) = parts(pattern) else { return vec![pattern.to_string()] };
    let choices = range(inside).unwrap_or_else(|| inside.split(',').map(str::to_string).collect());
    choices.iter().flat_map(|choice| expanded(&format!("{before}{choice}{after}"))).collect()
}

/// What is before, inside and after the first braces with a range or a list.
fn parts(pattern: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    (range(inside).is_some() || inside.contains(',')).then_some((before, inside, after))
}

/// The numbers of `000..012`, with leading zeros if the first one has some.
fn range(inside: &str) -> Option<Vec<String>> {
    let (first, last) = inside.split_once("..")?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (from, to) = (number(first)?, number(last)?);
    let width = if first.starts_with('0') { first.len() } else { 0 };
    (from <= to && to - from < MOST).then(|| (from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists_stand_for_several_names() {
        for (pattern, names) in [
            ("s-{000..002}.tar", &["s-000.tar", "s-001.tar", "s-002.tar"][..]),
            ("{9..11}", &["9", "10", "11"]),
            ("{train,val}/{0..1}.tar", &["train/0.tar", "train/1.tar", "val/0.tar", "val/1.tar"]),
            ("{a}.tar", &["{a}.tar"]),
            ("{3..1}", &["{3..1}"]),
            ("{0..99999999}", &["{0..99999999}"]),
            ("plain*", &["plain*"]),
        ] {
            assert_eq!(expanded(pattern), names, "{pattern}");
        }
    }
}
