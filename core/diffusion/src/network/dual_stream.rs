//! A network per stream; some read the features of another's network, one way.

mod rows;
mod tokens;

use std::cell::RefCell;

use anyflow_config::Site;
use anyflow_config::network::{DualStream as Options, FeatureReading};
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use super::build_part;
use super::host_times::HostTimes;
use super::layer::BuildOptions;
use super::streams::parts_of;
use crate::stream::index_of;
use crate::tokens::same_memory;
use crate::{Denoiser, DenoiserInput, EngineError, Result, StreamSpec, TensorExt, Tokens, site};
use rows::Rows;
use tokens::FeatureTokens;

/// Huang et al. 2023, "DiffDis: Empowering generative diffusion model with cross-modal discrimination capability",
/// section 3: the network of one stream, the trunk, and the network of another, which attends to the trunk's features
/// at several scales, so that its diffusion is conditioned on the trunk's stream. The trunk gets its stream as the row
/// has it, clean at time 0 if observed, and no prompt; it never sees its readers.
///
/// A part is called only for the rows in which its stream is noisy; other rows cost nothing and are predicted as 0.
/// Only parts that read nothing take prompts.
///
/// Once frozen, the features of a stream that is observed in all rows are computed once for as long as the batch keeps
/// the same memory, however many steps the reader takes.
pub struct DualStream {
    streams: Vec<StreamSpec>,
    parts: Vec<Box<dyn Denoiser>>,
    /// By the index of the part that reads.
    readers: Vec<Option<Reader>>,
}

/// The connection of a part to its trunk.
struct Reader {
    /// The index of the trunk.
    trunk: usize,
    sites: Vec<Site>,
    tokens: FeatureTokens,
    /// Once frozen: the trunk's stream and the tokens last made of it.
    kept: Option<RefCell<Option<(Tensor, Tokens)>>>,
}

