//! Classes told by what a diffusion recovers of a stream, whatever their number: the network is asked once for all.

use anyflow_datasets::Cell;
use anyflow_diffusion::{Observed, Request, Sampled, Sampling};
use anyflow_plan::plan::Scoring;
use indexmap::IndexMap;
use tch::Tensor;

use crate::networks::Networks;
use crate::plugin::Codec;
use crate::{Result, RunError};

/// Below it a vector is not made longer, so that a zero stays finite.
const SHORTEST: f64 = 1e-6;
/// Seeds of the draws of one row are this far apart.
const SEEDS: u64 = 0x9E37_79B9_7F4A_7C15;

/// Directions that stand for classes, or for rows: `[class, feature]`, each of length 1.
pub struct Bank(Tensor);

impl Bank {
    /// What stands for the classes of a scoring: for each the mean direction of its cells.
    ///
    /// # Errors
    /// A cell that the codec refuses, or what plugins say.
    pub fn of_classes(node: &str, scoring: &Scoring, codec: &Codec, networks: &Networks) -> Result<Bank> {
        let texts: Vec<&String> = scoring.classes.values().flatten().collect();
        let cells: Vec<_> = texts.iter().map(|text| Some(Cell::Utf8(text.as_str()))).collect();
        let (array, refused) = codec.encode(&cells, 1)?;
        if let Some(refused) = refused.first() {
            let text = format!("node {node}: `{}` stands for a class: {}", texts[refused.row], refused.text);
            return Err(RunError::Data(text));
        }
        let array = array.f_to_device(networks.device)?;
        let seen = networks.on_stream(node, &scoring.stream, move |net| net.seen(&array))?;
        let directions = directions(&seen)?;
        let mut first = 0;
        let mut means = Vec::new();
        for cells in scoring.classes.values() {
            let own = directions.f_narrow(0, first, cells.len() as i64)?;
            means.push(own.f_mean_dim([0i64].as_slice(), true, tch::Kind::Float)?);
            first += cells.len() as i64;
        }
        Bank::of(&Tensor::f_cat(&means, 0)?)
    }

    /// The directions of `[row, ...]`.
    ///
    /// # Errors
    /// libtorch refused.
    pub fn of(values: &Tensor) -> Result<Bank> {
        Ok(Bank(directions(values)?))
    }

    /// `[row, class]`: the cosine of each row of `[row, ...]` with each class.
    ///
    /// # Errors
    /// Shapes that do not fit, which planning excludes.
    pub fn cosines(&self, values: &Tensor) -> Result<Tensor> {
        Ok(directions(values)?.f_matmul(&self.0.f_tr()?)?)
    }
}

fn directions(values: &Tensor) -> Result<Tensor> {
    let flat = values.f_flatten(1, -1)?;
    let length = flat.f_norm_scalaropt_dim(2.0, [-1i64], true)?.f_clamp_min(SHORTEST)?;
    Ok(flat.f_div(&length)?)
}

/// How a stream is recovered.
pub struct Recovery<'a> {
    /// The node or task that errors name.
    pub node: &'a str,
    /// The denoiser that is asked.
    pub denoiser: &'a str,
    /// Which stream, and how often.
    pub scoring: &'a Scoring,
    /// Streams that take no part.
    pub absent: &'a [String],
    /// How noise is removed.
    pub sampler: Sampling,
    /// Seed of the noise.
    pub seed: u64,
}

impl Recovery<'_> {
    /// The mean over all draws, `[row, ...]`, and the rows that failed; from latents `[row, ...]` of the streams that are
    /// given, as the denoiser sees them. Rows of one network call are drawn again and again before others are, from the
    /// same memory, so that what the network makes of given streams alone is made once.
    ///
    /// # Errors
    /// What the engine says.
    pub fn run(
        &self,
        networks: &Networks,
        given: &IndexMap<String, Tensor>,
        keys: &[u64],
    ) -> Result<(Tensor, Vec<(usize, String)>)> {
        let _no_grad = tch::no_grad_guard();
        let at_once = networks.engine().max_batch_rows(self.denoiser).map_err(RunError::diffusion(self.node))?;
        let (mut means, mut failed) = (Vec::new(), Vec::new());
        for (part, keys) in keys.chunks(at_once).enumerate() {
            let first = part * at_once;
            let narrow = |latent: &Tensor| latent.f_narrow(0, first as i64, keys.len() as i64);
            let given: IndexMap<&String, Tensor> =
                given.iter().map(|(name, latent)| Ok((name, narrow(latent)?))).collect::<Result<_>>()?;
            let mut sum: Option<Tensor> = None;
            for draw in 0..self.scoring.draws {
                let Sampled { mut streams, rows_failed } = self.draw(networks, &given, keys, draw)?;
                let more = rows_failed.into_iter().map(|(row, text)| (first + row, text));
                failed.extend(more.filter(|_| draw == 0));
                let value = streams.swap_remove(&self.scoring.stream);
                let value = value.ok_or_else(|| RunError::Internal(format!("node {} got no answer", self.node)))?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&value)?,
                    None => value,
                });
            }
            means.extend(sum.map(|sum| sum.f_div_scalar(self.scoring.draws as f64)).transpose()?);
        }
        if means.is_empty() {
            let streams = networks.engine().streams(self.denoiser).map_err(RunError::diffusion(self.node))?;
            let recovered = streams.iter().find(|stream| stream.name == self.scoring.stream);
            let shape = recovered.map(|stream| stream.batch_shape(0)).unwrap_or_default();
            return Ok((Tensor::f_zeros(shape, (tch::Kind::Float, networks.device))?, failed));
        }
        Ok((Tensor::f_cat(&means, 0)?, failed))
    }

    fn draw(&self, networks: &Networks, given: &IndexMap<&String, Tensor>, keys: &[u64], draw: u64) -> Result<Sampled> {
        let engine = networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(self.denoiser).map_err(RunError::diffusion(self.node))? {
            let name = &stream.name;
            let state = match given.get(name) {
                Some(latent) => Observed::Clean(latent.shallow_clone()),
                None if *name == self.scoring.stream => Observed::Noisy,
                None if self.absent.contains(name) || networks.is_prompt(name) => Observed::Absent,
                None => return Err(RunError::Internal(format!("node {} says nothing of stream {name}", self.node))),
            };
            states.insert(name.clone(), state);
        }
        let request = Request {
            denoiser: self.denoiser.to_string(),
            rows: keys.to_vec(),
            states,
            sampler: self.sampler.clone(),
            guidance: Vec::new(),
            seed: self.seed.wrapping_add(draw.wrapping_mul(SEEDS)),
            outputs: vec![self.scoring.stream.clone()],
        };
        engine.submit(request).and_then(|ticket| ticket.wait()).map_err(RunError::diffusion(self.node))
    }
}
