//! The training objective: masks, weights, and the draws of time distributions.

use std::sync::Mutex;

use anyflow_config::times::{Independent, SharedAll, SubsetShared};
use anyflow_diffusion::{
    Denoiser, DenoiserInput, Density, DrawKey, Draws, LossOptions, Parameterization, Per, Result, Schedule, State,
    StreamSpec, TimeDistribution, Weight, denoising_loss, loss_weight,
};
use tch::{Device, Kind, Tensor};

use crate::fakes::{bits, normal, stream, two_streams, values};

const ROWS: usize = 64;
const KEY: DrawKey = DrawKey { seed: 17, step: 3 };

const INDEPENDENT: TimeDistribution = TimeDistribution::Independent(Independent { density: Density::Uniform });
const SHARED: TimeDistribution = TimeDistribution::SharedAll(SharedAll { per: Per::Sample, density: Density::Uniform });

fn subsets(p_cond: f64, p_absent: f64, per: Per) -> TimeDistribution {
    TimeDistribution::SubsetShared(SubsetShared { p_cond, p_absent, per, density: Density::Uniform })
}

fn three_streams() -> Vec<StreamSpec> {
    let named = |name| stream(name, &[2], Schedule::vp_linear(), Parameterization::X0);
    ["a", "b", "c"].map(named).to_vec()
}

/// Predicts leaves, so that the gradient of the loss by the prediction can be read.
struct Leaves {
    streams: Vec<StreamSpec>,
    leaves: Vec<Tensor>,
    input: Mutex<Option<(Vec<Tensor>, Tensor, Tensor)>>,
}

impl Leaves {
    fn new(streams: Vec<StreamSpec>) -> Self {
        let leaf = |stream: &StreamSpec| normal(ROWS as i64, &stream.shape).set_requires_grad(true);
        let leaves = streams.iter().map(leaf).collect();
        Leaves { streams, leaves, input: Mutex::new(None) }
    }
}

