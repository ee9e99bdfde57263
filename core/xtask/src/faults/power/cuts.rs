//! All states of the disk after a power cut, and those with one sync omitted.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

use super::disk::{Disk, Model, Tree};
use super::journal::Step;
use super::promise::Promise;

/// The disk after a power cut.
#[derive(Clone, Debug)]
pub struct State {
    /// Its files.
    pub tree: Tree,
    /// What must survive.
    pub promise: Promise,
    /// A description of the cut.
    pub description: String,
}

/// All states by a hash of their files. Of equal states, keeps the last, which has the largest promise.
pub type States = BTreeMap<u64, State>;

/// The states after a cut at each operation.
pub fn states(steps: &[Step], folder_is_there: bool) -> States {
    let mut disk = Disk::with(folder_is_there);
    let mut promise = Promise::default();
    let mut states = States::new();
    for (number, step) in steps.iter().enumerate() {
        disk.apply(step);
        if let Step::Say(event) = step {
            promise.add(event);
        }
        // The last of several writes in a row stands for all.
        if step.is_write() && steps.get(number + 1).is_some_and(Step::is_write) {
            continue;
        }
        for model in Model::ALL {
            let tree = disk.after_cut(model);
            let description = format!("cut after step {number}, {step}, {model:?}");
            states.insert(hash(&tree), State { tree, promise: promise.clone(), description });
        }
    }
    states
}

/// The states that occur with other operations but not with these, later ones first, since these are more often wrong.
pub fn new_states(steps: &[Step], known: &States, folder_is_there: bool) -> Vec<State> {
    let states = states(steps, folder_is_there);
    // A known state counts as new if more was promised.
    let is_new = |hash: &u64, state: &State| known.get(hash).is_none_or(|known| state.promise.exceeds(&known.promise));
    let mut new: Vec<State> =
        states.into_iter().filter(|(hash, state)| is_new(hash, state)).map(|(_, state)| state).collect();
    new.sort_by_key(|state| std::cmp::Reverse((state.promise.finished, state.promise.rows, state.tree.len())));
    new
}

fn hash(tree: &Tree) -> u64 {
    let mut hasher = DefaultHasher::new();
    tree.hash(&mut hasher);
    hasher.finish()
}

/// The operations without some of them.
pub fn without(steps: &[Step], numbers: &[usize]) -> Vec<Step> {
    let kept = steps.iter().enumerate().filter(|(number, _)| !numbers.contains(number));
    kept.map(|(_, step)| step.clone()).collect()
}

/// The syncs by what they protect: names of a folder, or files whose names are equal but for digits.
pub fn kinds(steps: &[Step]) -> BTreeMap<String, Vec<usize>> {
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let name = match step {
            Step::SyncFolder { path } => format!("folder {}", path.display()),
            Step::SyncFile { path, .. } => format!("file {}", final_name(path, &steps[number..]).display()),
            _ => continue,
        };
        // One line of the program syncs the two states of a training, which alternate.
        let name = name.replace(|letter: char| letter.is_ascii_digit(), "#").replace(".other.", ".");
        kinds.entry(name).or_default().push(number);
    }
    kinds
}

/// The name under which a file is published, if it is published.
fn final_name<'s>(path: &'s Path, steps: &'s [Step]) -> &'s Path {
    let renamed = steps.iter().find_map(|step| match step {
        Step::Rename { from, to } if from == path => Some(to.as_path()),
        _ => None,
    });
    renamed.unwrap_or(path)
}

/// The operations with one of them moved after the next.
pub fn exchanged(steps: &[Step], number: usize) -> Vec<Step> {
    let mut steps = steps.to_vec();
    steps.swap(number, number + 1);
    steps
}

#[cfg(test)]
mod tests {
    use super::super::journal::Event;
    use super::*;

    fn steps() -> Vec<Step> {
        let file = 1;
        vec![
            Step::Create { path: "out/.a".into(), file },
            Step::Write { file, offset: 0, data: b"a".to_vec() },
            Step::SyncFile { path: "out/.a".into(), file },
            Step::Rename { from: "out/.a".into(), to: "out/a".into() },
            Step::SyncFolder { path: "out".into() },
            Step::Say(Event::Finished),
        ]
    }

    #[test]
    fn the_steps_of_a_safe_file_have_few_states() {
        let states = states(&steps(), true);
        // Nothing; the temporary name without and with its bytes; the name.
        assert_eq!(states.len(), 4);
        let finished: Vec<_> = states.values().filter(|state| state.promise.finished).collect();
        assert_eq!(finished.len(), 1);
        assert!(finished[0].tree.contains_key(Path::new("out/a")));
    }

    #[test]
    fn each_sync_and_its_place_keep_a_state_away() {
        let steps = steps();
        let known = states(&steps, true);
        for (number, broken) in [(2, without(&steps, &[2])), (4, without(&steps, &[4])), (2, exchanged(&steps, 2))] {
            assert!(!new_states(&broken, &known, true).is_empty(), "{number}");
        }
        assert_eq!(kinds(&steps), BTreeMap::from([("file out/a".into(), vec![2]), ("folder out".into(), vec![4])]));
        let unsynced = &new_states(&without(&steps, &[2]), &known, true)[0];
        assert!(unsynced.promise.finished && unsynced.tree[Path::new("out/a")] == Some(Vec::new()));
    }
}
