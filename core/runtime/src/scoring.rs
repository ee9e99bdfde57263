//! Classification by diffusion: a denoiser predicts the x0 of a stream, and the nearest class embedding is the class. The
//! network runs once for all classes.

use anyflow_datasets::Cell;
use anyflow_diffusion::{Observed, Request, Sampled};
use anyflow_plan::plan::Scoring;
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::networks::Networks;
use crate::plugin::Codec;
use crate::request::{NodeDiffusion, StreamStates};
use crate::{Result, RunError};

/// Smallest norm that a vector is divided by, so that a zero vector stays finite.
const MIN_NORM: f64 = 1e-6;
/// The seed of draw `i` of a row is the request's seed plus `i` times this.
const DRAW_SEEDS: u64 = 0x9E37_79B9_7F4A_7C15;

/// Cells that are embedded in one call.
const CELLS: usize = 1024;

/// Unit vectors of classes or rows, `[class, feature]`.
pub struct ClassEmbeddings(Tensor);

impl ClassEmbeddings {
    /// Embeds the classes of a classification by diffusion, as latents of its stream.
    ///
    /// # Errors
    /// As [`ClassEmbeddings::of_classes`].
    pub fn of_stream(node: &str, scoring: &Scoring, codec: &Codec, networks: &Networks) -> Result<Self> {
        let stream = &scoring.stream;
        ClassEmbeddings::of_classes(node, &scoring.classes, codec, |array| {
            let array = array.f_to_device(networks.device)?;
            networks.on_stream(node, stream, move |net| net.denoiser_input(&array))
        })
    }

    /// Embeds classes, each described by cells: the embedding of a class is the mean of its cells' unit vectors,
    /// normalized.
    ///
    /// # Errors
    /// The codec refuses a cell; errors of `embed`, which gets arrays `[row, ...]` in host memory.
    pub fn of_classes(
        node: &str,
        classes: &IndexMap<String, Vec<String>>,
        codec: &Codec,
        embed: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let texts: Vec<&String> = classes.values().flatten().collect();
        let mut units = Vec::new();
        for texts in texts.chunks(CELLS) {
            let cells: Vec<_> = texts.iter().map(|text| Some(Cell::Utf8(text.as_str()))).collect();
            let (array, refused) = codec.encode(&cells, 1)?;
            if let Some(refused) = refused.first() {
                let text = format!("node {node}: cannot read `{}` of `classes`: {}", texts[refused.row], refused.text);
                return Err(RunError::Data(text));
            }
            units.push(unit_vectors(&embed(array)?)?);
        }
        let units = Tensor::f_cat(&units, 0)?;
        let mut first = 0;
        let mut means = Vec::new();
        for cells in classes.values() {
            let own = units.f_narrow(0, first, cells.len() as i64)?;
            means.push(own.f_mean_dim([0i64].as_slice(), true, Kind::Float)?);
            first += cells.len() as i64;
        }
        ClassEmbeddings::of(&Tensor::f_cat(&means, 0)?)
    }

    /// Embeds rows `[row, ...]`, each as a class of its own.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn of(values: &Tensor) -> Result<Self> {
        Ok(ClassEmbeddings(unit_vectors(values)?))
    }

    /// The cosine similarity of each row of `[row, ...]` to each class: `[row, class]`.
    ///
    /// # Errors
    /// The shapes do not fit, which planning excludes.
    pub fn cosines(&self, values: &Tensor) -> Result<Tensor> {
        Ok(unit_vectors(values)?.f_matmul(&self.0.f_tr()?)?)
    }
}

/// The cosine similarity of each row to the row of the same number: `[row]`.
///
/// # Errors
/// The shapes do not fit, which planning excludes.
pub fn cosines_of_rows(values: &Tensor, others: &Tensor) -> Result<Tensor> {
    let products = unit_vectors(values)?.f_mul(&unit_vectors(others)?)?;
    Ok(products.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?)
}

fn unit_vectors(values: &Tensor) -> Result<Tensor> {
    let flat = values.f_flatten(1, -1)?;
    let norm = flat.f_norm_scalaropt_dim(2.0, [-1i64], true)?.f_clamp_min(MIN_NORM)?;
    Ok(flat.f_div(&norm)?)
}

/// Predicts the x0 of a stream from observed streams.
pub struct PredictX0<'a> {
    /// The diffusion, with the stream as its only output.
    pub sampler: NodeDiffusion<'a>,
    /// The stream, and the number of draws.
    pub scoring: &'a Scoring,
}

/// The predicted x0 of a stream.
pub struct Predicted {
    /// The mean over all draws, `[row, ...]`.
    pub mean: Tensor,
    /// The rows that failed, with the reasons.
    pub failed: Vec<(usize, String)>,
}

impl PredictX0<'_> {
    /// Predicts x0 for rows with these roles and keys.
    ///
    /// All draws of the rows of one network call run before the next rows. They share the latents' memory, so that the
    /// engine computes only once what depends on the observed streams alone.
    ///
    /// # Errors
    /// The engine's error.
    pub fn run(&self, states: &StreamStates, keys: &[u64]) -> Result<Predicted> {
        let _no_grad = tch::no_grad_guard();
        let NodeDiffusion { node, diffusion, networks } = self.sampler;
        let call_rows = networks.engine().max_batch_rows(&diffusion.denoiser).map_err(RunError::diffusion(node))?;
        let mut means = Vec::new();
        let mut failed = Vec::new();
        for (part, keys) in keys.chunks(call_rows).enumerate() {
            let first = part * call_rows;
            let mut sum: Option<Tensor> = None;
            for draw in 0..self.scoring.samples {
                let narrow = |(name, state): (&String, &Observed)| Ok((name.clone(), state.narrow(first, keys.len())?));
                let states = states.iter().map(narrow).collect::<std::result::Result<_, _>>();
                let states = states.map_err(RunError::diffusion(node))?;
                let seed = diffusion.seed.wrapping_add(draw.wrapping_mul(DRAW_SEEDS));
                let request = Request { seed, ..self.sampler.request(states, keys.to_vec()) };
                let Sampled { mut streams, rows_failed } = self.sampler.sample(request)?;
                let more = rows_failed.into_iter().map(|(row, text)| (first + row, text));
                failed.extend(more.filter(|_| draw == 0));
                let value = streams.swap_remove(&self.scoring.stream);
                let value = value.ok_or_else(|| RunError::Internal(format!("node {node} got no answer")))?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&value)?,
                    None => value,
                });
            }
            means.extend(sum.map(|sum| sum.f_div_scalar(self.scoring.samples as f64)).transpose()?);
        }
        let mean = if means.is_empty() { self.no_rows()? } else { Tensor::f_cat(&means, 0)? };
        Ok(Predicted { mean, failed })
    }

    /// The result of a call without rows: `[0, ...]`.
    fn no_rows(&self) -> Result<Tensor> {
        let NodeDiffusion { node, diffusion, networks } = self.sampler;
        let streams = networks.engine().streams(&diffusion.denoiser).map_err(RunError::diffusion(node))?;
        let predicted = streams.iter().find(|stream| stream.name == self.scoring.stream);
        let shape = predicted.map(|stream| stream.batch_shape(0)).unwrap_or_default();
        Ok(Tensor::f_zeros(shape, (Kind::Float, networks.device))?)
    }
}