impl Denoiser for Leaves {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let x = batch.x.iter().map(Tensor::copy).collect();
        *self.input.lock().unwrap() = Some((x, batch.t().unwrap().copy(), batch.present().unwrap().copy()));
        Ok(self.leaves.iter().map(Tensor::shallow_clone).collect())
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

fn latents(streams: &[StreamSpec]) -> Vec<Tensor> {
    streams.iter().enumerate().map(|(index, stream)| normal(ROWS as i64, &stream.shape) * -0.5 + index as f64).collect()
}

#[test]
fn observed_and_absent_coordinates_have_no_gradient_and_no_noise() {
    let denoiser = Leaves::new(two_streams());
    let law = subsets(0.8, 0.3, Per::Sample);
    let latents = latents(&denoiser.streams);
    let output = denoising_loss(&denoiser, &latents, &law, &LossOptions::default(), KEY).unwrap();
    output.loss.backward();
    let draw = law.draw(&denoiser.streams, ROWS, KEY.seed, KEY.step);
    let (x, t, present) = denoiser.input.lock().unwrap().take().unwrap();
    let mut seen = [0; 3];
    for row in 0..ROWS {
        for (index, state) in draw.states.row(row).iter().enumerate() {
            let gradient = denoiser.leaves[index].grad().get(row as i64).abs();
            let given = latents[index].get(row as i64);
            let shown = x[index].get(row as i64);
            let time = t.double_value(&[row as i64, index as i64]);
            let flag = present.double_value(&[row as i64, index as i64]);
            seen[*state as usize] += 1;
            match state {
                State::Noisy => {
                    assert!(gradient.min().double_value(&[]) > 0.0);
                    assert!(bits(&given) != bits(&shown) && time >= 1e-3 && flag == 1.0);
                }
                State::Clean => {
                    assert_eq!(gradient.max().double_value(&[]), 0.0);
                    assert!(bits(&given) == bits(&shown) && time == 0.0 && flag == 1.0);
                }
                State::Absent => {
                    assert_eq!(gradient.max().double_value(&[]), 0.0);
                    assert!(values(&shown).iter().all(|value| *value == 0.0) && flag == 0.0);
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn a_row_with_k_observed_coordinates_weighs_d_over_d_minus_k() {
    let law = subsets(0.7, 0.0, Per::Sample);
    let denoiser = Leaves::new(two_streams());
    let latents = latents(&denoiser.streams);
    denoising_loss(&denoiser, &latents, &law, &LossOptions::default(), KEY).unwrap().loss.backward();
    let draw = law.draw(&two_streams(), ROWS, KEY.seed, KEY.step);
    for row in 0..ROWS {
        // "left" has 3 coordinates and predicts x0; "right" has 4.
        let noisy = match draw.states.row(row) {
            [State::Noisy, State::Clean] => 3.0,
            [State::Noisy, State::Noisy] => 7.0,
            _ => continue,
        };
        let error = &denoiser.leaves[0].get(row as i64) - &latents[0].get(row as i64);
        let off = denoiser.leaves[0].grad().get(row as i64) - error * (2.0 / noisy / ROWS as f64);
        assert!(off.abs().max().double_value(&[]) < 1e-7, "row {row}: {off}");
    }
}

#[test]
fn the_loss_is_the_mean_square_error_of_the_noisy_part() {
    // One stream, everything noisy: the loss is the plain mean square error to x0.
    let denoiser = Leaves::new(three_streams()[..1].to_vec());
    let latents = latents(&denoiser.streams);
    let law = subsets(1.0, 0.0, Per::Sample);
    let output = denoising_loss(&denoiser, &latents, &law, &LossOptions::default(), KEY).unwrap();
    let expected = (&denoiser.leaves[0] - &latents[0]).square().mean(Kind::Float).double_value(&[]);
    assert!((output.loss.double_value(&[]) - expected).abs() < 1e-6);
    assert_eq!(output.per_stream[0].0, "a");
    assert!((output.per_stream[0].1.double_value(&[]) - expected).abs() < 1e-6);
    assert!(!output.per_stream[0].1.requires_grad());
}

#[test]
fn a_step_draws_the_same_again_and_another_step_does_not() {
    let denoiser = Leaves::new(two_streams());
    let latents = latents(&denoiser.streams);
    let loss = |seed, step| {
        let options = LossOptions::default();
        let loss =
            denoising_loss(&denoiser, &latents, &subsets(0.5, 0.1, Per::Sample), &options, DrawKey { seed, step })
                .unwrap()
                .loss;
        bits(&loss.view([1]).detach())
    };
    assert_eq!(loss(1, 2), loss(1, 2));
    assert_ne!(loss(1, 2), loss(1, 3));
    assert_ne!(loss(1, 2), loss(2, 2));
}

#[test]
fn subsets_times_and_absences_have_their_distribution() {
    let streams = three_streams();
    let rows = 40_000;
    let p_cond = 0.6;
    let p_absent = 0.25;
    let draw = subsets(p_cond, p_absent, Per::Sample).draw(&streams, rows, 5, 0);
    let mut by_subset = [0.0f64; 8];
    // Of two observed streams: none absent, the first, the second, both.
    let mut of_two = [0.0f64; 4];
    let mut time = 0.0;
    let mut square = 0.0;
    for row in 0..rows {
        let states = draw.states.row(row);
        let subset: usize = (0..3).map(|index| usize::from(states[index] != State::Noisy) << index).sum();
        by_subset[subset] += 1.0 / rows as f64;
        let given: Vec<State> = states.iter().copied().filter(|state| *state != State::Noisy).collect();
        if let [first, second] = given[..] {
            of_two[usize::from(first == State::Absent) + 2 * usize::from(second == State::Absent)] += 1.0;
        }
        let noisy: Vec<f64> =
            (0..3).filter(|index| states[*index] == State::Noisy).map(|index| draw.times[row * 3 + index]).collect();
        assert!(noisy.iter().all(|t| *t == noisy[0] && (1e-3..=1.0).contains(t)));
        time += noisy[0] / rows as f64;
        square += noisy[0] * noisy[0] / rows as f64;
    }
    // Four standard errors of a frequency, at most.
    let bound = |p: f64, count: f64| 4.0 * (p * (1.0 - p) / count).sqrt();
    assert!((by_subset[0] - (1.0 - p_cond)).abs() < bound(p_cond, rows as f64), "{by_subset:?}");
    assert_eq!(by_subset[7], 0.0, "all given");
    for share in &by_subset[1..7] {
        assert!((share - p_cond / 6.0).abs() < bound(p_cond / 6.0, rows as f64), "{by_subset:?}");
    }
    // One of two, or both: equally likely.
    let count = of_two.iter().sum::<f64>();
    for (found, expected) in of_two.iter().zip([1.0 - p_absent, p_absent / 4.0, p_absent / 4.0, p_absent / 2.0]) {
        assert!((found / count - expected).abs() < bound(expected, count), "{of_two:?}");
    }
    assert!((time - 0.5005).abs() < 6e-3 && (square - 1.0 / 3.0).abs() < 6e-3, "{time} {square}");
}

#[test]
fn a_subset_per_batch_is_one_for_all_rows_and_changes_with_the_step() {
    let law = subsets(1.0, 0.5, Per::Batch);
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..200 {
        let draw = law.draw(&three_streams(), 6, 5, step);
        for row in 1..6 {
            assert_eq!(draw.states.row(row), draw.states.row(0));
        }
        let index = draw.states.row(0).iter().position(|state| *state == State::Noisy).unwrap();
        assert_ne!(draw.times[index], draw.times[3 + index]);
        seen.insert(format!("{:?}", draw.states.row(0)));
    }
    // Three subsets of one stream in two states, three of two in four.
    assert_eq!(seen.len(), 18);
}

#[test]
fn the_other_distributions_keep_everything_noisy() {
    let streams = two_streams();
    let independent = INDEPENDENT.draw(&streams, 100, 1, 0);
    let shared = SHARED.draw(&streams, 100, 1, 0);
    assert_eq!(subsets(0.0, 1.0, Per::Sample).draw(&streams, 100, 1, 0), shared);
    for draw in [&independent, &shared] {
        assert!((0..100).all(|row| draw.states.row(row) == [State::Noisy; 2]));
    }
    // The range of the cosine schedule ends a little earlier; the fraction of the range is shared.
    let fraction = |pair: &[f64]| ((pair[0] - 1e-3) / 0.999, (pair[1] - 1e-3) / 0.995);
    assert!(shared.times.chunks(2).map(fraction).all(|(left, right)| (left - right).abs() < 1e-12));
    assert!(independent.times.chunks(2).map(fraction).all(|(left, right)| (left - right).abs() > 1e-9));
}

#[test]
fn one_time_may_be_drawn_for_the_batch() {
    let streams = two_streams();
    for density in [Density::Uniform, Density::LogitNormal] {
        let law = TimeDistribution::SharedAll(SharedAll { per: Per::Batch, density });
        let draw = law.draw(&streams, 50, 1, 4);
        assert!(draw.times.chunks(2).all(|pair| pair == &draw.times[..2]), "{density:?}");
        assert_ne!(law.draw(&streams, 50, 1, 5).times[0], draw.times[0], "{density:?}: each step draws its own");
        // The first row draws what it would draw alone.
        let alone = TimeDistribution::SharedAll(SharedAll { per: Per::Sample, density }).draw(&streams, 50, 1, 4);
        assert!(alone.times[..2] == draw.times[..2] && alone.times[2..4] != draw.times[2..4], "{density:?}");
    }
}

#[test]
fn latents_of_another_shape_are_rejected() {
    let denoiser = Leaves::new(two_streams());
    let options = LossOptions::default();
    let loss = |latents: &[Tensor]| denoising_loss(&denoiser, latents, &SHARED, &options, KEY);
    assert!(loss(&[]).is_err());
    assert!(loss(&latents(&denoiser.streams)[..1]).is_err());
    assert!(loss(&[normal(4, &[3]), Tensor::zeros([4, 5], (Kind::Float, Device::Cpu))]).is_err());
}

#[test]
fn logit_normal_times_have_their_quantiles() {
    let streams = two_streams();
    let rows = 40_000;
    let law = TimeDistribution::Independent(Independent { density: Density::LogitNormal });
    let draw = law.draw(&streams, rows, 2, 0);
    for (index, stream) in streams.iter().enumerate() {
        let least = stream.schedule.t_min();
        let most = stream.schedule.t_max();
        let fractions: Vec<f64> =
            draw.times.iter().skip(index).step_by(2).map(|t| (t - least) / (most - least)).collect();
        // Phi(-1), Phi(0), Phi(1); four standard errors of a frequency.
        for (normal, share) in [(-1.0f64, 0.158_655), (0.0, 0.5), (1.0, 0.841_345)] {
            let bound = 1.0 / (1.0 + (-normal).exp());
            let found = fractions.iter().filter(|fraction| **fraction < bound).count() as f64 / rows as f64;
            assert!((found - share).abs() < 4.0 * (share * (1.0 - share) / rows as f64).sqrt(), "{normal}: {found}");
        }
    }
}

#[test]
fn the_likelihood_weighs_every_parameterization_alike() {
    // At one x, an error in each prediction that is the same error in eps costs the same.
    let schedule = Schedule::cosine();
    for t in [0.02, 0.3, 0.8] {
        let a = schedule.signal(t);
        let s = schedule.noise(t);
        let of_eps = schedule.diffusion(t) / (s * s);
        // eps = (x - a x0) / s = s x + a v, variance being preserved.
        for (kind, eps_of_output) in
            [(Parameterization::Eps, 1.0), (Parameterization::X0, a / s), (Parameterization::V, a)]
        {
            let weight = loss_weight(Weight::Likelihood, &stream("a", &[1], schedule.clone(), kind), t);
            let expected = of_eps * eps_of_output * eps_of_output;
            assert!((weight / expected - 1.0).abs() < 1e-9, "{kind:?} at {t}: {weight} {expected}");
        }
    }
}
