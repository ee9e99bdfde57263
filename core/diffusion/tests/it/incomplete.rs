//! Rows that lack streams: absent there, without loss and gradient, and drawn among the streams that they have.

use std::sync::Mutex;

use anyflow_config::times::{Alternating, Independent, SharedAll, SubsetShared};
use anyflow_diffusion::{
    ContrastiveLoss, Denoiser, DenoiserInput, Density, DrawKey, LossOptions, Parameterization, Per, Result, Schedule,
    State, StreamSpec, TimeDistribution, denoising_loss, info_nce,
};
use indexmap::IndexMap;
use tch::Tensor;

use crate::fakes::{bits, normal, stream, values};

const ROWS: usize = 96;
const KEY: DrawKey = DrawKey { seed: 17, step: 3 };

/// Predicts leaves, so that the gradient of the loss by the prediction can be read; shows its leaves as environments.
struct Leaves {
    streams: Vec<StreamSpec>,
    leaves: Vec<Tensor>,
    input: Mutex<Option<DenoiserInput>>,
}

impl Leaves {
    fn new() -> Self {
        let of = |(name, size)| stream(name, &[size], Schedule::vp_linear(), Parameterization::X0);
        let streams: Vec<StreamSpec> = [("a", 2), ("b", 3), ("c", 4)].map(of).to_vec();
        let leaves = streams.iter().map(|stream| normal(ROWS as i64, &stream.shape).set_requires_grad(true)).collect();
        Leaves { streams, leaves, input: Mutex::new(None) }
    }

    fn latents(&self) -> Vec<Tensor> {
        self.streams.iter().map(|stream| normal(ROWS as i64, &stream.shape) * -0.5 + 0.1).collect()
    }

    /// Presence and time of a stream in a row.
    fn seen(&self, row: usize, stream: usize) -> (f64, f64) {
        let input = self.input.lock().unwrap();
        let at = [row as i64, stream as i64];
        let input = input.as_ref().unwrap();
        (input.present().unwrap().double_value(&at), input.t().unwrap().double_value(&at))
    }

    fn gradient(&self, row: usize, stream: usize) -> Tensor {
        self.leaves[stream].grad().get(row as i64)
    }
}

