//! The requests of a load.

use serde_json::{Value, json};

use crate::random::Random;

/// Two pipelines of one model.
pub struct Pair {
    /// Its name for `--only`.
    pub name: &'static str,
    /// The files: the first reads nothing, the second a class.
    pub files: [&'static str; 2],
    /// The names of the pipelines.
    pipelines: [&'static str; 2],
}

/// All pairs. Decoding takes most of the time of the first, and network calls most of the time of the second.
pub const PAIRS: [Pair; 2] = [
    Pair {
        name: "sound",
        files: ["pipelines/mld/joint.yaml", "pipelines/mld/label-to-image-audio.yaml"],
        pipelines: ["joint", "label-to-image-audio"],
    },
    Pair {
        name: "strokes",
        files: ["pipelines/mld/trajectory/joint.yaml", "pipelines/mld/trajectory/label-to-image-trajectory.yaml"],
        pipelines: ["joint", "label-to-image-trajectory"],
    },
];

/// A request and the number of its rows.
#[derive(Clone)]
pub struct Wanted {
    /// Which of the two pipelines.
    pipeline: usize,
    /// Steps of its sampler.
    steps: u64,
    /// Number of rows.
    pub rows: u64,
    /// The name of the pipeline.
    name: &'static str,
    /// The JSON.
    pub request: Value,
}

impl Wanted {
    fn new(pair: &Pair, pipeline: usize, rows: u64, steps: u64, seed: u64) -> Wanted {
        let name = pair.pipelines[pipeline];
        let request = request(name, pipeline, rows, steps, seed);
        Wanted { pipeline, steps, rows, name, request }
    }
}

fn request(name: &str, pipeline: usize, rows: u64, steps: u64, seed: u64) -> Value {
    let rows = match pipeline {
        0 => json!(rows),
        _ => (0..rows).map(|row| json!({"digit": (row + seed) % 10})).collect(),
    };
    json!({"pipeline": name, "rows": rows, "seed": seed, "set": {"joint.sampler.steps": steps}, "preview_steps": 0})
}

/// Requests of 1 to 4 rows and 10 to 50 steps, for either pipeline. Few numbers of steps, so that groups are large.
pub fn mixed(pair: &Pair, count: usize, seed: u64) -> Vec<Wanted> {
    let mut random = Random::of(seed, pair.name, 0);
    let mut one = |number: usize| {
        let [pipeline, rows, steps] = [2, 4, 5].map(|end| random.below(end));
        Wanted::new(pair, pipeline as usize, rows + 1, 10 * (steps + 1), number as u64)
    };
    (0..count).map(&mut one).collect()
}

/// The same rows as one request for each pipeline and number of steps, as a static batcher makes them.
pub fn grouped(wanted: &[Wanted]) -> Vec<Wanted> {
    let mut groups: Vec<Wanted> = Vec::new();
    for one in wanted {
        let same = |group: &&mut Wanted| (group.pipeline, group.steps) == (one.pipeline, one.steps);
        match groups.iter_mut().find(same) {
            Some(group) => group.rows += one.rows,
            None => groups.push(one.clone()),
        }
    }
    for group in &mut groups {
        group.request = request(group.name, group.pipeline, group.rows, group.steps, 0);
    }
    groups
}

/// A request for each pipeline.
pub fn warm_up(pair: &Pair) -> Vec<Wanted> {
    (0..8).map(|number| Wanted::new(pair, number % 2, 2, 10, number as u64)).collect()
}

/// Requests of one row and few steps.
pub fn small(pair: &Pair, count: usize) -> Vec<Wanted> {
    (0..count).map(|number| Wanted::new(pair, number % 2, 1, 2, number as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_the_same_rows() {
        let wanted = mixed(&PAIRS[0], 64, 1);
        let groups = grouped(&wanted);
        let rows = |wanted: &[Wanted]| wanted.iter().map(|one| one.rows).sum::<u64>();
        assert!(groups.len() <= 10 && rows(&groups) == rows(&wanted), "{} groups", groups.len());
        let in_json = |one: &Wanted| match &one.request["rows"] {
            Value::Array(rows) => rows.len() as u64,
            rows => rows.as_u64().unwrap(),
        };
        assert!(groups.iter().chain(&wanted).all(|one| in_json(one) == one.rows));
    }
}
