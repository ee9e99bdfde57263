//! Properties of every table.

use super::*;
use anyflow_config::Kinds;
use anyflow_config::sampler::{Ddim, Ddpm, Dpmpp2m, Dpmpp3m, Euler, EulerAncestral, EulerMaruyama, Heun, Unipc};
use proptest::prelude::*;

fn any_schedule() -> impl Strategy<Value = Schedule> {
    prop::sample::select(vec![
        Schedule::vp_linear(),
        Schedule::cosine(),
        Schedule::scaled_linear(),
        Schedule::karras(),
        Schedule::flow(),
    ])
}

fn any_sampler(most: usize) -> impl Strategy<Value = Sampling> {
    (1..most, 0.0..=1.0f64, 0usize..9).prop_map(|(steps, eta, which)| match which {
        0 => Sampling::new(Ddim { eta }, steps),
        1 => Sampling::new(Ddpm {}, steps),
        2 => Sampling::new(Euler {}, steps),
        3 => Sampling::new(EulerAncestral { eta }, steps),
        4 => Sampling::new(EulerMaruyama {}, steps),
        5 => Sampling::new(Heun {}, steps),
        6 => Sampling::new(Dpmpp2m {}, steps),
        7 => Sampling::new(Dpmpp3m {}, steps),
        _ => Sampling::new(Unipc {}, steps),
    })
}

fn terms(update: &Update) -> [f64; 6] {
    [update.x, update.saved, update.denoised, update.previous[0], update.previous[1], update.noise]
}

proptest! {
    #[test]
    fn times_fall_and_end_at_zero(sampler in any_sampler(300), schedule in any_schedule()) {
        sampler.check().unwrap();
        let table = sampler.table(&schedule);
        prop_assert_eq!(table.steps.len(), sampler.evaluations());
        prop_assert_eq!(table.steps[0].from.t, schedule.t_max());
        let last = table.steps[table.steps.len() - 1];
        prop_assert_eq!((last.to.t, last.next.noise), (0.0, 0.0));
        let heun = matches!(sampler.sampler, Sampler::Heun(_));
        for (index, step) in table.steps.iter().enumerate() {
            // The second evaluation of a step of Heun stays where it is.
            prop_assert!(step.from.t > step.to.t || (heun && index % 2 == 1 && step.from.t == step.to.t));
            prop_assert!(index == 0 || table.steps[index - 1].to.t == step.from.t);
            prop_assert!(step.save.iter().chain([&step.next]).flat_map(terms).all(f64::is_finite), "{step:?}");
        }
    }

    #[test]
    fn steps_use_only_remembered_values(sampler in any_sampler(30), schedule in any_schedule()) {
        let table = sampler.table(&schedule);
        let mut saved = false;
        for (index, step) in table.steps.iter().enumerate() {
            for update in step.save.iter().chain([&step.next]) {
                prop_assert!(saved || update.saved == 0.0);
                prop_assert!(index > 0 || update.previous[0] == 0.0);
                prop_assert!(index > 1 || update.previous[1] == 0.0);
            }
            saved |= step.save.is_some();
        }
    }

    #[test]
    fn exact_denoised_values_keep_the_mean(sampler in any_sampler(60), schedule in any_schedule()) {
        // If every denoised value is x0, the part of x0 in x stays a_u x0 and the rest shrinks with s, plus fresh
        // noise. Only Euler-Maruyama is not exact there.
        prop_assume!(!matches!(sampler.sampler, Sampler::EulerMaruyama(_)));
        let mut saved = 0.0;
        let t_max = schedule.t_max();
        let mut mean = schedule.signal(t_max);
        for step in &sampler.table(&schedule).steps {
            let apply = |update: &Update| {
                update.x * mean + update.saved * saved + update.denoised + update.previous.iter().sum::<f64>()
            };
            let next = apply(&step.next);
            saved = step.save.as_ref().map_or(saved, apply);
            mean = next;
            prop_assert!((mean - schedule.signal(step.to.t)).abs() < 1e-9, "{mean} at {}", step.to.t);
        }
    }

    #[test]
    fn posterior_samplers_keep_the_marginal(steps in 1usize..60, eta in 0.0..=1.0f64, schedule in any_schedule()) {
        // With the true x0 the update maps N(a x0, s^2) onto N(a_u x0, s_u^2), whatever eta.
        let ddpm = Sampling::new(Ddpm {}, steps);
        for sampler in [Sampling::new(Ddim { eta }, steps), Sampling::new(EulerAncestral { eta }, steps), ddpm] {
            for step in &sampler.table(&schedule).steps {
                let mean = step.next.x * schedule.signal(step.from.t) + step.next.denoised;
                let variance = (step.next.x * schedule.noise(step.from.t)).powi(2) + step.next.noise.powi(2);
                prop_assert!((mean - schedule.signal(step.to.t)).abs() < 1e-12);
                prop_assert!((variance - schedule.noise(step.to.t).powi(2)).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn equivalent_samplers_agree() {
    let steps = 23;
    let worst = |left: Sampling, right: Sampling, schedule: &Schedule| {
        let left = left.table(schedule);
        let right = right.table(schedule);
        let pairs = left.steps.iter().zip(&right.steps);
        pairs
            .flat_map(|(left, right)| terms(&left.next).into_iter().zip(terms(&right.next)))
            .fold(0.0, |worst: f64, (left, right)| worst.max((left - right).abs()))
    };
    let ddpm = || Sampling::new(Ddpm {}, steps);
    for schedule in
        [Schedule::vp_linear(), Schedule::cosine(), Schedule::scaled_linear(), Schedule::karras(), Schedule::flow()]
    {
        assert!(worst(Sampling::new(Euler {}, steps), Sampling::new(Ddim { eta: 0.0 }, steps), &schedule) < 1e-12);
        assert!(worst(Sampling::new(EulerAncestral { eta: 1.0 }, steps), ddpm(), &schedule) < 1e-12);
        assert!(worst(Sampling::new(Ddim { eta: 1.0 }, steps), ddpm(), &schedule) < 1e-12);
    }
}

#[test]
fn the_last_ddim_step_returns_the_denoised_value() {
    let table = Sampling::new(Ddim { eta: 0.0 }, 7).table(&Schedule::cosine());
    assert_eq!(table.steps[6].next, Update { denoised: 1.0, ..Update::default() });
}
