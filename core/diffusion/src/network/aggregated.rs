//! A network with auxiliary streams: see [`Auxiliary`].

mod encoder;
mod head;

use tch::{Device, Tensor};

use super::layer::BuildOptions;
use crate::{
    Auxiliary, Denoiser, DenoiserInput, Parameterization, Result, Site, SiteSpec, StreamSpec, TensorExt, Times,
};
use encoder::Encoder;
use head::Head;

/// Wraps a network: adds the embeddings of the auxiliary streams to its diffused streams, and runs heads on its
/// features.
///
/// Its streams are those of the network, then the auxiliary streams. The prediction of a diffused stream refers to y_t,
/// the plain diffusion. The prediction of an auxiliary stream is the estimate of its head, or its own input without a
/// head.
pub struct Aggregated {
    inner: Box<dyn Denoiser>,
    streams: Vec<StreamSpec>,
    auxiliaries: Vec<Auxiliary>,
    encoders: Vec<Option<Encoder>>,
    heads: Vec<Option<Head>>,
    /// The sites of the heads, in their order.
    sites: Vec<Site>,
}

impl Aggregated {
    /// Adds auxiliary streams, with fresh heads, to `inner`; see [`crate::build_joined`].
    pub(super) fn new(
        inner: Box<dyn Denoiser>,
        auxiliaries: Vec<(StreamSpec, Auxiliary)>,
        init: BuildOptions,
    ) -> Result<Self> {
        let diffused = inner.streams().to_vec();
        let mut encoders = Vec::new();
        let mut heads = Vec::new();
        for (stream, auxiliary) in &auxiliaries {
            auxiliary.check()?;
            let encoder = |aggregation| Encoder::new(aggregation, stream, &diffused, init.device);
            encoders.push(auxiliary.aggregate.as_ref().map(encoder).transpose()?);
            let head = auxiliary.head.as_ref();
            heads.push(head.map(|head| Head::new(head, stream, &inner.sites(), init)).transpose()?);
        }
        let sites = heads.iter().flatten().map(|head| head.site).collect();
        // An estimate is a value of the auxiliary stream itself.
        let of_estimate = |(stream, _): &(StreamSpec, _)| StreamSpec {
            parameterization: Parameterization::X0,
            ..StreamSpec::clone(stream)
        };
        let streams = diffused.into_iter().chain(auxiliaries.iter().map(of_estimate)).collect();
        let auxiliaries = auxiliaries.into_iter().map(|(_, auxiliary)| auxiliary).collect();
        Ok(Aggregated { inner, streams, auxiliaries, encoders, heads, sites })
    }

    fn diffused(&self) -> usize {
        self.streams.len() - self.auxiliaries.len()
    }

    /// The input of the inner network: z_t = y_t + b_t.
    fn asked(&self, batch: &DenoiserInput) -> Result<DenoiserInput> {
        let diffused = self.diffused();
        let mut asked = batch.some_streams(0..diffused)?;
        if self.encoders.iter().flatten().any(|encoder| !encoder.is_idle()) {
            let times = HostTimes::of(batch, self.streams.len())?;
            for (index, encoder) in self.encoders.iter().enumerate() {
                let Some(encoder) = encoder.as_ref().filter(|encoder| !encoder.is_idle()) else { continue };
                let stream = &self.streams[encoder.into];
                let value = &batch.x[diffused + index];
                let factors = times.rows().map(|(t, present)| {
                    encoder.factor(stream, t[encoder.into], present[diffused + index] * present[encoder.into])
                });
                let embedding = encoder.embedding(value, &factors.collect::<Vec<_>>(), stream)?;
                let y = &asked.x[encoder.into];
                asked.x[encoder.into] = y.try_add(&embedding)?;
            }
        }
        asked.prompt = batch.prompt.as_ref().map(crate::Tokens::shared);
        asked.context = batch.context.as_ref().map(crate::Tokens::shared);
        Ok(asked)
    }

    /// The estimates of the auxiliary streams, from the features at the sites of the heads.
    fn estimates(&self, batch: &DenoiserInput, features: &[Tensor]) -> Result<Vec<Tensor>> {
        let diffused = self.diffused();
        let mut features = features.iter();
        let mut estimates = Vec::with_capacity(self.heads.len());
        for (index, head) in self.heads.iter().enumerate() {
            let read = head.as_ref().and_then(|head| Some((head, features.next()?)));
            estimates.push(match read {
                Some((head, features)) => head.estimate(features, &self.streams[diffused + index])?,
                None => batch.x[diffused + index].shallow_clone(),
            });
        }
        Ok(estimates)
    }
}

/// Times and presences of a batch, on the host.
struct HostTimes {
    t: Vec<f32>,
    present: Vec<f32>,
    streams: usize,
}

impl HostTimes {
    fn of(batch: &DenoiserInput, streams: usize) -> Result<Self> {
        let (t, present) = match &batch.times {
            Times::Runs(runs) => (
                runs.iter().flat_map(|run| run.t.repeat(run.rows)).collect(),
                runs.iter().flat_map(|run| run.present.repeat(run.rows)).collect(),
            ),
            Times::Rows { t, present } => (host(t)?, host(present)?),
        };
        Ok(HostTimes { t, present, streams })
    }

    /// Time and presence of every stream, row by row.
    fn rows(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.t.chunks(self.streams).zip(self.present.chunks(self.streams))
    }
}

fn host(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.try_flatten(0, -1)?.try_to_device(Device::Cpu)?.try_to_floats()
}

impl Denoiser for Aggregated {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn auxiliaries(&self) -> &[Auxiliary] {
        &self.auxiliaries
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(self.predict_with(batch, &[])?.0)
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.inner.sites()
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let wanted: Vec<Site> = self.sites.iter().chain(sites).copied().collect();
        let (mut outputs, mut features) = self.inner.predict_with(&self.asked(batch)?, &wanted)?;
        let others = features.split_off(self.sites.len());
        outputs.append(&mut self.estimates(batch, &features)?);
        Ok((outputs, others))
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
