//! The results of many tries.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The result of one try.
#[derive(Debug, Default)]
pub struct Trial {
    /// Its kind; tries of one kind are counted together.
    pub group: String,
    /// Figures to sum.
    pub counts: Vec<(String, u64)>,
    /// Wrong outcomes.
    pub wrong: Vec<String>,
}

impl Trial {
    /// A try of a kind without wrong outcomes.
    pub fn of(group: impl Into<String>) -> Self {
        Trial { group: group.into(), ..Trial::default() }
    }

    /// Adds to a figure.
    pub fn count(&mut self, name: impl Into<String>, by: u64) {
        self.counts.push((name.into(), by));
    }

    /// Notes a wrong outcome, if there is one.
    pub fn wrong(&mut self, found: Option<String>) {
        self.wrong.extend(found);
    }
}

/// Sums over the tries of one kind.
#[derive(Debug, Default, Serialize)]
pub struct Group {
    tries: u64,
    counts: BTreeMap<String, u64>,
    wrong: Vec<Wrong>,
}

/// A wrong outcome with the number that repeats it.
#[derive(Debug, Serialize)]
pub struct Wrong {
    number: u64,
    text: String,
}

/// The results of a part.
#[derive(Debug, Serialize)]
pub struct Tally {
    /// Name of the part.
    pub part: &'static str,
    /// Its duration.
    pub seconds: f64,
    groups: BTreeMap<String, Group>,
}

impl Tally {
    /// No tries.
    pub fn new(part: &'static str) -> Self {
        Tally { part, seconds: 0.0, groups: BTreeMap::new() }
    }

    /// Adds a try.
    pub fn add(&mut self, number: u64, trial: Trial) {
        let group = self.groups.entry(trial.group).or_default();
        group.tries += 1;
        for (name, by) in trial.counts {
            *group.counts.entry(name).or_default() += by;
        }
        group.wrong.extend(trial.wrong.into_iter().map(|text| Wrong { number, text }));
    }

    /// Sum of a figure over all kinds; the empty name counts tries.
    pub fn sum(&self, name: Option<&str>) -> u64 {
        let of = |group: &Group| name.map_or(group.tries, |name| group.counts.get(name).copied().unwrap_or_default());
        self.groups.values().map(of).sum()
    }

    /// Number of wrong outcomes over all kinds.
    pub fn wrong(&self) -> usize {
        self.groups.values().map(|group| group.wrong.len()).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = self.sum(None);
        let wrong = self.wrong();
        writeln!(f, "{}: {tries} tries in {:.0} s, {wrong} wrong", self.part, self.seconds)?;
        for (name, group) in &self.groups {
            let counts: Vec<String> = group.counts.iter().map(|(name, sum)| format!("{name} {sum}")).collect();
            writeln!(f, "  {name}: tries {}, wrong {}, {}", group.tries, group.wrong.len(), counts.join(", "))?;
        }
        for (name, group) in &self.groups {
            for Wrong { number, text } in &group.wrong {
                writeln!(f, "  WRONG {name}, try {number} (--part {} --only {number}): {text}", self.part)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_outcome_names_the_command_that_repeats_it() {
        let mut tally = Tally::new("kills");
        let mut trial = Trial::of("run");
        trial.count("front", 2);
        trial.wrong(Some("row 7 is lost".into()));
        tally.add(41, trial);
        tally.add(42, Trial::of("run"));
        assert_eq!((tally.sum(None), tally.sum(Some("front")), tally.wrong()), (2, 2, 1));
        let text = tally.to_string();
        assert!(text.contains("--part kills --only 41") && text.contains("row 7 is lost"), "{text}");
    }
}
