//! Properties of every table.

use super::*;
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

fn any_sampler(most: usize) -> impl Strategy<Value = Sampler> {
    (1..most, 0.0..=1.0f64, 0usize..9).prop_map(|(steps, eta, which)| match which {
        0 => Sampler::Ddim { steps, eta },
        1 => Sampler::Ddpm { steps },
        2 => Sampler::Euler { steps },
        3 => Sampler::EulerAncestral { steps, eta },
        4 => Sampler::EulerMaruyama { steps },
        5 => Sampler::Heun { steps },
        6 => Sampler::Dpmpp2m { steps },
        7 => Sampler::Dpmpp3m { steps },
        _ => Sampler::Unipc { steps },
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
        prop_assert_eq!(table.steps[0].t, schedule.t_max());
        let last = table.steps[table.steps.len() - 1];
        prop_assert_eq!((last.t_next, last.next.noise), (0.0, 0.0));
        let heun = matches!(sampler, Sampler::Heun { .. });
        for (index, step) in table.steps.iter().enumerate() {
            // The second evaluation of a step of Heun stays where it is.
            prop_assert!(step.t > step.t_next || (heun && index % 2 == 1 && step.t == step.t_next));
            prop_assert!(index == 0 || table.steps[index - 1].t_next == step.t);
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
        prop_assume!(!matches!(sampler, Sampler::EulerMaruyama { .. }));
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
            prop_assert!((mean - schedule.signal(step.t_next)).abs() < 1e-9, "{mean} at {}", step.t_next);
        }
    }

    #[test]
    fn posterior_samplers_keep_the_marginal(steps in 1usize..60, eta in 0.0..=1.0f64, schedule in any_schedule()) {
        // With the true x0 the update maps N(a x0, s^2) onto N(a_u x0, s_u^2), whatever eta.
        let ddpm = Sampler::Ddpm { steps };
        for sampler in [Sampler::Ddim { steps, eta }, Sampler::EulerAncestral { steps, eta }, ddpm] {
            for step in &sampler.table(&schedule).steps {
                let mean = step.next.x * schedule.signal(step.t) + step.next.denoised;
                let variance = (step.next.x * schedule.noise(step.t)).powi(2) + step.next.noise.powi(2);
                prop_assert!((mean - schedule.signal(step.t_next)).abs() < 1e-12);
                prop_assert!((variance - schedule.noise(step.t_next).powi(2)).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn equivalent_samplers_agree() {
    let steps = 23;
    let worst = |left: Sampler, right: Sampler, schedule: &Schedule| {
        let left = left.table(schedule);
        let right = right.table(schedule);
        let pairs = left.steps.iter().zip(&right.steps);
        pairs
            .flat_map(|(left, right)| terms(&left.next).into_iter().zip(terms(&right.next)))
            .fold(0.0, |worst: f64, (left, right)| worst.max((left - right).abs()))
    };
    let ddpm = || Sampler::Ddpm { steps };
    for schedule in
        [Schedule::vp_linear(), Schedule::cosine(), Schedule::scaled_linear(), Schedule::karras(), Schedule::flow()]
    {
        assert!(worst(Sampler::Euler { steps }, Sampler::Ddim { steps, eta: 0.0 }, &schedule) < 1e-12);
        assert!(worst(Sampler::EulerAncestral { steps, eta: 1.0 }, ddpm(), &schedule) < 1e-12);
        assert!(worst(Sampler::Ddim { steps, eta: 1.0 }, ddpm(), &schedule) < 1e-12);
    }
}

#[test]
fn the_last_ddim_step_returns_the_denoised_value() {
    let table = Sampler::Ddim { steps: 7, eta: 0.0 }.table(&Schedule::cosine());
    assert_eq!(table.steps[6].next, Update { denoised: 1.0, ..Update::default() });
}

#[test]
fn the_names_in_a_configuration_are_fixed() {
    let parse = serde_json::from_str::<Sampler>;
    assert_eq!(parse(r#"{"kind": "ddim"}"#).unwrap(), Sampler::Ddim { steps: 50, eta: 0.0 });
    assert_eq!(parse(r#"{"kind": "euler-maruyama"}"#).unwrap(), Sampler::EulerMaruyama { steps: 250 });
    assert!(parse(r#"{"kind": "euler-maruyama", "eta": 0.5}"#).is_err());
    assert_eq!(parse(r#"{"kind": "ddpm"}"#).unwrap(), Sampler::Ddpm { steps: 1000 });
    assert_eq!(parse(r#"{"kind": "euler"}"#).unwrap(), Sampler::Euler { steps: 50 });
    assert_eq!(parse(r#"{"kind": "euler-ancestral"}"#).unwrap(), Sampler::EulerAncestral { steps: 50, eta: 1.0 });
    assert_eq!(parse(r#"{"kind": "heun"}"#).unwrap(), Sampler::Heun { steps: 25 });
    assert_eq!(parse(r#"{"kind": "dpmpp-2m"}"#).unwrap(), Sampler::Dpmpp2m { steps: 20 });
    assert_eq!(parse(r#"{"kind": "dpmpp-3m"}"#).unwrap(), Sampler::Dpmpp3m { steps: 20 });
    assert_eq!(parse(r#"{"kind": "unipc"}"#).unwrap(), Sampler::Unipc { steps: 20 });
    assert!(Sampler::Heun { steps: 0 }.check().is_err());
    assert!(Sampler::EulerAncestral { steps: 1, eta: f64::NAN }.check().is_err());
    assert!(Sampler::Ddim { steps: 0, eta: 0.0 }.check().is_err());
    assert!(Sampler::Ddim { steps: 1, eta: 1.5 }.check().is_err());
}
