//! Gaussian data, for which the denoiser, the end point of the ODE and the distribution of the SDE are known exactly.

use anyflow_config::sampler::{Ddim, Ddpm, Dpmpp2m, Dpmpp3m, Euler, EulerAncestral, EulerMaruyama, Heun, Unipc};
use anyflow_diffusion::{Observed, Parameterization, Request, SamplerTable, Sampling, Schedule, Solver, Update, noise};

use crate::fakes::{Gaussian, engine, stream, values};

fn gaussian(schedule: Schedule, parameterization: Parameterization) -> Gaussian {
    Gaussian { streams: vec![stream("x", &[2], schedule, parameterization)], mean: 0.7, std: 0.5 }
}

/// Runs the sampler on one number in f64, without noise, from the last time on at `start`. Before each step at a time
/// of at least `exact` the state is corrected; the run stops before `until`. Returns the times and states after each
/// step.
fn run_between(
    table: &SamplerTable,
    (data, schedule): (&Gaussian, &Schedule),
    start: f64,
    (exact, until): (f64, f64),
) -> Vec<(f64, f64)> {
    let mut x = start;
    let mut saved = 0.0;
    let mut previous = [0.0; 2];
    let mut visited = Vec::new();
    for step in table.steps.iter().take_while(|step| step.to.t >= until - 1e-9) {
        if step.from.t >= exact {
            x = data.point(schedule, start, step.from.t);
        }
        let (gain, offset) = data.x0_coefficients(schedule, step.from.t);
        let denoised = gain * x + offset;
        let apply = |update: &Update| {
            let history = update.previous[0] * previous[0] + update.previous[1] * previous[1];
            update.x * x + update.saved * saved + update.denoised * denoised + history
        };
        let next = apply(&step.next);
        saved = step.save.as_ref().map_or(saved, apply);
        (x, previous) = (next, [denoised, previous[0]]);
        visited.push((step.to.t, x));
    }
    visited
}

/// Runs the sampler on one number in f64, without noise, from the last time to 0.
fn run(table: &SamplerTable, data: &Gaussian, schedule: &Schedule, start: f64) -> f64 {
    run_between(table, (data, schedule), start, (f64::INFINITY, 0.0)).last().unwrap().1
}

fn schedules() -> [Schedule; 5] {
    [Schedule::vp_linear(), Schedule::cosine(), Schedule::scaled_linear(), Schedule::karras(), Schedule::flow()]
}

/// The mean and variance of the sampler's output, exact since every step is linear.
fn law(table: &SamplerTable, data: &Gaussian, schedule: &Schedule) -> (f64, f64) {
    table.steps.iter().fold((0.0, table.start_scale.powi(2)), |(mean, variance), step| {
        let (gain, offset) = data.x0_coefficients(schedule, step.from.t);
        let slope = step.next.x + step.next.denoised * gain;
        (slope * mean + step.next.denoised * offset, slope * slope * variance + step.next.noise.powi(2))
    })
}

/// log2 of the ratio of the errors as steps double.
fn orders(errors: &[f64]) -> Vec<f64> {
    errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect()
}

#[test]
fn ddim_converges_to_the_end_of_the_ode_with_order_one() {
    for schedule in [Schedule::vp_linear(), Schedule::cosine()] {
        let data = gaussian(schedule.clone(), Parameterization::X0);
        let start = 1.3;
        let error = |steps| {
            let table = Sampling::new(Ddim { eta: 0.0 }, steps).table(&schedule);
            (run(&table, &data, &schedule, start) - data.end_point(&schedule, start)).abs()
        };
        let errors: Vec<f64> = [64, 128, 256, 512, 1024].map(error).into();
        for order in orders(&errors) {
            assert!((0.85..1.15).contains(&order), "{schedule:?}: errors {errors:?}");
        }
        assert!(errors[4] < 2e-3, "{schedule:?}: errors {errors:?}");
    }
}

