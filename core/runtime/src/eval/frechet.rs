//! The Frechet distance of two sets of features, taken as Gaussians, and distances within a set.

use tch::{Kind, Tensor};

use crate::{Result, RunError};

/// Mean and covariance of features, in f64.
pub struct Moments {
    /// Rows they were taken from.
    pub rows: u64,
    /// `[feature]`
    mean: Tensor,
    /// `[feature, feature]`, divided by one less than the rows.
    covariance: Tensor,
}

impl Moments {
    /// Of features `[row, feature]`.
    ///
    /// # Errors
    /// Fewer than two rows have no covariance.
    pub fn of(features: &Tensor) -> Result<Moments> {
        let rows = features.size().first().copied().unwrap_or(0);
        if rows < 2 {
            return Err(RunError::Data(format!("a covariance needs at least 2 rows, here are {rows}; ask for more")));
        }
        let features = features.f_to_kind(Kind::Double)?;
        let mean = features.f_mean_dim(&[0i64][..], false, Kind::Double)?;
        let centred = features.f_sub(&mean)?;
        let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)?.f_div_scalar((rows - 1) as f64)?;
        Ok(Moments { rows: rows as u64, mean, covariance })
    }

    /// |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, eq. (6)).
    ///
    /// The trace of the root is the sum of the singular values of S1^(1/2) S2^(1/2), which unlike the roots of the
    /// eigenvalues of S1 S2 keeps full precision where features are constant.
    ///
    /// # Errors
    /// What libtorch says; NaN among the features.
    pub fn distance(&self, other: &Moments) -> Result<f64> {
        let apart = self.mean.f_sub(&other.mean)?.f_square()?.f_sum(Kind::Double)?;
        let traces = self.covariance.f_trace()?.f_add(&other.covariance.f_trace()?)?;
        let product = root(&self.covariance)?.f_matmul(&root(&other.covariance)?)?;
        let common = product.f_nuclear_norm(false)?;
        let distance = apart.f_add(&traces)?.f_sub(&common.f_mul_scalar(2.0)?)?;
        // Rounding can leave a little less than nothing of equal sets.
        Ok(f64::try_from(distance)?.max(0.0))
    }
}

/// The symmetric root of a covariance.
fn root(covariance: &Tensor) -> Result<Tensor> {
    let (values, vectors) = covariance.f_linalg_eigh("L")?;
    let roots = values.f_clamp_min(0.0)?.f_sqrt()?;
    Ok(vectors.f_mul(&roots)?.f_matmul(&vectors.f_transpose(0, 1)?)?)
}

/// Mean Euclidean distance of two rows of one class, over all such pairs; features are `[row, feature]`. Nothing where
/// no class has two rows.
///
/// # Errors
/// What libtorch says.
pub fn diversity(features: &Tensor, classes: &[i64], count: i64) -> Result<Option<f64>> {
    let (mut sum, mut pairs) = (0.0, 0i64);
    for class in 0..count {
        let rows = classes.iter().enumerate().filter(|(_, of)| **of == class).map(|(row, _)| row as i64);
        let rows: Vec<i64> = rows.take(MOST).collect();
        if rows.len() < 2 {
            continue;
        }
        let chosen = features.f_index_select(0, &Tensor::from_slice(&rows).f_to_device(features.device())?)?;
        let distances = chosen.f_to_kind(Kind::Double)?.f_pdist(2.0)?;
        sum += f64::try_from(distances.f_sum(Kind::Double)?)?;
        pairs += distances.size()[0];
    }
    Ok((pairs > 0).then(|| sum / pairs as f64))
}

