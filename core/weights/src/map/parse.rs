//! Reads the lines of a map.

use super::pattern::Pattern;

/// The lines of a map, by what they are for.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub rules: Vec<Rule>,
    /// Names in the file that may be left over.
    pub ignored: Vec<Pattern>,
    /// Names in the model that may be missing.
    pub optional: Vec<Pattern>,
}

/// A line that moves tensors.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub action: Action,
    pub from: Vec<Pattern>,
    pub to: Vec<Pattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Rename,
    Transpose,
    Squeeze,
    Split,
    Join,
}

const VERBS: &str = "keep, rename, transpose, squeeze, split, join, ignore or optional";
const ARROW: &str = "->";

impl Table {
    /// The error is the line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Table, (usize, String)> {
        let mut table = Table::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [verb, names @ ..] = words.as_slice() {
                table.add(verb, names).map_err(|text| (index + 1, text))?;
            }
        }
        Ok(table)
    }

    fn add(&mut self, verb: &str, names: &[&str]) -> Result<(), String> {
        match verb {
            "ignore" => self.ignored.push(alone(verb, names)?),
            "optional" => self.optional.push(alone(verb, names)?),
            "keep" => {
                let kept = alone(verb, names)?;
                self.rules.push(Rule { action: Action::Rename, from: vec![kept.clone()], to: vec![kept] });
            }
            _ => self.rules.push(moving(verb, names)?),
        }
        Ok(())
    }
}

fn alone(verb: &str, names: &[&str]) -> Result<Pattern, String> {
    match names {
        [name] => Pattern::parse(name),
        _ => Err(format!("`{verb}` takes one pattern, but there are {}", names.len())),
    }
}

fn moving(verb: &str, names: &[&str]) -> Result<Rule, String> {
    let (action, is_counted): (Action, fn(usize, usize) -> bool) = match verb {
        "rename" => (Action::Rename, |from, to| from == 1 && to == 1),
        "transpose" => (Action::Transpose, |from, to| from == 1 && to == 1),
        "squeeze" => (Action::Squeeze, |from, to| from == 1 && to == 1),
        "split" => (Action::Split, |from, to| from == 1 && to > 1),
        "join" => (Action::Join, |from, to| from > 1 && to == 1),
        _ => return Err(format!("`{verb}` is no verb of a map; write {VERBS}")),
    };
    let arrow = names.iter().position(|name| *name == ARROW);
    let (from, to) = match arrow {
        Some(at) => (&names[..at], &names[at + 1..]),
        None => return Err(format!("`{verb}` has no `{ARROW}` between the names in the file and those in the model")),
    };
    if !is_counted(from.len(), to.len()) {
        return Err(format!("`{verb}` does not take {} names before `{ARROW}` and {} behind it", from.len(), to.len()));
    }
    let parse = |names: &[&str]| names.iter().map(|name| Pattern::parse(name)).collect::<Result<Vec<_>, _>>();
    let rule = Rule { action, from: parse(from)?, to: parse(to)? };
    let pairs = || rule.to.iter().flat_map(|to| rule.from.iter().map(move |from| (to, from)));
    match pairs().find_map(|(to, from)| to.unfilled(from)) {
        Some(hole) => Err(format!("`{{{hole}}}` behind `{ARROW}` is not in every pattern before it")),
        None => Ok(rule),
    }
}
