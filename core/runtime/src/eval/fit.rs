//! Agreement and similarity of jointly generated streams.

use anyflow_plan::findings::{Figure, Fit};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use super::figures;
use super::held_out::HeldOut;
use super::judging::{self, Judged};
use super::sample::TaskSampler;
use crate::Result;

/// Smallest norm that a vector is divided by, so that a zero vector stays finite.
const MIN_NORM: f64 = 1e-6;

/// The figures of a task, per seed.
#[derive(Default)]
pub struct Fits {
    agreement: Vec<f64>,
    similarity: Vec<f64>,
}

impl Fits {
    /// Adds the streams of one seed.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn add(
        &mut self,
        name: &str,
        streams: &IndexMap<String, Judged>,
        sampler: &TaskSampler,
        held_out: &HeldOut<'_>,
    ) -> Result<()> {
        let classes: Vec<_> = streams.values().map(|judged| judged.verdicts.classes.clone()).collect();
        self.agreement.push(figures::agreement(&classes));
        let mut embedded = Vec::new();
        for (stream, judged) in streams {
            let Some(prompt) = held_out.plan.options.embedded_by(stream) else { continue };
            let codec = &held_out.session.codecs[prompt];
            let (array, unread) = judging::read(codec, &judged.written.cells, held_out.threads)?;
            embedded.push(Embedded { tokens: sampler.embed(name, prompt, &array)?, unread });
        }
        self.similarity.extend(similarity(&embedded)?);
        Ok(())
    }

    /// The figures over all seeds; `None` without a seed.
    pub fn fit(self) -> Option<Fit> {
        let figure = |seeds: Vec<f64>| (!seeds.is_empty()).then(|| Figure::of(seeds));
        Some(Fit { agreement: figure(self.agreement)?, similarity: figure(self.similarity) })
    }
}

/// The prompt embedding of a stream.
struct Embedded {
    /// `[row, token, feature]`
    tokens: Tensor,
    /// Rows whose cell could not be read.
    unread: Vec<usize>,
}

impl Embedded {
    fn has(&self, row: usize) -> bool {
        !self.unread.contains(&row)
    }
}

/// SIM of Tang et al. 2023, section 4: the mean cosine similarity of the flattened tokens, over rows and pairs of
/// streams. `None` if no pair has a row.
fn similarity(streams: &[Embedded]) -> Result<Option<f64>> {
    let mut sum = 0.0;
    let mut count = 0.0;
    for (index, one) in streams.iter().enumerate() {
        for other in &streams[..index] {
            let tokens = one.tokens.f_flatten(1, -1)?;
            let other_tokens = other.tokens.f_flatten(1, -1)?;
            let cosines = Tensor::f_cosine_similarity(&tokens, &other_tokens, 1, MIN_NORM)?;
            let cosines = Vec::<f64>::try_from(cosines.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?)?;
            for (_, cosine) in cosines.iter().enumerate().filter(|(row, _)| one.has(*row) && other.has(*row)) {
                sum += cosine;
                count += 1.0;
            }
        }
    }
    Ok((count > 0.0).then(|| sum / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(rows: &[[f32; 2]], unread: &[usize]) -> Embedded {
        let tokens = Tensor::from_slice(&rows.concat()).view([rows.len() as i64, 1, 2]);
        Embedded { tokens, unread: unread.to_vec() }
    }

    #[test]
    fn similarity_is_the_mean_cosine_over_rows_and_pairs() {
        let a = embedded(&[[1.0, 0.0], [0.0, 2.0]], &[]);
        let b = embedded(&[[3.0, 0.0], [1.0, 1.0]], &[]);
        let found = similarity(&[a, b]).unwrap().unwrap();
        assert!((found - (1.0 + 0.5f64.sqrt()) / 2.0).abs() < 1e-6, "f32: {found}");
    }

    #[test]
    fn similarity_ignores_unread_rows() {
        let a = embedded(&[[1.0, 0.0], [0.0, 1.0]], &[1]);
        let b = embedded(&[[1.0, 0.0], [1.0, 0.0]], &[]);
        let c = embedded(&[[-1.0, 0.0], [1.0, 0.0]], &[]);
        // One row of a and b, one of a and c, two of b and c.
        let found = similarity(&[a, b, c]).unwrap().unwrap();
        assert!((found - (1.0 - 1.0 - 1.0 + 1.0) / 4.0).abs() < 1e-6, "f32: {found}");
        assert_eq!(similarity(&[embedded(&[[1.0, 0.0]], &[])]).unwrap(), None);
        let unread = embedded(&[[1.0, 0.0]], &[0]);
        assert_eq!(similarity(&[unread, embedded(&[[1.0, 0.0]], &[])]).unwrap(), None);
    }
}