/// Order, measured from 0.6 of the last time, where the multistep solvers have left their start of order one behind, to
/// a quarter of it: in between, every step shrinks as steps double. The last step, from the first time to 0, is
/// infinite in lambda for any number of steps. The largest error on the way counts, since at a single time it may pass
/// through 0.
#[test]
fn solvers_have_their_order() {
    type Case = (fn(usize) -> Sampling, std::ops::Range<f64>);
    let cases: [Case; 6] = [
        (|steps| Sampling::new(Ddim { eta: 0.0 }, steps), 0.85..1.15),
        (|steps| Sampling::new(Euler {}, steps), 0.85..1.15),
        (|steps| Sampling::new(Heun {}, steps), 1.75..2.5),
        (|steps| Sampling::new(Dpmpp2m {}, steps), 1.75..2.5),
        // Its corrector adds one to the order of its predictor: Zhao et al. 2023, theorem 3.1.
        (|steps| Sampling::new(Unipc {}, steps), 1.75..3.4),
        (|steps| Sampling::new(Dpmpp3m {}, steps), 2.5..3.4),
    ];
    for schedule in schedules() {
        let data = gaussian(schedule.clone(), Parameterization::X0);
        let window = (0.6 * schedule.t_max(), 0.25 * schedule.t_max());
        for (sampler, range) in &cases {
            let error = |steps| {
                let visited = run_between(&sampler(steps).table(&schedule), (&data, &schedule), 1.3, window);
                let visited = visited.iter().filter(|(t, _)| *t < window.0);
                visited.map(|(t, x)| (x - data.point(&schedule, 1.3, *t)).abs()).fold(0.0, f64::max)
            };
            let orders = orders(&[64, 128, 256, 512].map(error));
            assert!(orders.iter().all(|order| range.contains(order)), "{schedule:?} {:?}: {orders:?}", sampler(1));
        }
    }
}

/// At the very end, the solvers of higher order are at least as close as DDIM, on every schedule.
#[test]
fn solvers_reach_the_end_of_the_ode() {
    for schedule in schedules() {
        let data = gaussian(schedule.clone(), Parameterization::X0);
        let error = |sampler: Sampling| {
            (run(&sampler.table(&schedule), &data, &schedule, 1.3) - data.end_point(&schedule, 1.3)).abs()
        };
        let steps = 50;
        let first = error(Sampling::new(Ddim { eta: 0.0 }, steps));
        for sampler in [
            Sampling::new(Heun {}, steps),
            Sampling::new(Dpmpp2m {}, steps),
            Sampling::new(Dpmpp3m {}, steps),
            Sampling::new(Unipc {}, steps),
        ] {
            let found = error(sampler.clone());
            assert!(found < 0.6 * first, "{schedule:?} {sampler:?}: {found:.2e}, DDIM {first:.2e}");
        }
    }
}

#[test]
fn stochastic_samplers_reach_mean_and_variance() {
    let samplers: [fn(usize) -> Sampling; 4] = [
        |steps| Sampling::new(EulerMaruyama {}, steps),
        |steps| Sampling::new(Ddim { eta: 1.0 }, steps),
        |steps| Sampling::new(Ddpm {}, steps),
        |steps| Sampling::new(EulerAncestral { eta: 0.7 }, steps),
    ];
    for schedule in schedules() {
        let data = gaussian(schedule.clone(), Parameterization::X0);
        // The error that no step size removes: sampling starts at mean 0 and variance 1, not at the distribution at the
        // last time.
        let floor = 2.0 * schedule.signal(schedule.t_max()) * data.mean;
        for sampler in samplers {
            let error = |steps| {
                let (mean, variance) = law(&sampler(steps).table(&schedule), &data, &schedule);
                (mean - data.mean).abs() + (variance - data.std.powi(2)).abs()
            };
            let errors = [125, 250, 500, 1000].map(error);
            assert!(errors.windows(2).all(|pair| pair[1] < 0.75 * pair[0] + floor * 0.1), "{errors:?}");
            assert!(errors[3] < 0.01 + floor, "{schedule:?} {:?}: {errors:?}", sampler(1));
        }
    }
}

