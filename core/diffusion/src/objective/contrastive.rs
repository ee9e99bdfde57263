//! The contrastive loss (InfoNCE): pulls vectors of one row together and pushes those of different rows apart.

use tch::{Kind, Tensor};

use crate::{Result, TensorExt};

/// Lower bound of norms, so that a zero vector stays finite.
const SHORTEST: f64 = 1e-6;
/// Vectors whose cosine is within this of 1 are equal, f32.
const SAME: f64 = 1e-5;

/// Symmetric InfoNCE of u and v, `[row, ...]` each, flattened and normalized to length 1: with S = u v^T / temperature,
/// the mean of the cross-entropies of the rows of S and of S^T against the diagonal (Radford et al. 2021, figure 3).
/// Returns the loss and the fraction of rows whose nearest v is their own, 0-dimensional each.
///
/// # Errors
/// The shapes differ.
pub fn info_nce(u: &Tensor, v: &Tensor, temperature: f64) -> Result<(Tensor, Tensor)> {
    let u = directions(u)?;
    let v = directions(v)?;
    of_cosines(&cosines(&u, &v)?, temperature)
}

/// See [`info_nce`], without the pairs of rows with equal v: no u could distinguish them.
///
/// # Errors
/// The shapes differ.
pub(super) fn info_nce_of_distinct(u: &Tensor, v: &Tensor, temperature: f64) -> Result<(Tensor, Tensor)> {
    let u = directions(u)?;
    let v = directions(v)?;
    let similar = cosines(&u, &v)?;
    let among = cosines(&v, &v)?;
    let equal = among.try_gt(1.0 - SAME)?;
    let own = Tensor::try_eye(v.size()[0], (Kind::Bool, v.device()))?;
    let others = equal.try_logical_xor(&own)?;
    of_cosines(&similar.try_masked_fill(&others, f64::NEG_INFINITY)?, temperature)
}

fn cosines(u: &Tensor, v: &Tensor) -> Result<Tensor> {
    u.try_matmul(&v.try_t()?)
}

fn of_cosines(cosines: &Tensor, temperature: f64) -> Result<(Tensor, Tensor)> {
    let similar = cosines.try_div_scalar(temperature)?;
    let rows = Tensor::try_arange(similar.size()[0], (Kind::Int64, similar.device()))?;
    let entropy = |scores: &Tensor| scores.try_cross_entropy(&rows);
    let turned = similar.try_t()?;
    let one = entropy(&similar)?;
    let other = entropy(&turned)?;
    let loss = one.try_add(&other)?.try_mul_scalar(0.5)?;
    let right = similar.try_argmax(-1, false)?.try_eq_tensor(&rows)?.try_mean_all(Kind::Float)?;
    Ok((loss, right))
}

fn directions(vectors: &Tensor) -> Result<Tensor> {
    let flat = vectors.try_flatten(1, -1)?;
    let length = flat.try_norm(-1)?.try_clamp_min(SHORTEST)?;
    flat.try_div(&length)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// The loss in f64, from the definition.
    fn reference(u: &[[f64; 3]], v: &[[f64; 3]], temperature: f64) -> f64 {
        let unit = |x: &[f64; 3]| x.map(|value| value / x.iter().map(|y| y * y).sum::<f64>().sqrt());
        let u: Vec<_> = u.iter().map(unit).collect();
        let v: Vec<_> = v.iter().map(unit).collect();
        let score = |i: usize, j: usize| u[i].iter().zip(&v[j]).map(|(a, b)| a * b).sum::<f64>() / temperature;
        let rows = u.len();
        let entropy = |score: &dyn Fn(usize, usize) -> f64| {
            let of = |i: usize| (0..rows).map(|j| score(i, j).exp()).sum::<f64>().ln() - score(i, i);
            (0..rows).map(of).sum::<f64>() / rows as f64
        };
        (entropy(&|i, j| score(i, j)) + entropy(&|i, j| score(j, i))) / 2.0
    }

    #[test]
    fn the_loss_matches_the_definition() {
        let u = [[1.0, 0.5, -0.2], [0.3, -1.0, 2.0], [-0.7, 0.1, 0.4], [0.2, 0.9, 0.9]];
        let v = [[0.8, 0.7, 0.1], [0.1, -0.4, 1.0], [0.5, 0.5, 0.5], [-0.3, 1.0, 0.6]];
        let tensor = |rows: &[[f64; 3]]| Tensor::from_slice(&rows.concat()).view([4, 3, 1]).to_kind(Kind::Float);
        let (loss, right) = info_nce(&tensor(&u), &tensor(&v), 0.3).unwrap();
        assert!((loss.double_value(&[]) - reference(&u, &v, 0.3)).abs() < 1e-6, "f32");
        assert!((0.0..=1.0).contains(&right.double_value(&[])));
        let (same, all) = info_nce(&tensor(&u), &(tensor(&u) * 7.0), 0.01).unwrap();
        assert!(same.double_value(&[]) < 1e-3 && all.double_value(&[]) == 1.0, "lengths do not count");
        let twins = [0i64, 1, 1, 3];
        let u = tensor(&u);
        let v = tensor(&v).index_select(0, &Tensor::from_slice(&twins));
        let (apart, _) = info_nce_of_distinct(&u, &v, 0.3).unwrap();
        let of = |rows: [i64; 3]| {
            let pick = |x: &Tensor| x.index_select(0, &Tensor::from_slice(&rows));
            info_nce(&pick(&u), &pick(&v), 0.3).unwrap().0.double_value(&[])
        };
        assert!(apart.double_value(&[]) < info_nce(&u, &v, 0.3).unwrap().0.double_value(&[]));
        assert!(apart.double_value(&[]) < of([0, 1, 3]).max(of([0, 2, 3])) + 1e-6, "twins do not count, f32");
        let zero = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
        assert!(info_nce(&zero, &zero, 0.3).unwrap().0.double_value(&[]).is_finite());
    }
}
