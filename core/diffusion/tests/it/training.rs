//! A training step: micro-batches give the result of the whole batch.

use anyflow_config::Decay;
use anyflow_config::optimizer::Adamw;
use anyflow_config::times::{Independent, SubsetShared};
use anyflow_diffusion::{Density, DrawKey, LossOptions, Optimizer, Per, StreamSpec, TimeDistribution, denoising_loss};
use tch::{Kind, Tensor};

use crate::fakes::{normal, stirred_mlp, two_streams};

const ROWS: i64 = 24;

/// Weights after three steps in calls of `rows` rows, and the norm of the last gradient.
fn trained(rows: i64, law: &TimeDistribution) -> (Vec<(String, Tensor)>, f64) {
    let network = stirred_mlp(&two_streams());
    let config = Adamw { lr: 1e-3, warmup: 0, decay: Decay::Constant, weight_decay: 0.0, max_grad_norm: 1.0 };
    let mut optimizer = Optimizer::new(config, 3, 0.0, network.parameters()).unwrap();
    let latents: Vec<Tensor> = two_streams().iter().map(|stream: &StreamSpec| normal(ROWS, &stream.shape)).collect();
    let mut norm = 0.0;
    for step in 0..3u32 {
        let mut total = Tensor::zeros([0i64; 0], (Kind::Float, latents[0].device()));
        for first in (0..ROWS).step_by(rows as usize) {
            let count = rows.min(ROWS - first);
            let part: Vec<Tensor> = latents.iter().map(|latent| latent.narrow(0, first, count)).collect();
            let options = LossOptions { first_row: first as usize, ..LossOptions::default() };
            let loss = denoising_loss(network.as_ref(), &part, law, &options, DrawKey { seed: 7, step }).unwrap().loss;
            let share = loss * (count as f64 / ROWS as f64);
            share.backward();
            total += share.detach();
        }
        norm = optimizer.step(&total, u64::from(step), 1e-3).unwrap().double_value(&[]);
    }
    (network.parameters(), norm)
}

#[test]
fn micro_batches_give_the_step_of_the_whole_batch() {
    for law in [
        TimeDistribution::SubsetShared(SubsetShared {
            p_cond: 0.5,
            p_absent: 0.2,
            per: Per::Sample,
            density: Density::Uniform,
        }),
        TimeDistribution::SubsetShared(SubsetShared {
            p_cond: 0.5,
            p_absent: 0.2,
            per: Per::Batch,
            density: Density::Uniform,
        }),
        TimeDistribution::Independent(Independent { density: Density::Uniform }),
    ] {
        let (whole, norm) = trained(ROWS, &law);
        for rows in [1, 7, 12] {
            let (parts, of_parts) = trained(rows, &law);
            assert!((of_parts / norm - 1.0).abs() < 1e-5, "norm, f32");
            for ((name, whole), (_, part)) in whole.iter().zip(&parts) {
                let off = (whole - part).abs().max().double_value(&[]);
                assert!(off < 1e-5, "{name} in calls of {rows}: {off} in f32");
            }
        }
    }
}