impl Denoiser for Leaves {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let x = batch.x.iter().map(Tensor::copy).collect();
        let seen = DenoiserInput::new(x, batch.t().unwrap().copy(), batch.present().unwrap().copy());
        *self.input.lock().unwrap() = Some(seen);
        Ok(self.leaves.iter().map(Tensor::shallow_clone).collect())
    }

    fn environments(&self, _batch: &DenoiserInput) -> Result<Vec<Option<Tensor>>> {
        // All of one size, as environments are.
        Ok(self.leaves.iter().map(|leaf| Some(leaf.narrow(1, 0, 2))).collect())
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// Every combination of missing streams in turn: 0b000 to 0b111.
fn lacking() -> Vec<u64> {
    (0..ROWS as u64).map(|row| row % 8).collect()
}

fn laws() -> Vec<TimeDistribution> {
    let density = Density::Uniform;
    let subsets = |per| TimeDistribution::SubsetShared(SubsetShared { p_cond: 0.8, p_absent: 0.3, per, density });
    let pattern = |states: [(&str, State); 2]| states.map(|(name, state)| (name.to_string(), state)).into();
    let patterns: Vec<IndexMap<String, State>> =
        vec![pattern([("a", State::Noisy), ("b", State::Clean)]), pattern([("c", State::Noisy), ("a", State::Clean)])];
    vec![
        subsets(Per::Sample),
        subsets(Per::Batch),
        TimeDistribution::Independent(Independent { density }),
        TimeDistribution::SharedAll(SharedAll { per: Per::Sample, density }),
        TimeDistribution::Alternating(Alternating { patterns, per: Per::Sample, density }),
    ]
}

#[test]
fn a_missing_stream_has_no_loss_and_every_row_trains_what_it_has() {
    for law in laws() {
        let denoiser = Leaves::new();
        let lacking = lacking();
        let options = LossOptions { lacking: lacking.clone(), ..LossOptions::default() };
        let output = denoising_loss(&denoiser, &denoiser.latents(), &law, &options, KEY).unwrap();
        output.loss.backward();
        let latents = denoiser.latents();
        let mut loss = 0.0;
        for (row, lacking) in lacking.iter().enumerate() {
            let is_noisy = |stream: &usize| {
                let (present, t) = denoiser.seen(row, *stream);
                present == 1.0 && t > 0.0
            };
            let noisy: Vec<usize> = (0..3).filter(is_noisy).collect();
            let elements: i64 = noisy.iter().map(|index| denoiser.streams[*index].elements()).sum();
            for (index, latent) in latents.iter().enumerate() {
                let gradient = denoiser.gradient(row, index);
                let error = &denoiser.leaves[index].get(row as i64).detach() - latent.get(row as i64);
                if noisy.contains(&index) {
                    // d/dp of sum (p - x0)^2 / (noisy elements) / rows.
                    let wanted = &error * (2.0 / elements as f64 / ROWS as f64);
                    assert!((gradient - wanted).abs().max().double_value(&[]) < 1e-7, "f32, row {row} of {law:?}");
                    loss += error.square().sum(tch::Kind::Double).double_value(&[]) / elements as f64 / ROWS as f64;
                } else {
                    assert_eq!(gradient.abs().max().double_value(&[]), 0.0, "row {row}, stream {index} of {law:?}");
                }
                if lacking >> index & 1 == 1 {
                    assert_eq!(denoiser.seen(row, index), (0.0, 1.0), "row {row}, stream {index} of {law:?}");
                }
            }
            // `b` is never noisy in the patterns of `alternating`.
            let trainable = if matches!(law, TimeDistribution::Alternating(_)) { 0b101 } else { 0b111 };
            assert_eq!(!noisy.is_empty(), trainable & !lacking != 0, "row {row} of {law:?}");
        }
        assert!((output.loss.double_value(&[]) - loss).abs() < 1e-5, "f32, {law:?}");
    }
}

#[test]
fn what_a_missing_stream_holds_does_not_count() {
    for law in laws() {
        let loss = |fill: f64| {
            let denoiser = Leaves::new();
            let latents = denoiser.latents();
            let options = LossOptions { lacking: lacking(), ..LossOptions::default() };
            for (row, lacking) in options.lacking.iter().enumerate() {
                for (index, latent) in latents.iter().enumerate().filter(|(index, _)| lacking >> index & 1 == 1) {
                    let _ = latent.get(row as i64).fill_(fill + index as f64);
                }
            }
            let loss = denoising_loss(&denoiser, &latents, &law, &options, KEY).unwrap().loss;
            let x: Vec<_> = denoiser.input.lock().unwrap().as_ref().unwrap().x.iter().map(values).collect();
            (bits(&loss.detach().view([1])), x)
        };
        assert_eq!(loss(0.0), loss(7.0), "{law:?}");
    }
}

#[test]
fn complete_rows_have_the_bits_of_a_call_without_missing_streams() {
    for law in laws() {
        let loss = |lacking: Vec<u64>| {
            let denoiser = Leaves::new();
            let options = LossOptions { lacking, ..LossOptions::default() };
            let output = denoising_loss(&denoiser, &denoiser.latents(), &law, &options, KEY).unwrap();
            output.loss.backward();
            denoiser.leaves.iter().map(|leaf| bits(&leaf.grad())).collect::<Vec<_>>()
        };
        assert_eq!(loss(Vec::new()), loss(vec![0; ROWS]), "{law:?}");
    }
}

#[test]
fn rows_without_both_streams_are_no_pairs_of_the_contrastive_loss() {
    let law = TimeDistribution::SharedAll(Default::default());
    let denoiser = Leaves::new();
    let terms = |contrast: Option<ContrastiveLoss>| {
        let options = LossOptions { lacking: lacking(), contrast, ..LossOptions::default() };
        denoising_loss(&denoiser, &denoiser.latents(), &law, &options, KEY).unwrap().loss.double_value(&[])
    };
    let temperature = 0.2;
    let contrast = ContrastiveLoss { weight: 0.9, temperature, stream: None };
    let mut wanted = 0.0;
    for pair in [0b011, 0b101, 0b110] {
        let both: Vec<i64> = (0..ROWS as i64).filter(|row| lacking()[*row as usize] & pair == 0).collect();
        let tokens = (0..3)
            .filter(|index| pair >> index & 1 == 1)
            .map(|index| denoiser.leaves[index].narrow(1, 0, 2).index_select(0, &Tensor::from_slice(&both)));
        let tokens: Vec<Tensor> = tokens.collect();
        let (loss, _) = info_nce(&tokens[1], &tokens[0], temperature).unwrap();
        wanted += 0.9 / 3.0 * both.len() as f64 / ROWS as f64 * loss.double_value(&[]);
    }
    let found = terms(Some(contrast)) - terms(None);
    assert!((found - wanted).abs() < 1e-5, "f32: {found} {wanted}");
}

#[test]
fn a_mask_of_another_number_of_rows_is_rejected() {
    let denoiser = Leaves::new();
    let options = LossOptions { lacking: vec![0; 3], ..LossOptions::default() };
    let law = TimeDistribution::SharedAll(Default::default());
    let error = denoising_loss(&denoiser, &denoiser.latents(), &law, &options, KEY).unwrap_err().to_string();
    assert!(error.contains("the streams that rows lack"), "{error}");
}
