//! The distance of generated rows from their true rows, and how often the true row is the nearest of all.

use anyflow_plan::findings::{Figure, Nearness, Truth};
use tch::{Kind, Tensor};

use crate::Result;

/// Sums over the rows of a seed.
#[derive(Clone, Copy, Default)]
pub struct Near {
    rows: f64,
    distance: f64,
    /// Number of rows whose true row is the nearest.
    nearest: f64,
}

/// The sums of a seed by both distances.
pub struct Comparison {
    /// By distance of the judge's features.
    pub features: Near,
    /// By perceptual distance, if the judge has one.
    pub perceptual: Option<Near>,
}

/// The sums of all seeds.
#[derive(Default)]
pub struct Truths {
    features: Vec<Near>,
    perceptual: Vec<Near>,
}

impl Near {
    /// Adds rows: distances `[row, other]` in host memory, and the index of each row's true row among the others.
    ///
    /// # Errors
    /// An index is out of range, which is a bug.
    pub fn add(&mut self, distances: &Tensor, own: &[i64]) -> Result<()> {
        let own = Tensor::from_slice(own);
        let sum = |values: Tensor| -> Result<f64> { Ok(f64::try_from(values.f_sum(Kind::Double)?)?) };
        self.rows += own.size()[0] as f64;
        self.distance += sum(distances.f_gather(1, &own.f_unsqueeze(1)?, false)?)?;
        self.nearest += sum(distances.f_argmin(1, false)?.f_eq_tensor(&own)?)?;
        Ok(())
    }
}

impl Truths {
    /// Adds a seed.
    pub fn add(&mut self, seed: Option<Comparison>) {
        let Some(Comparison { features, perceptual }) = seed else { return };
        self.features.push(features);
        self.perceptual.extend(perceptual);
    }

    /// The figures over all seeds; `None` without a seed.
    pub fn findings(&self) -> Option<Truth> {
        let of = |seeds: &[Near]| {
            let figure = |sum: fn(&Near) -> f64| Figure::of(seeds.iter().map(|near| sum(near) / near.rows).collect());
            (!seeds.is_empty())
                .then(|| Nearness { distance: figure(|near| near.distance), nearest: figure(|near| near.nearest) })
        };
        Some(Truth { features: of(&self.features)?, perceptual: of(&self.perceptual) })
    }
}

/// Squared Euclidean distances: `[row, feature]` and `[other, feature]` -> `[row, other]`.
///
/// # Errors
/// The numbers of features differ.
pub fn squared_distances(rows: &Tensor, others: &Tensor) -> Result<Tensor> {
    let squares = |of: &Tensor| of.f_square().and_then(|s| s.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float));
    let sum = squares(rows)?.f_unsqueeze(1)?.f_add(&squares(others)?.f_unsqueeze(0)?)?;
    Ok(sum.f_sub(&rows.f_matmul(&others.f_tr()?)?.f_mul_scalar(2.0)?)?.f_clamp_min(0.0)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn squared_distances_of_every_pair() {
        let uniform = |rows| Tensor::rand([rows, 7], (Kind::Float, Device::Cpu));
        let rows = uniform(3);
        let others = uniform(5);
        let wanted = Tensor::cdist(&rows, &others, 2.0, None::<i64>).square();
        let off = (squared_distances(&rows, &others).unwrap() - wanted).abs().max().double_value(&[]);
        assert!(off < 1e-5, "f32: {off}");
    }

    #[test]
    fn figures_are_means_per_seed() {
        // Row 0 is nearest to 1, its true row. Row 1 is nearest to 0, but its true row is 2.
        let distances = Tensor::from_slice(&[0.5f32, 0.25, 1.0, 0.0, 2.0, 0.75]).view([2, 3]);
        let mut near = Near::default();
        near.add(&distances, &[1, 2]).unwrap();
        let mut truths = Truths::default();
        assert_eq!(truths.findings(), None);
        truths.add(Some(Comparison { features: near, perceptual: None }));
        near.add(&distances, &[1, 0]).unwrap();
        truths.add(Some(Comparison { features: near, perceptual: Some(near) }));
        let found = truths.findings().unwrap();
        assert_eq!(found.features.distance.per_seed, [0.5, 0.3125]);
        assert_eq!(found.features.nearest.per_seed, [0.5, 0.75]);
        assert_eq!(found.perceptual.unwrap().nearest.per_seed, [0.75]);
    }
}
