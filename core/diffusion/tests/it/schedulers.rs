//! Points and states at the times of published schedulers, against diffusers: `goldens/schedulers.py`.

use anyflow_config::ScheduleConfig;
use anyflow_diffusion::{Parameterization, Prediction, Sampling, Schedule, Solver, TableStep, Update};
use serde_json::{Value, json};

/// diffusers rounds timesteps and sigmas to f32.
const TIMESTEP_F32: f64 = 1e-4;
const LEVEL_F32: f64 = 1e-6;
const STATE_F32: f64 = 1e-5;

struct Entry {
    value: Value,
    schedule: Schedule,
    is_flow: bool,
}

impl Entry {
    fn all() -> Vec<Entry> {
        let golden: Vec<Value> = serde_json::from_str(include_str!("../goldens/schedulers.json")).unwrap();
        let entry = |value: Value| {
            let config: ScheduleConfig = serde_json::from_value(value["schedule"].clone()).unwrap();
            Entry { is_flow: matches!(config, ScheduleConfig::Flow(_)), schedule: Schedule::new(config), value }
        };
        golden.into_iter().map(entry).collect()
    }

    fn name(&self) -> String {
        format!("{} {}", self.value["of"], self.value["sampler"])
    }

    fn sampling(&self, steps: usize) -> Sampling {
        let mut sampler = self.value["sampler"].clone();
        sampler["steps"] = json!(steps);
        let sampling: Sampling = serde_json::from_value(sampler).unwrap();
        let schedule: ScheduleConfig = serde_json::from_value(self.value["schedule"].clone()).unwrap();
        assert_eq!(sampling.misfit(&schedule), None, "{}", self.name());
        sampling
    }

    /// Timestep, signal and noise of each evaluation.
    fn points(&self, steps: &[TableStep]) -> Vec<[f64; 3]> {
        let timestep = |t: f64| if self.is_flow { 1000.0 * t } else { 1000.0 * t - 1.0 };
        steps.iter().map(|step| [timestep(step.from.t), step.from.a, step.from.s]).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn points_are_those_of_published_schedulers() {
    let mut compared = 0;
    for entry in Entry::all() {
        for (count, rows) in entry.value["points"].as_object().unwrap() {
            let table = entry.sampling(count.parse().unwrap()).table(&entry.schedule);
            let points = entry.points(&table.steps);
            let (end, rows) = rows.as_array().unwrap().split_last().unwrap();
            assert_eq!(points.len(), rows.len(), "{} with {count} steps", entry.name());
            for (found, row) in points.iter().zip(rows) {
                let row = numbers(row);
                let is_close = (found[0] - row[0]).abs() < TIMESTEP_F32
                    && (1..3).all(|column| (found[column] - row[column]).abs() < LEVEL_F32);
                assert!(is_close, "{} with {count} steps: {found:?} {row:?}", entry.name());
                compared += 1;
            }
            let last = table.steps[table.steps.len() - 1].to;
            let end = numbers(end);
            let is_end = last.t == 0.0 && (last.a - end[0]).abs() < LEVEL_F32 && (last.s - end[1]).abs() < LEVEL_F32;
            assert!(is_end, "{} with {count} steps ends at {last:?}, {end:?}", entry.name());
        }
    }
    assert_eq!(compared, 18 * (1 + 2 + 4 + 14 + 15) + (1 + 3 + 7 + 27 + 29));
}

/// More steps than are listed one by one: sums over the points, plain and weighted by index.
#[test]
fn many_points_sum_up_to_those_of_published_schedulers() {
    let mut compared = 0;
    for entry in Entry::all() {
        for (count, sums) in entry.value["sums"].as_object().unwrap() {
            let points = entry.points(&entry.sampling(count.parse().unwrap()).table(&entry.schedule).steps);
            let total = |column: usize| points.iter().map(|point| point[column]).sum::<f64>();
            let weighted = |column: usize| {
                let weigh = |(index, point): (usize, &[f64; 3])| (index + 1) as f64 * point[column];
                points.iter().enumerate().map(weigh).sum::<f64>() / points.len() as f64
            };
            let found = [points.len() as f64, total(0), total(1), total(2), weighted(0), weighted(1), weighted(2)];
            for (found, expected) in found.into_iter().zip(numbers(sums)) {
                let is_close = (found - expected).abs() <= 2e-7 * expected.abs().max(points.len() as f64);
                assert!(is_close, "{} with {count} steps: {found} {expected}", entry.name());
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 19 * 5 - 1, "one of them leaves its chain");
}

/// What a row remembers.
#[derive(Default)]
struct Memory {
    x: f64,
    saved: f64,
    previous: [f64; 2],
}

impl Memory {
    fn apply(&self, update: &Update, denoised: f64, noise: f64) -> f64 {
        let previous: f64 = (0..2).map(|back| update.previous[back] * self.previous[back]).sum();
        update.x * self.x + update.saved * self.saved + update.denoised * denoised + previous + update.noise * noise
    }
}

#[test]
fn states_are_those_of_published_schedulers() {
    for entry in Entry::all() {
        let parameterization: Parameterization = serde_json::from_value(entry.value["predict"].clone()).unwrap();
        let table = entry.sampling(10).table(&entry.schedule);
        let mut row = Memory { x: 1.3 * table.start_scale, ..Memory::default() };
        let timesteps = entry.points(&table.steps);
        for (index, (step, expected)) in table.steps.iter().zip(numbers(&entry.value["states"])).enumerate() {
            let output = 0.3 * row.x + 0.1 + 0.2 * timesteps[index][0] / 1000.0;
            let (of_x, of_output) = parameterization.x0_coefficients(step.from.a, step.from.s);
            let denoised = of_x * row.x + of_output * output;
            let noise = (3.0 * index as f64 + 1.0).sin();
            let x = row.apply(&step.next, denoised, noise);
            let saved = step.save.map_or(row.saved, |save| row.apply(&save, denoised, 0.0));
            row = Memory { x, saved, previous: [denoised, row.previous[0]] };
            // A predicted state of UniPC is corrected at the next point, which diffusers does in the same call.
            let is_close = (row.x - expected).abs() < STATE_F32 * expected.abs().max(1.0);
            assert!(is_close, "{} after update {index}: {} {expected}", entry.name(), row.x);
        }
    }
}
