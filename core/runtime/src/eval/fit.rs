//! How well streams that are generated together fit one another.

use anyflow_plan::findings::{Figure, Fit};
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use super::figures;
use super::held_out::HeldOut;
use super::judging::{self, Verdicts, Written};
use super::sample::Sampling;
use crate::Result;

/// Below it a vector is not made longer, so that a zero stays finite.
const SHORTEST: f64 = 1e-6;

/// What comes together of a task, seed by seed.
#[derive(Default)]
pub struct Fits {
    agreement: Vec<f64>,
    similarity: Vec<f64>,
}

impl Fits {
    /// Adds what one seed gave, by stream.
    ///
    /// # Errors
    /// What plugins say.
    pub fn add(
        &mut self,
        name: &str,
        written: &IndexMap<String, (Written, Verdicts)>,
        sampling: &Sampling,
        held_out: &HeldOut<'_>,
    ) -> Result<()> {
        let classes: Vec<_> = written.values().map(|(_, verdicts)| verdicts.classes.clone()).collect();
        self.agreement.push(figures::agreement(&classes));
        let mut tokens = Vec::new();
        for (stream, (written, _)) in written {
            let Some(prompt) = held_out.plan.similarity.get(stream) else { continue };
            let (array, failed) = judging::read(&held_out.session.codecs[prompt], &written.cells, held_out.threads)?;
            tokens.push((sampling.embed(name, prompt, &array)?, failed));
        }
        self.similarity.extend(similarity(&tokens)?);
        Ok(())
    }

    /// Over all seeds; nothing without any.
    pub fn fit(self) -> Option<Fit> {
        let figure = |seeds: Vec<f64>| (!seeds.is_empty()).then(|| Figure::of(seeds));
        Some(Fit { agreement: figure(self.agreement)?, similarity: figure(self.similarity) })
    }
}

/// SIM of Tang et al. 2023, section 4: the mean cosine over rows and pairs of streams, of tokens `[row, token, feature]`
/// seen as flat, with the rows that have none. Nothing where no pair has a row.
fn similarity(tokens: &[(Tensor, Vec<usize>)]) -> Result<Option<f64>> {
    let mut sums = (0.0, 0.0);
    for (place, (one, lacking)) in tokens.iter().enumerate() {
        for (other, also) in &tokens[..place] {
            let (one, other) = (one.f_flatten(1, -1)?, other.f_flatten(1, -1)?);
            let cosines = Tensor::f_cosine_similarity(&one, &other, 1, SHORTEST)?;
            let cosines = Vec::<f64>::try_from(cosines.f_to_kind(Kind::Double)?.f_to_device(tch::Device::Cpu)?)?;
            let there = cosines.iter().enumerate().filter(|(row, _)| !lacking.contains(row) && !also.contains(row));
            there.for_each(|(_, cosine)| sums = (sums.0 + cosine, sums.1 + 1.0));
        }
    }
    Ok((sums.1 > 0.0).then(|| sums.0 / sums.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(rows: &[[f32; 2]], lacking: &[usize]) -> (Tensor, Vec<usize>) {
        (Tensor::from_slice(&rows.concat()).view([rows.len() as i64, 1, 2]), lacking.to_vec())
    }

    #[test]
    fn similarity_is_the_mean_cosine_over_rows_and_pairs() {
        let (a, b) = (tokens(&[[1.0, 0.0], [0.0, 2.0]], &[]), tokens(&[[3.0, 0.0], [1.0, 1.0]], &[]));
        let found = similarity(&[a, b]).unwrap().unwrap();
        assert!((found - (1.0 + 0.5f64.sqrt()) / 2.0).abs() < 1e-6, "f32: {found}");
    }

    #[test]
    fn rows_that_could_not_be_read_have_no_part_in_it() {
        let (a, b) = (tokens(&[[1.0, 0.0], [0.0, 1.0]], &[1]), tokens(&[[1.0, 0.0], [1.0, 0.0]], &[]));
        let c = tokens(&[[-1.0, 0.0], [1.0, 0.0]], &[]);
        // One row with a and b, one with a and c, two with b and c.
        let found = similarity(&[a, b, c]).unwrap().unwrap();
        assert!((found - (1.0 - 1.0 - 1.0 + 1.0) / 4.0).abs() < 1e-6, "f32: {found}");
        assert_eq!(similarity(&[tokens(&[[1.0, 0.0]], &[])]).unwrap(), None);
        let unread = tokens(&[[1.0, 0.0]], &[0]);
        assert_eq!(similarity(&[unread, tokens(&[[1.0, 0.0]], &[])]).unwrap(), None);
    }
}
