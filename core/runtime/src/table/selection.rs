//! The rows of a table that a stage or an evaluation uses, and their partners in other sources.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;

use super::Tuples;
use super::source::SourceRows;

/// What a row must have to be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowNeeds {
    /// Streams that a row must have.
    pub all: Vec<String>,
    /// Streams of which a row must have at least one. Streams of several sources are not checked, because each step draws
    /// other partners.
    pub any: Vec<String>,
    /// True if a row must have a class.
    pub class: bool,
}

impl fmt::Display for RowNeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend((!self.all.is_empty()).then(|| self.all.join(" or ")));
        parts.extend((!self.any.is_empty()).then(|| self.any.join(" and ")));
        parts.extend(self.class.then(|| "the class".to_string()));
        f.write_str(&parts.join(" or "))
    }
}

/// Joined rows of a table, from which tuples are drawn.
pub struct Selection {
    /// Rows of the first source that have partners in all other sources.
    leaders: Vec<i64>,
    /// The other sources.
    partners: Vec<Partners>,
}

/// The rows of a source after the first, grouped by their join value.
struct Partners {
    groups: Vec<Vec<i64>>,
    /// The group of each leader.
    of_leader: Vec<u32>,
}

impl Selection {
    /// The tuples of these sources' rows that meet `needs`.
    pub(super) fn of<A>(sources: &IndexMap<String, SourceRows<A>>, needs: &RowNeeds) -> Self {
        let Some(first) = sources.values().next() else {
            return Selection { leaders: Vec::new(), partners: Vec::new() };
        };
        let by_value: Vec<_> = sources.values().skip(1).map(|source| groups(source, needs)).collect();
        let has_partners =
            |row: &i64| by_value.iter().all(|groups| groups.contains_key(first.join[*row as usize].as_str()));
        let leaders: Vec<i64> = usable(first, needs).filter(has_partners).collect();
        let partners = by_value.into_iter().map(|by_value| {
            let numbers: BTreeMap<&str, u32> = by_value.keys().copied().zip(0..).collect();
            let of_leader = leaders.iter().map(|row| numbers[first.join[*row as usize].as_str()]).collect();
            Partners { groups: by_value.into_values().collect(), of_leader }
        });
        let partners = partners.collect();
        Selection { leaders, partners }
    }

    /// Number of tuples per epoch: the rows of the first source that have partners.
    pub fn rows(&self) -> usize {
        self.leaders.len()
    }

    /// True if every row has exactly one partner in each other source.
    pub fn is_matched_one_to_one(&self) -> bool {
        self.partners.iter().all(|partners| partners.groups.iter().all(|rows| rows.len() == 1))
    }

    /// Draws partners for these leaders. `uniform(tuple, source)` in [0, 1) chooses among the partners.
    pub fn tuples(&self, picks: &[usize], uniform: impl Fn(usize, usize) -> f64) -> Tuples {
        let leading: Vec<i64> = picks.iter().map(|pick| self.leaders[*pick]).collect();
        let mut rows = vec![leading];
        for (i, partners) in self.partners.iter().enumerate() {
            let partner = |(tuple, pick): (usize, &usize)| {
                let group = &partners.groups[partners.of_leader[*pick] as usize];
                let at = (uniform(tuple, i + 1) * group.len() as f64) as usize;
                group[at.min(group.len() - 1)]
            };
            rows.push(picks.iter().enumerate().map(partner).collect());
        }
        Tuples { rows }
    }
}

/// The rows of a source that meet the needs for its streams and its class.
fn usable<A>(source: &SourceRows<A>, needs: &RowNeeds) -> impl Iterator<Item = i64> {
    let missing = |stream: &String| source.missing.get(stream);
    let all: Vec<_> = needs.all.iter().filter_map(missing).collect();
    let any: Vec<_> = needs.any.iter().filter_map(missing).collect();
    // Otherwise one of the streams is in another source, or no row lacks it.
    let is_any_checked = !any.is_empty() && any.len() == needs.any.len();
    let has_class = move |row: usize| !needs.class || source.class.get(row).is_none_or(Option::is_some);
    (0..source.rows).filter_map(move |row| {
        let has_all = all.iter().all(|missing| !missing[row]);
        let has_any = !is_any_checked || any.iter().any(|missing| !missing[row]);
        (has_all && has_any && has_class(row)).then_some(row as i64)
    })
}