impl DualStream {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, init: BuildOptions) -> Result<Self> {
        let mut parts = Vec::new();
        for (index, part) in parts_of(&config.parts, streams)?.into_iter().enumerate() {
            let own = init.of_part(index);
            let own = match config.reads.get(&streams[index].name) {
                None => own,
                Some(reading) => BuildOptions { prompt: None, context: Some(reading.features), ..own },
            };
            parts.push(build_part(part, &streams[index..=index], own)?);
        }
        DualStream::of_parts(streams, parts, &config.reads, &init)
    }

    /// Connects existing networks, one per stream; those that read take a context of the configured width.
    ///
    /// # Errors
    /// A stream that does not exist reads, or reads from one that does not exist or reads itself; a site that its network
    /// does not have.
    pub fn of_parts(
        streams: &[StreamSpec],
        parts: Vec<Box<dyn Denoiser>>,
        reads: &IndexMap<String, FeatureReading>,
        options: &BuildOptions,
    ) -> Result<Self> {
        let mut readers: Vec<Option<Reader>> = streams.iter().map(|_| None).collect();
        for (name, reading) in reads {
            let trunk = index_of(streams, &reading.stream)?;
            if reads.contains_key(&reading.stream) || reading.sites.is_empty() {
                let found = format!("{name:?} reading {:?} of {:?}", reading.sites, reading.stream);
                let wanted = "sites of streams that read nothing";
                return Err(EngineError::Config { field: "reads", wanted, found });
            }
            let known = parts[trunk].sites();
            let specs: Vec<_> = reading.sites.iter().map(|site| site::named(&known, site)).collect::<Result<_>>()?;
            let tokens = FeatureTokens::new(&format!("reads.{name}"), &specs, reading.features, *options)?;
            let sites = specs.iter().map(|spec| spec.site).collect();
            readers[index_of(streams, name)?] = Some(Reader { trunk, sites, tokens, kept: None });
        }
        Ok(DualStream { streams: streams.to_vec(), parts, readers })
    }

    /// The input of a part for these rows, all of which have its stream.
    fn asked(&self, index: usize, rows: &DenoiserInput) -> Result<DenoiserInput> {
        let asked = rows.some_streams(&[index])?;
        let Some(reader) = &self.readers[index] else {
            return Ok(match &rows.prompt {
                Some(prompt) => asked.with_prompt(prompt.shared()),
                None => asked,
            });
        };
        Ok(match self.read(reader, rows)? {
            Some(tokens) => asked.with_context(tokens),
            None => asked,
        })
    }

    /// The tokens of the trunk's features, possibly cached; `None` if no row has its stream.
    fn read(&self, reader: &Reader, rows: &DenoiserInput) -> Result<Option<Tokens>> {
        let times = HostTimes::of(rows)?;
        let x = &rows.x[reader.trunk];
        let gone = match Rows::present(&times, reader.trunk) {
            Rows::None => return Ok(None),
            Rows::All => None,
            Rows::Some(there) => Some(there.iter().map(|there| !there).collect::<Vec<_>>()),
        };
        let is_observed = Rows::observed(&times, reader.trunk) == Rows::All;
        let Some(kept) = reader.kept.as_ref().filter(|_| is_observed && !x.requires_grad()) else {
            return self.features(reader, rows, gone).map(Some);
        };
        let mut kept = kept.borrow_mut();
        if let Some((of, tokens)) = kept.as_ref().filter(|(of, _)| same_memory(of, x)) {
            debug_assert_eq!(of.size()[0], tokens.values.size()[0]);
            return Ok(Some(tokens.shared()));
        }
        let tokens = self.features(reader, rows, gone)?;
        *kept = Some((x.shallow_clone(), tokens.shared()));
        Ok(Some(tokens))
    }

    /// Runs the trunk. Rows without its stream have no token.
    fn features(&self, reader: &Reader, rows: &DenoiserInput, gone: Option<Vec<bool>>) -> Result<Tokens> {
        let mut asked = rows.some_streams(&[reader.trunk])?;
        let mask = gone.map(|gone| Tensor::try_from_slice(&gone)?.try_to_device(asked.x[0].device()));
        let gone = mask.transpose()?;
        if let Some(gone) = &gone {
            // The values of rows without the stream may not be finite.
            let column = self.streams[reader.trunk].column_shape(gone.size()[0] as usize);
            let column = gone.try_view(column)?;
            asked.x[0] = asked.x[0].try_masked_fill(&column, 0.0)?;
        }
        let (_, features) = self.parts[reader.trunk].predict_with(&asked, &reader.sites)?;
        let values = reader.tokens.forward(&features)?;
        let mask = gone.map(|gone| {
            let there = gone.try_logical_not()?.try_unsqueeze(1)?;
            let size = [values.size()[0], values.size()[1]];
            there.try_expand(size)?.try_contiguous()
        });
        Ok(Tokens { values, mask: mask.transpose()? })
    }
}

impl Denoiser for DualStream {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let times = HostTimes::of(batch)?;
        let mut outputs = Vec::with_capacity(self.parts.len());
        for (index, (part, stream)) in self.parts.iter().zip(&self.streams).enumerate() {
            let nothing = || {
                let shape = stream.batch_shape(batch.rows() as usize);
                Tensor::try_zeros(shape, (Kind::Float, batch.x[index].device()))
            };
            let answer = |rows: &DenoiserInput| -> Result<Tensor> {
                Ok(part.predict(&self.asked(index, rows)?)?.swap_remove(0))
            };
            outputs.push(match Rows::noisy(&times, index) {
                Rows::None => nothing()?,
                Rows::All => answer(batch)?,
                Rows::Some(rows) => {
                    let answer = answer(&batch.pick(&rows)?)?;
                    let selected = Rows::index(&rows, answer.device())?;
                    nothing()?.try_index_copy(0, &selected, &answer)?
                }
            });
        }
        Ok(outputs)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        for (stream, part) in self.streams.iter().zip(&self.parts) {
            let under = |(name, tensor)| (format!("parts.{}.{name}", stream.name), tensor);
            named.extend(part.parameters().into_iter().map(under));
        }
        self.readers.iter().flatten().for_each(|reader| reader.tokens.list(&mut named));
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.freeze())?;
        for reader in self.readers.iter_mut().flatten() {
            reader.tokens.freeze()?;
            reader.kept = Some(RefCell::default());
        }
        Ok(())
    }
}
