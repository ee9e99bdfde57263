//! Classification by diffusion: a denoiser predicts the x0 of a stream, and the nearest class embedding is the class. The
//! network runs once for all classes.

use anyflow_datasets::Cell;
use anyflow_diffusion::{Observed, Request, Sampled, Sampling};
use anyflow_plan::plan::Scoring;
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::networks::Networks;
use crate::plugin::Codec;
use crate::{Result, RunError};

/// Smallest norm that a vector is divided by, so that a zero vector stays finite.
const MIN_NORM: f64 = 1e-6;
/// The seed of draw `i` of a row is the request's seed plus `i` times this.
const DRAW_SEEDS: u64 = 0x9E37_79B9_7F4A_7C15;

/// Unit vectors of classes or rows, `[class, feature]`.
pub struct ClassEmbeddings(Tensor);

impl ClassEmbeddings {
    /// Embeds the classes of a scoring: the embedding of a class is the mean of its cells' unit vectors, normalized.
    ///
    /// # Errors
    /// The codec refuses a cell; errors of plugins.
    pub fn of_classes(node: &str, scoring: &Scoring, codec: &Codec, networks: &Networks) -> Result<Self> {
        let texts: Vec<&String> = scoring.classes.values().flatten().collect();
        let cells: Vec<_> = texts.iter().map(|text| Some(Cell::Utf8(text.as_str()))).collect();
        let (array, refused) = codec.encode(&cells, 1)?;
        if let Some(refused) = refused.first() {
            let text = format!("node {node}: cannot read `{}` of `classes`: {}", texts[refused.row], refused.text);
            return Err(RunError::Data(text));
        }
        let array = array.f_to_device(networks.device)?;
        let latents = networks.on_stream(node, &scoring.stream, move |net| net.denoiser_input(&array))?;
        let units = unit_vectors(&latents)?;
        let mut first = 0;
        let mut means = Vec::new();
        for cells in scoring.classes.values() {
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

fn unit_vectors(values: &Tensor) -> Result<Tensor> {
    let flat = values.f_flatten(1, -1)?;
    let norm = flat.f_norm_scalaropt_dim(2.0, [-1i64], true)?.f_clamp_min(MIN_NORM)?;
    Ok(flat.f_div(&norm)?)
}

/// Predicts the x0 of a stream from observed streams.
pub struct PredictX0<'a> {
    /// The node or task that errors name.
    pub node: &'a str,
    /// The denoiser.
    pub denoiser: &'a str,
    /// The stream, and the number of draws.
    pub scoring: &'a Scoring,
    /// Absent streams.
    pub absent: &'a [String],
    /// The sampler.
    pub sampler: Sampling,
    /// Seed of the noise.
    pub seed: u64,
}

/// The predicted x0 of a stream.
pub struct Predicted {
    /// The mean over all draws, `[row, ...]`.
    pub mean: Tensor,
    /// The rows that failed, with the reasons.
    pub failed: Vec<(usize, String)>,
}

impl PredictX0<'_> {
    /// Predicts x0 from normalized latents `[row, ...]` of the observed streams.
    ///
    /// All draws of the rows of one network call run before the next rows. They share the latents' memory, so that the
    /// engine computes only once what depends on the observed streams alone.
    ///
    /// # Errors
    /// The engine's error.
    pub fn run(&self, networks: &Networks, observed: &IndexMap<String, Tensor>, keys: &[u64]) -> Result<Predicted> {
        let _no_grad = tch::no_grad_guard();
        let call_rows = networks.engine().max_batch_rows(self.denoiser).map_err(RunError::diffusion(self.node))?;
        let mut means = Vec::new();
        let mut failed = Vec::new();
        for (part, keys) in keys.chunks(call_rows).enumerate() {
            let first = part * call_rows;
            let narrow = |latent: &Tensor| latent.f_narrow(0, first as i64, keys.len() as i64);
            let observed: IndexMap<&String, Tensor> =
                observed.iter().map(|(name, latent)| Ok((name, narrow(latent)?))).collect::<Result<_>>()?;
            let mut sum: Option<Tensor> = None;
            for draw in 0..self.scoring.samples {
                let Sampled { mut streams, rows_failed } = self.draw(networks, &observed, keys, draw)?;
                let more = rows_failed.into_iter().map(|(row, text)| (first + row, text));
                failed.extend(more.filter(|_| draw == 0));
                let value = streams.swap_remove(&self.scoring.stream);
                let value = value.ok_or_else(|| RunError::Internal(format!("node {} got no answer", self.node)))?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&value)?,
                    None => value,
                });
            }
            means.extend(sum.map(|sum| sum.f_div_scalar(self.scoring.samples as f64)).transpose()?);
        }
        let mean = if means.is_empty() { self.no_rows(networks)? } else { Tensor::f_cat(&means, 0)? };
        Ok(Predicted { mean, failed })
    }

    /// The result of a call without rows: `[0, ...]`.
    fn no_rows(&self, networks: &Networks) -> Result<Tensor> {
        let streams = networks.engine().streams(self.denoiser).map_err(RunError::diffusion(self.node))?;
        let predicted = streams.iter().find(|stream| stream.name == self.scoring.stream);
        let shape = predicted.map(|stream| stream.batch_shape(0)).unwrap_or_default();
        Ok(Tensor::f_zeros(shape, (Kind::Float, networks.device))?)
    }

    fn draw(
        &self,
        networks: &Networks,
        observed: &IndexMap<&String, Tensor>,
        keys: &[u64],
        draw: u64,
    ) -> Result<Sampled> {
        let engine = networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(self.denoiser).map_err(RunError::diffusion(self.node))? {
            let name = &stream.name;
            let state = match observed.get(name) {
                Some(latent) => Observed::Clean(latent.shallow_clone()),
                None if *name == self.scoring.stream => Observed::Noisy,
                None if self.absent.contains(name) || networks.is_prompt(name) => Observed::Absent,
                None => return Err(RunError::Internal(format!("node {} has no role for stream {name}", self.node))),
            };
            states.insert(name.clone(), state);
        }
        let request = Request {
            denoiser: self.denoiser.to_string(),
            rows: keys.to_vec(),
            states,
            sampler: self.sampler.clone(),
            guidance: Vec::new(),
            seed: self.seed.wrapping_add(draw.wrapping_mul(DRAW_SEEDS)),
            outputs: vec![self.scoring.stream.clone()],
        };
        engine.submit(request).and_then(|ticket| ticket.wait()).map_err(RunError::diffusion(self.node))
    }
}