/// Rows of a class that are compared at most: the pairs grow with its square.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Rows whose mean and covariance are exactly these: `[row, feature]` f64.
    fn exactly(mean: &[f64], covariance: &Tensor, rows: i64, seed: i64) -> Tensor {
        let d = mean.len() as i64;
        // Any full-rank numbers will do; a sine of squares is as good as a random number, and the same everywhere.
        let raw = Tensor::arange(rows * d, (Kind::Double, Device::Cpu)) + seed as f64;
        let raw = (raw.square() * 0.713).sin().reshape([rows, d]);
        let raw = &raw - raw.mean_dim(&[0i64][..], true, Kind::Double);
        let sample = raw.transpose(0, 1).matmul(&raw) / (rows - 1) as f64;
        let white = raw.matmul(&root(&sample).unwrap().inverse());
        white.matmul(&root(covariance).unwrap()) + Tensor::from_slice(mean)
    }

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        Moments::of(a).unwrap().distance(&Moments::of(b).unwrap()).unwrap()
    }

    #[test]
    fn gaussians_with_one_set_of_axes_have_a_closed_form() {
        let [a, b] = [[4.0, 1.0, 0.25], [1.0, 9.0, 0.0]];
        let one = exactly(&[0.0, 1.0, 2.0], &Tensor::from_slice(&a).diag(0), 400, 1);
        let other = exactly(&[1.0, 1.0, 0.0], &Tensor::from_slice(&b).diag(0), 300, 7);
        let wanted =
            1.0 + 4.0 + a.iter().zip(&b).map(|(a, b): (&f64, &f64)| (a.sqrt() - b.sqrt()).powi(2)).sum::<f64>();
        assert!((distance(&one, &other) - wanted).abs() < 1e-9, "{} is not {wanted}", distance(&one, &other));
    }

    /// In two dimensions Tr(M^(1/2)) = (Tr M + 2 det(M)^(1/2))^(1/2), whether or not the covariances commute.
    #[test]
    fn gaussians_with_other_axes_have_one_in_two_dimensions() {
        let matrix = |values: [f64; 4]| Tensor::from_slice(&values).reshape([2, 2]);
        let (s1, s2) = (matrix([2.0, 0.8, 0.8, 1.0]), matrix([1.0, -0.5, -0.5, 3.0]));
        let product = s1.matmul(&s2);
        let (trace, det) = (f64::try_from(product.trace()).unwrap(), f64::try_from(product.det()).unwrap());
        let wanted = 0.25 + 3.0 + 4.0 - 2.0 * (trace + 2.0 * det.sqrt()).sqrt();
        let (one, other) = (exactly(&[0.0, 0.0], &s1, 200, 3), exactly(&[0.3, 0.4], &s2, 250, 5));
        assert!((distance(&one, &other) - wanted).abs() < 1e-9, "{} is not {wanted}", distance(&one, &other));
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself_in_any_order() {
        let set = exactly(&[5.0; 8], &(Tensor::eye(8, (Kind::Double, Device::Cpu)) * 30.0), 100, 2);
        // A feature that is always the same, as dead units are.
        let set = Tensor::cat(&[&set, &Tensor::full([100, 2], 3.0, (Kind::Double, Device::Cpu))], 1);
        let turned = set.flip([0]);
        assert!(distance(&set, &set) < 1e-6 && distance(&set, &turned) < 1e-6);
        let other = exactly(&[4.0; 10], &Tensor::eye(10, (Kind::Double, Device::Cpu)), 90, 9);
        assert!((distance(&set, &other) - distance(&turned, &other)).abs() < 1e-9);
        assert!((distance(&set, &other) - distance(&other, &set)).abs() < 1e-9);
        assert!(Moments::of(&set.slice(0, 0, 1, 1)).is_err());
    }

    #[test]
    fn diversity_is_the_mean_distance_within_classes() {
        let features = Tensor::from_slice(&[0.0f32, 0.0, 3.0, 4.0, 100.0, 0.0, 0.0, 0.0]).reshape([4, 2]);
        assert_eq!(diversity(&features, &[1, 1, 0, 2], 3).unwrap(), Some(5.0));
        assert_eq!(diversity(&features, &[0, 1, 2, 3], 4).unwrap(), None);
    }
}