#[test]
fn the_engine_does_what_the_table_says() {
    /// f32 state over 20 steps against f64, values of order one; eps is divided by a, down to 1/1000.
    const TOLERANCE_F32: f64 = 2e-5;
    const TOLERANCE_EPS_F32: f64 = 1e-3;
    let parameterizations = [Parameterization::Eps, Parameterization::X0, Parameterization::V, Parameterization::Flow];
    let steps = 20;
    let rows = vec![3, 1 << 40, 5];
    for (schedule, kind) in schedules().iter().flat_map(|schedule| parameterizations.map(|kind| (schedule, kind))) {
        let engine = engine(vec![("d", Box::new(gaussian(schedule.clone(), kind)))], 8);
        let data = gaussian(schedule.clone(), kind);
        let tolerance = if kind == Parameterization::Eps { TOLERANCE_EPS_F32 } else { TOLERANCE_F32 };
        for sampler in [
            Sampling::new(Ddim { eta: 0.0 }, steps),
            Sampling::new(Heun {}, steps),
            Sampling::new(Dpmpp2m {}, steps),
            Sampling::new(Dpmpp3m {}, steps),
            Sampling::new(Unipc {}, steps),
        ] {
            let table = sampler.table(schedule);
            let found = values(&sample(&engine.handle(), rows.clone(), sampler.clone()));
            for (row, found) in rows.iter().zip(found.chunks(2)) {
                let mut start = [0.0; 2];
                noise::normals(5, *row, "x", noise::START_STEP, &mut start);
                for (start, found) in start.iter().zip(found) {
                    let expected = run(&table, &data, schedule, f64::from(*start) * table.start_scale);
                    let error = (f64::from(*found) - expected).abs();
                    assert!(error < tolerance, "{schedule:?} {kind:?} {sampler:?}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn sampled_moments_are_those_of_the_data() {
    let rows = 8_000;
    for (steps, sde) in [(50, true), (100, true), (50, false)] {
        let sampler =
            if sde { Sampling::new(EulerMaruyama {}, steps) } else { Sampling::new(Ddim { eta: 1.0 }, steps) };
        let schedule = Schedule::vp_linear();
        let data = gaussian(schedule.clone(), Parameterization::V);
        let (mean, variance) = law(&sampler.table(&schedule), &data, &schedule);
        let engine = engine(vec![("d", Box::new(data))], 4_000);
        let found = values(&sample(&engine.handle(), (0..rows).collect(), sampler));
        let count = found.len() as f64;
        let found_mean = found.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let found_variance = found.iter().map(|value| (f64::from(*value) - found_mean).powi(2)).sum::<f64>() / count;
        // Four standard errors around the exact distribution of the sampler.
        assert!((found_mean - mean).abs() < 4.0 * (variance / count).sqrt(), "{found_mean} {mean}");
        assert!(
            (found_variance - variance).abs() < 4.0 * variance * (2.0 / count).sqrt(),
            "{found_variance} {variance}"
        );
    }
}

fn sample(handle: &anyflow_diffusion::EngineHandle, rows: Vec<u64>, sampler: Sampling) -> tch::Tensor {
    let states = [("x".to_string(), Observed::Noisy)].into();
    let request = Request {
        denoiser: "d".to_string(),
        rows,
        states,
        sampler,
        guidance: Vec::new(),
        seed: 5,
        outputs: vec!["x".to_string()],
    };
    let mut sampled = handle.submit(request).unwrap().wait().unwrap();
    assert!(sampled.rows_failed.is_empty());
    sampled.streams.swap_remove("x").unwrap()
}
