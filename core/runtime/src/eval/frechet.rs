//! The Fréchet distance between two sets of features, each modelled as a Gaussian, and the diversity within a set.

use tch::{Kind, Tensor};

use crate::{Result, RunError};

/// Mean and covariance of features, in f64.
pub struct Moments {
    /// Number of rows.
    pub rows: u64,
    /// `[feature]`
    mean: Tensor,
    /// `[feature, feature]`, normalized by rows - 1.
    covariance: Tensor,
}

impl Moments {
    /// Computes the moments of features `[row, feature]`.
    ///
    /// # Errors
    /// Fewer than two rows.
    pub fn of(features: &Tensor) -> Result<Moments> {
        let rows = features.size().first().copied().unwrap_or(0);
        if rows < 2 {
            return Err(RunError::Data(format!("a covariance needs at least 2 rows, found {rows}; increase `rows`")));
        }
        let features = features.f_to_kind(Kind::Double)?;
        let mean = features.f_mean_dim(&[0i64][..], false, Kind::Double)?;
        let centred = features.f_sub(&mean)?;
        let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)?.f_div_scalar((rows - 1) as f64)?;
        Ok(Moments { rows: rows as u64, mean, covariance })
    }

    /// The Fréchet distance |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, eq. (6)).
    ///
    /// The trace of the root is computed as the sum of the singular values of S1^(1/2) S2^(1/2). Unlike the roots of the
    /// eigenvalues of S1 S2, it keeps full precision for constant features.
    ///
    /// # Errors
    /// A libtorch call failed, for example because a feature is NaN.
    pub fn distance(&self, other: &Moments) -> Result<f64> {
        let apart = self.mean.f_sub(&other.mean)?.f_square()?.f_sum(Kind::Double)?;
        let traces = self.covariance.f_trace()?.f_add(&other.covariance.f_trace()?)?;
        let product = root(&self.covariance)?.f_matmul(&root(&other.covariance)?)?;
        let common = product.f_nuclear_norm(false)?;
        let distance = apart.f_add(&traces)?.f_sub(&common.f_mul_scalar(2.0)?)?;
        // Rounding can make the distance of equal sets slightly negative.
        Ok(f64::try_from(distance)?.max(0.0))
    }
}

/// The symmetric square root of a covariance.
fn root(covariance: &Tensor) -> Result<Tensor> {
    let (values, vectors) = covariance.f_linalg_eigh("L")?;
    let roots = values.f_clamp_min(0.0)?.f_sqrt()?;
    Ok(vectors.f_mul(&roots)?.f_matmul(&vectors.f_transpose(0, 1)?)?)
}

/// Mean Euclidean distance between two rows of the same class, over all pairs, from features `[row, feature]` and `count`
/// classes. `None` if no class has two rows.
///
/// # Errors
/// A libtorch call failed.
pub fn diversity(features: &Tensor, classes: &[i64], count: i64) -> Result<Option<f64>> {
    let mut sum = 0.0;
    let mut pairs = 0i64;
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

/// Maximum rows per class, because the number of pairs is quadratic.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Rows with exactly this mean and covariance: `[row, feature]` f64.
    fn exactly(mean: &[f64], covariance: &Tensor, rows: i64, seed: i64) -> Tensor {
        let d = mean.len() as i64;
        // Any full-rank numbers do. A sine of squares is as good as random numbers, and the same on every machine.
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
    fn the_distance_of_gaussians_with_the_same_axes_has_a_closed_form() {
        let [a, b] = [[4.0, 1.0, 0.25], [1.0, 9.0, 0.0]];
        let one = exactly(&[0.0, 1.0, 2.0], &Tensor::from_slice(&a).diag(0), 400, 1);
        let other = exactly(&[1.0, 1.0, 0.0], &Tensor::from_slice(&b).diag(0), 300, 7);
        let wanted =
            1.0 + 4.0 + a.iter().zip(&b).map(|(a, b): (&f64, &f64)| (a.sqrt() - b.sqrt()).powi(2)).sum::<f64>();
        assert!((distance(&one, &other) - wanted).abs() < 1e-9, "{} is not {wanted}", distance(&one, &other));
    }

    /// In two dimensions Tr(M^(1/2)) = (Tr M + 2 det(M)^(1/2))^(1/2), whether or not the covariances commute.
    #[test]
    fn the_distance_of_gaussians_with_other_axes_has_a_closed_form_in_two_dimensions() {
        let matrix = |values: [f64; 4]| Tensor::from_slice(&values).reshape([2, 2]);
        let s1 = matrix([2.0, 0.8, 0.8, 1.0]);
        let s2 = matrix([1.0, -0.5, -0.5, 3.0]);
        let product = s1.matmul(&s2);
        let trace = f64::try_from(product.trace()).unwrap();
        let det = f64::try_from(product.det()).unwrap();
        let wanted = 0.25 + 3.0 + 4.0 - 2.0 * (trace + 2.0 * det.sqrt()).sqrt();
        let one = exactly(&[0.0, 0.0], &s1, 200, 3);
        let other = exactly(&[0.3, 0.4], &s2, 250, 5);
        assert!((distance(&one, &other) - wanted).abs() < 1e-9, "{} is not {wanted}", distance(&one, &other));
    }

    #[test]
    fn a_set_has_distance_0_from_itself_in_any_order() {
        let set = exactly(&[5.0; 8], &(Tensor::eye(8, (Kind::Double, Device::Cpu)) * 30.0), 100, 2);
        // Constant features, like those of dead units.
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
