//! Gaussian data, for which the denoiser, the end point of the ODE and the law of the SDE are known exactly.

use anyflow_diffusion::{Observed, Parameterization, Request, Sampler, SamplerTable, Schedule, noise};

use crate::doubles::{Gaussian, engine, stream, values};

fn gaussian(schedule: Schedule, parameterization: Parameterization) -> Gaussian {
    Gaussian { streams: vec![stream("x", &[2], schedule, parameterization)], mean: 0.7, deviation: 0.5 }
}

/// The sampler on one number in f64, without noise.
fn run(table: &SamplerTable, data: &Gaussian, schedule: &Schedule, start: f64) -> f64 {
    table.steps.iter().fold(start * table.start_scale, |x, step| {
        let (gain, offset) = data.x0_coefficients(schedule, step.t);
        step.next.x * x + step.next.denoised * (gain * x + offset)
    })
}

/// The mean and variance that the sampler gives, exactly, since every step is linear.
fn law(table: &SamplerTable, data: &Gaussian, schedule: &Schedule) -> (f64, f64) {
    table.steps.iter().fold((0.0, table.start_scale.powi(2)), |(mean, variance), step| {
        let (gain, offset) = data.x0_coefficients(schedule, step.t);
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
            let table = Sampler::Ddim { steps, eta: 0.0 }.table(&schedule);
            (run(&table, &data, &schedule, start) - data.end_point(&schedule, start)).abs()
        };
        let errors: Vec<f64> = [64, 128, 256, 512, 1024].map(error).into();
        for order in orders(&errors) {
            assert!((0.85..1.15).contains(&order), "{schedule:?}: errors {errors:?}");
        }
        assert!(errors[4] < 2e-3, "{schedule:?}: errors {errors:?}");
    }
}

#[test]
fn euler_maruyama_and_stochastic_ddim_reach_mean_and_variance() {
    for schedule in [Schedule::vp_linear(), Schedule::cosine()] {
        let data = gaussian(schedule.clone(), Parameterization::X0);
        // What no step size mends: sampling starts at mean 0 and variance 1 instead of the law at the last time.
        let floor = 2.0 * schedule.signal(schedule.t_max()) * data.mean;
        let samplers: [fn(usize) -> Sampler; 2] =
            [|steps| Sampler::EulerMaruyama { steps }, |steps| Sampler::Ddim { steps, eta: 1.0 }];
        for sampler in samplers {
            let error = |steps| {
                let (mean, variance) = law(&sampler(steps).table(&schedule), &data, &schedule);
                (mean - data.mean).abs() + (variance - data.deviation.powi(2)).abs()
            };
            let errors = [125, 250, 500, 1000].map(error);
            assert!(errors.windows(2).all(|pair| pair[1] < 0.75 * pair[0] + floor * 0.1), "{errors:?}");
            assert!(errors[3] < 0.01 + floor, "{schedule:?} {:?}: {errors:?}", sampler(1));
        }
    }
}

#[test]
fn the_engine_does_what_the_table_says() {
    /// f32 state over 20 steps against f64, values of order one.
    const TOLERANCE_F32: f64 = 2e-5;
    for schedule in [Schedule::vp_linear(), Schedule::cosine()] {
        for kind in [Parameterization::Eps, Parameterization::X0, Parameterization::V] {
            let rows = vec![3, 1 << 40, 5];
            let engine = engine(vec![("d", Box::new(gaussian(schedule.clone(), kind)))], 8);
            let sampler = Sampler::Ddim { steps: 20, eta: 0.0 };
            let found = values(&sample(&engine.handle(), rows.clone(), sampler.clone()));
            let (data, table) = (gaussian(schedule.clone(), kind), sampler.table(&schedule));
            for (row, found) in rows.iter().zip(found.chunks(2)) {
                let mut start = [0.0; 2];
                noise::normals(5, *row, "x", noise::START_STEP, &mut start);
                for (start, found) in start.iter().zip(found) {
                    let expected = run(&table, &data, &schedule, f64::from(*start));
                    assert!((f64::from(*found) - expected).abs() < TOLERANCE_F32, "{kind:?}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn sampled_moments_are_those_of_the_data() {
    let rows = 8_000;
    for (steps, sde) in [(50, true), (100, true), (50, false)] {
        let sampler = if sde { Sampler::EulerMaruyama { steps } } else { Sampler::Ddim { steps, eta: 1.0 } };
        let schedule = Schedule::vp_linear();
        let data = gaussian(schedule.clone(), Parameterization::V);
        let (mean, variance) = law(&sampler.table(&schedule), &data, &schedule);
        let engine = engine(vec![("d", Box::new(data))], 4_000);
        let found = values(&sample(&engine.handle(), (0..rows).collect(), sampler));
        let count = found.len() as f64;
        let found_mean = found.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let found_variance = found.iter().map(|value| (f64::from(*value) - found_mean).powi(2)).sum::<f64>() / count;
        // Four standard errors round the exact law of the sampler.
        assert!((found_mean - mean).abs() < 4.0 * (variance / count).sqrt(), "{found_mean} {mean}");
        assert!(
            (found_variance - variance).abs() < 4.0 * variance * (2.0 / count).sqrt(),
            "{found_variance} {variance}"
        );
    }
}

fn sample(handle: &anyflow_diffusion::EngineHandle, rows: Vec<u64>, sampler: Sampler) -> tch::Tensor {
    let states = [("x".to_string(), Observed::Noisy)].into();
    let request = Request { denoiser: "d".to_string(), rows, states, sampler, seed: 5, outputs: vec!["x".to_string()] };
    let mut sampled = handle.submit(request).unwrap().wait().unwrap();
    assert!(sampled.rows_failed.is_empty());
    sampled.streams.swap_remove("x").unwrap()
}
