//! Tests of the internals of a lane.

use super::*;
use crate::{
    DenoiserInput, Observed, Parameterization, Sampling, Schedule, Solver, StreamKind, StreamSpec, Update, noise,
};
use anyflow_config::sampler::{Ddim, Heun};
use crossbeam::channel::bounded;
use tch::Tensor;

/// The exact denoiser of data N(0, d^2): x0 = gain x.
struct Centred(Vec<StreamSpec>);

fn gain(schedule: &Schedule, t: f64) -> f64 {
    let a = schedule.signal(t);
    let s = schedule.noise(t);
    a * 0.25 / (a * a * 0.25 + s * s)
}

impl Denoiser for Centred {
    fn streams(&self) -> &[StreamSpec] {
        &self.0
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let t = Vec::<f32>::try_from(batch.t()?.flatten(0, -1)).unwrap();
        let gains: Vec<f32> = t.iter().map(|t| gain(&self.0[0].schedule, f64::from(*t)) as f32).collect();
        Ok(vec![&batch.x[0] * Tensor::from_slice(&gains).view([-1, 1])])
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// Runs a table on one number in f64.
fn run(table: &SamplerTable, schedule: &Schedule, start: f64) -> f64 {
    let mut x = start;
    let mut saved = 0.0;
    let mut previous = [0.0; 2];
    for step in &table.steps {
        let denoised = gain(schedule, step.from.t) * x;
        let apply = |update: &Update| {
            let history = update.previous[0] * previous[0] + update.previous[1] * previous[1];
            update.x * x + update.saved * saved + update.denoised * denoised + history
        };
        let next = apply(&step.next);
        saved = step.save.as_ref().map_or(saved, apply);
        previous = [denoised, previous[0]];
        x = next;
    }
    x
}

#[test]
fn tables_with_history_share_batches_with_tables_without() {
    /// f32 state over 60 evaluations, values of order one.
    const TOLERANCE_F32: f64 = 1e-4;
    let schedule = Schedule::vp_linear();
    let parameterization = Parameterization::X0;
    let spec = StreamSpec {
        name: "x".to_string(),
        shape: vec![3],
        schedule: schedule.clone(),
        parameterization,
        kind: StreamKind::Diffused,
    };
    let mut lane = Lane::new("d".to_string(), Box::new(Centred(vec![spec])), Device::Cpu, 4, Arc::default());
    let request = |rows: std::ops::Range<u64>| Request {
        denoiser: "d".to_string(),
        rows: rows.collect(),
        states: [("x".to_string(), Observed::Noisy)].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, 7),
        guidance: Vec::new(),
        seed: 1,
        outputs: vec!["x".to_string()],
    };
    let ddim = Sampling::new(Ddim { eta: 0.0 }, 7).table(&schedule);
    let heun = Sampling::new(Heun {}, 30).table(&schedule);
    assert!(heun.uses_history() && !ddim.uses_history());
    // Rows with history come and go while the others stay, and vice versa.
    let jobs = [(0..2, &ddim), (2..5, &heun), (5..8, &ddim), (8..9, &heun)];
    let submit = |(rows, table): &(std::ops::Range<u64>, &SamplerTable)| {
        let (reply, answer) = bounded(1);
        let reply = Reply { to: reply, cancelled: Arc::default(), follower: None };
        lane.submit_with_tables(request(rows.clone()), &[(*table).clone()], reply);
        answer
    };
    let answers: Vec<_> = jobs.iter().map(submit).collect();
    while !lane.is_idle() {
        lane.step().unwrap();
    }
    for ((rows, table), answer) in jobs.iter().zip(answers) {
        let found = answer.recv().unwrap().unwrap().streams.swap_remove("x").unwrap();
        for (index, row) in rows.clone().enumerate() {
            let mut start = [0.0; 3];
            noise::normals(1, row, "x", noise::START_STEP, &mut start);
            for (element, start) in start.iter().enumerate() {
                let expected = run(table, &schedule, f64::from(*start));
                let found = found.double_value(&[index as i64, element as i64]);
                assert!((found - expected).abs() < TOLERANCE_F32, "row {row}: {found} {expected}");
            }
        }
    }
}
