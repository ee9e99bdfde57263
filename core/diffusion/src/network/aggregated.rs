//! A network with auxiliary streams: see [`Auxiliary`](anyflow_config::Auxiliary).

mod encoder;
mod head;

use anyflow_config::{Parameterization, Site, SiteSpec};
use tch::Tensor;

use super::host_times::HostTimes;
use super::layer::BuildOptions;
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt};
use encoder::Encoder;
use head::Head;

/// Wraps a network: adds the embeddings of the auxiliary streams to its diffused streams, and runs heads on its
/// features.
///
/// The prediction of a diffused stream refers to y_t, the plain diffusion. The prediction of an auxiliary stream is the
/// estimate of its head, or its own input without a head.
pub struct Aggregated {
    inner: Box<dyn Denoiser>,
    streams: Vec<StreamSpec>,
    /// The indices of the streams of `inner`.
    diffused: Vec<usize>,
    encoders: Vec<Encoder>,
    /// By the index of the stream.
    heads: Vec<Option<Head>>,
    /// The sites of the heads, in their order.
    sites: Vec<Site>,
}

impl Aggregated {
    /// Adds auxiliary streams, with fresh heads, to `inner`; `streams` are the auxiliary streams and, in order, those of
    /// `inner`. See [`crate::build`].
    pub(super) fn new(inner: Box<dyn Denoiser>, mut streams: Vec<StreamSpec>, init: BuildOptions) -> Result<Self> {
        let known = inner.sites();
        let mut encoders = Vec::new();
        let mut heads = Vec::new();
        for (index, stream) in streams.iter().enumerate() {
            let auxiliary = stream.auxiliary();
            if let Some(embedding) = auxiliary.and_then(|auxiliary| auxiliary.aggregate.as_ref()) {
                encoders.push(Encoder::new(embedding, index, &streams, init.device)?);
            }
            let head = auxiliary.and_then(|auxiliary| auxiliary.head.as_ref());
            heads.push(head.map(|head| Head::new(head, stream, &known, init)).transpose()?);
        }
        let sites = heads.iter().flatten().map(|head| head.site).collect();
        for stream in streams.iter_mut().filter(|stream| stream.auxiliary().is_some()) {
            // An estimate is a value of the auxiliary stream itself.
            stream.parameterization = Parameterization::X0;
        }
        let diffused = (0..streams.len()).filter(|index| streams[*index].is_diffused()).collect();
        Ok(Aggregated { inner, streams, diffused, encoders, heads, sites })
    }

    /// The input of the inner network: z_t = y_t + b_t.
    fn asked(&self, batch: &DenoiserInput) -> Result<DenoiserInput> {
        let mut x: Vec<Tensor> = batch.x.iter().map(Tensor::shallow_clone).collect();
        if self.encoders.iter().any(|encoder| !encoder.is_idle()) {
            let times = HostTimes::of(batch)?;
            for encoder in self.encoders.iter().filter(|encoder| !encoder.is_idle()) {
                let stream = &self.streams[encoder.into];
                let factors = times.rows().map(|(t, present)| {
                    encoder.factor(stream, t[encoder.into], present[encoder.from] * present[encoder.into])
                });
                let embedding = encoder.embedding(&x[encoder.from], &factors.collect::<Vec<_>>(), stream)?;
                let y = &x[encoder.into];
                x[encoder.into] = y.try_add(&embedding)?;
            }
        }
        let mut asked = batch.some_streams(&self.diffused)?;
        asked.x = self.diffused.iter().map(|index| x[*index].shallow_clone()).collect();
        asked.prompt = batch.prompt.as_ref().map(crate::Tokens::shared);
        asked.context = batch.context.as_ref().map(crate::Tokens::shared);
        let beside = |of: &Option<Tensor>| of.as_ref().map(Tensor::shallow_clone);
        Ok(asked.with_beside(beside(&batch.vectors), beside(&batch.planes)))
    }

    /// The predictions of all streams, from those of the diffused streams and the features at the sites of the heads.
    fn all(&self, batch: &DenoiserInput, diffused: Vec<Tensor>, features: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut diffused = diffused.into_iter();
        let mut features = features.iter();
        let mut outputs = Vec::with_capacity(self.streams.len());
        for ((stream, head), x) in self.streams.iter().zip(&self.heads).zip(&batch.x) {
            let read = head.as_ref().and_then(|head| Some((head, features.next()?)));
            outputs.extend(match read {
                Some((head, features)) => Some(head.estimate(features, stream)?),
                None if stream.is_diffused() => diffused.next(),
                None => Some(x.shallow_clone()),
            });
        }
        Ok(outputs)
    }
}

impl Denoiser for Aggregated {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(self.predict_with(batch, &[])?.0)
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.inner.sites()
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let wanted: Vec<Site> = self.sites.iter().chain(sites).copied().collect();
        let (outputs, mut features) = self.inner.predict_with(&self.asked(batch)?, &wanted)?;
        let others = features.split_off(self.sites.len());
        Ok((self.all(batch, outputs, &features)?, others))
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = self.inner.parameters();
        self.heads.iter().flatten().for_each(|head| head.list(&mut named));
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.inner.freeze()?;
        self.heads.iter_mut().flatten().try_for_each(Head::freeze)
    }
}
