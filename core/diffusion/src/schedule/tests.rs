//! Properties of every schedule.

use super::*;
use anyflow_config::schedule::{Cosine, Karras, ScaledLinear, VpLinear};
use proptest::prelude::*;

fn any_schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        (0.01..1.0f64, 1.0..40.0f64).prop_map(|(beta_min, beta_max)| Schedule::new(VpLinear { beta_min, beta_max })),
        (0.001..0.1f64).prop_map(|offset| Schedule::new(Cosine { offset })),
        (1e-4..0.01f64, 0.01..0.05f64)
            .prop_map(|(beta_start, beta_end)| Schedule::new(ScaledLinear { beta_start, beta_end })),
        (0.001..0.5f64, 1.0..100.0f64, 1.0..10.0f64).prop_map(|(sigma_min, sigma_max, rho)| Schedule::new(Karras {
            sigma_min,
            sigma_max,
            rho
        })),
        Just(Schedule::flow()),
    ]
}

/// Central differences of width 2 H.
const H: f64 = 1e-5;

proptest! {
    #[test]
    fn variance_is_preserved(schedule in any_schedule(), t in 0.0..=1.0f64) {
        let a = schedule.signal(t);
        let s = schedule.noise(t);
        match schedule.kind {
            config::ScheduleConfig::Flow(_) => prop_assert!((a + s - 1.0).abs() < 1e-14),
            _ => prop_assert!((a * a + s * s - 1.0).abs() < 1e-14, "{a} {s}"),
        }
    }

    #[test]
    fn signal_falls_and_noise_grows(schedule in any_schedule(), t in 0.0..0.99f64) {
        let later = t + 0.01;
        prop_assert!(schedule.signal(later) < schedule.signal(t));
        prop_assert!(schedule.noise(later) > schedule.noise(t));
    }

    #[test]
    fn beta_is_the_slope_of_log_signal(schedule in any_schedule(), t in 0.01..0.95f64) {
        let t = middle(&schedule, t);
        let slope = (schedule.signal(t + H).ln() - schedule.signal(t - H).ln()) / (2.0 * H);
        prop_assert!((-2.0 * slope / schedule.beta(t) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn diffusion_matches_the_slope_of_the_marginal(schedule in any_schedule(), t in 0.01..0.95f64) {
        // d s^2 / dt = -beta s^2 + g^2
        let t = middle(&schedule, t);
        let slope = (schedule.noise(t + H).powi(2) - schedule.noise(t - H).powi(2)) / (2.0 * H);
        let needed = slope + schedule.beta(t) * schedule.noise(t).powi(2);
        prop_assert!((needed / schedule.diffusion(t) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn times_fall_from_the_last_to_0(schedule in any_schedule(), steps in 1usize..400) {
        let times = schedule.times(steps);
        prop_assert_eq!((times.len(), times[0], times[steps]), (steps + 1, schedule.t_max(), 0.0));
        prop_assert!(times.windows(2).all(|pair| pair[0] > pair[1]));
    }
}

/// A time at which the schedule has a slope: not at the steps of a discrete schedule.
fn middle(schedule: &Schedule, t: f64) -> f64 {
    if matches!(schedule.kind, config::ScheduleConfig::ScaledLinear(_)) {
        ((t * 1000.0).floor() + 0.5) / 1000.0
    } else {
        t
    }
}

#[test]
fn karras_has_the_levels_of_the_paper() {
    let schedule = Schedule::karras();
    let sigma = |t| schedule.noise(t) / schedule.signal(t);
    for steps in [2, 18, 256] {
        let times = schedule.times(steps);
        for (i, t) in times[..steps].iter().enumerate() {
            let share = i as f64 / (steps - 1) as f64;
            let root = 80f64.powf(1.0 / 7.0) + share * (0.002f64.powf(1.0 / 7.0) - 80f64.powf(1.0 / 7.0));
            assert!((sigma(*t) / root.powi(7) - 1.0).abs() < 1e-10, "{i} of {steps}");
        }
    }
}

#[test]
fn scaled_linear_is_the_discrete_chain() {
    // The last cumulative product of Stable Diffusion v1, as diffusers and CompVis publish it in f32: 0.0047.
    let schedule = Schedule::scaled_linear();
    assert!((schedule.signal(1.0).powi(2) - 0.00466).abs() < 1e-5);
    assert!((schedule.signal(0.001).powi(2) - (1.0 - 0.00085)).abs() < 1e-15);
    // Rates as sums of steps: the first and the last beta of the chain, per unit of time.
    assert!((schedule.beta(0.001) / 1000.0 + (1.0f64 - 0.00085).ln()).abs() < 1e-12);
    assert!((schedule.beta(1.0) / 1000.0 + (1.0f64 - 0.012).ln()).abs() < 1e-12);
}

#[test]
fn both_ends_are_exact_and_the_sampling_range_is_finite() {
    let ends = [
        (Schedule::vp_linear(), 6e-3..7e-3),
        (Schedule::cosine(), 6e-3..7e-3),
        (Schedule::scaled_linear(), 0.068..0.069),
        (Schedule::karras(), 0.0124..0.0125),
        (Schedule::flow(), 0.0009..0.0011),
    ];
    for (schedule, end) in ends {
        assert_eq!((schedule.signal(0.0), schedule.noise(0.0)), (1.0, 0.0), "{schedule:?}");
        schedule.check().unwrap();
        let t = schedule.t_max();
        assert!(end.contains(&schedule.signal(t)), "{schedule:?}: {}", schedule.signal(t));
        assert!(schedule.beta(t).is_finite() && schedule.log_snr(t).is_finite() && schedule.log_snr(T_MIN) > 6.0);
    }
    assert_eq!(Schedule::cosine().signal(1.0), 0.0);
}

#[test]
fn the_noise_rate_is_the_slope_of_the_log_ratio() {
    for schedule in [Schedule::vp_linear(), Schedule::cosine(), Schedule::flow(), Schedule::karras()] {
        for t in [0.0123, 0.1, 0.377, 0.9] {
            let slope = (schedule.log_snr(t + 1e-6) - schedule.log_snr(t - 1e-6)) / 2e-6;
            assert!((slope / schedule.noise_rate(t) + 1.0).abs() < 1e-6, "{schedule:?} at {t}");
        }
    }
}