/// The usable rows of a source by their join value.
fn groups<'a, A>(source: &'a SourceRows<A>, needs: &'a RowNeeds) -> BTreeMap<&'a str, Vec<i64>> {
    let mut groups: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for row in usable(source, needs) {
        groups.entry(&source.join[row as usize]).or_default().push(row);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source with these streams; a `-` marks a row that lacks it.
    fn source(streams: &[(&str, &str)], join: &[&str]) -> SourceRows<()> {
        let rows = streams[0].1.len();
        let missing = |marks: &str| marks.chars().map(|mark| mark == '-').collect::<Vec<_>>();
        let lacking = streams.iter().filter(|(_, marks)| marks.contains('-'));
        SourceRows {
            rows,
            arrays: streams.iter().map(|(stream, _)| (stream.to_string(), ())).collect(),
            missing: lacking.map(|(stream, marks)| (stream.to_string(), missing(marks))).collect(),
            join: join.iter().map(ToString::to_string).collect(),
            class: Vec::new(),
        }
    }

    fn needs(all: &[&str], any: &[&str]) -> RowNeeds {
        let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        RowNeeds { all: named(all), any: named(any), class: false }
    }

    #[test]
    fn a_row_is_dropped_only_if_it_lacks_what_is_needed() {
        let mut digits = source(&[("a", "xx-x-"), ("b", "x-x--"), ("c", "xxxxx")], &[]);
        digits.class = vec![Some(3), None, Some(1), None, None];
        let sources = IndexMap::from([("digits".to_string(), digits)]);
        let leaders = |needs: &RowNeeds| Selection::of(&sources, needs).leaders;
        assert_eq!(leaders(&RowNeeds::default()), [0, 1, 2, 3, 4]);
        assert_eq!(leaders(&needs(&["a"], &[])), [0, 1, 3]);
        assert_eq!(leaders(&needs(&["a", "b"], &[])), [0]);
        assert_eq!(leaders(&needs(&[], &["a", "b"])), [0, 1, 2, 3]);
        assert_eq!(leaders(&needs(&[], &["a", "b", "c"])), [0, 1, 2, 3, 4], "every row has `c`");
        assert_eq!(leaders(&RowNeeds { class: true, ..needs(&[], &["a", "b"]) }), [0, 2]);
    }

    #[test]
    fn partners_have_what_is_needed() {
        let first = source(&[("a", "xxx-")], &["0", "1", "2", "0"]);
        let second = source(&[("b", "x-xx-")], &["0", "0", "1", "0", "2"]);
        let sources = IndexMap::from([("first".to_string(), first), ("second".to_string(), second)]);
        let whole = Selection::of(&sources, &RowNeeds::default());
        assert_eq!((whole.rows(), whole.is_matched_one_to_one()), (4, false));
        let strict = Selection::of(&sources, &needs(&["a", "b"], &[]));
        assert_eq!(strict.leaders, [0, 1], "the only partner of row 2 lacks `b`, and row 3 lacks `a`");
        for uniform in [0.0, 0.4, 0.6, 0.999] {
            let tuples = strict.tuples(&[0, 1], |_, _| uniform);
            assert_eq!(tuples.rows[0], [0, 1]);
            assert_eq!(tuples.rows[1], [if uniform < 0.5 { 0 } else { 3 }, 2]);
        }
        // One of several sources may have it.
        assert_eq!(Selection::of(&sources, &needs(&[], &["a", "b"])).rows(), 4);
    }
}
