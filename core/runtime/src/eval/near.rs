//! How near rows are to those that they were to be.

use anyflow_plan::findings::{Figure, Nearness, Truth};
use tch::{Kind, Tensor};

use crate::Result;

/// Of the rows of a seed, added up.
#[derive(Clone, Copy, Default)]
pub struct Near {
    rows: f64,
    distance: f64,
    nearest: f64,
}

/// In features, and as the rows appear, if the judge tells that.
pub struct Comparison {
    /// In the judge's features.
    pub features: Near,
    /// By perceptual distance.
    pub perceptual: Option<Near>,
}

/// What comes together seed by seed.
#[derive(Default)]
pub struct Truths {
    features: Vec<Near>,
    perceptual: Vec<Near>,
}

impl Near {
    /// Adds rows: `[row, other]` distances in host memory, and which of the others is a row's own.
    ///
    /// # Errors
    /// Only by our mistake.
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

    /// The figures; nothing if nothing was added.
    pub fn findings(&self) -> Option<Truth> {
        let of = |seeds: &[Near]| {
            let figure = |sum: fn(&Near) -> f64| Figure::of(seeds.iter().map(|near| sum(near) / near.rows).collect());
            (!seeds.is_empty())
                .then(|| Nearness { distance: figure(|near| near.distance), nearest: figure(|near| near.nearest) })
        };
        Some(Truth { features: of(&self.features)?, perceptual: of(&self.perceptual) })
    }
}

/// `[row, number]` and `[other, number]` -> `[row, other]`: the squares of the differences, summed.
///
/// # Errors
/// Rows of two lengths.
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
    fn distances_are_those_of_every_pair() {
        let uniform = |rows| Tensor::rand([rows, 7], (Kind::Float, Device::Cpu));
        let (rows, others) = (uniform(3), uniform(5));
        let wanted = Tensor::cdist(&rows, &others, 2.0, None::<i64>).square();
        let off = (squared_distances(&rows, &others).unwrap() - wanted).abs().max().double_value(&[]);
        assert!(off < 1e-5, "f32: {off}");
    }

    #[test]
    fn seeds_are_averaged_and_rows_nearest_to_their_own_counted() {
        // Row 0 is nearest to 1, its own; row 1 to 0, its own being 2.
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
