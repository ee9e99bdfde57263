//! A network per stream, of which some read the features of another's, one way.

mod config;
mod rows;
mod tokens;

use std::cell::RefCell;

use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use super::layer::Init;
use super::{Precision, build_from};
use crate::tokens::same_memory;
use crate::{Denoiser, DenoiserInput, Result, Site, SiteSpec, StreamSpec, TensorOp, Tokens};
use config::bad;
pub use config::{DualStreamConfig, Reading};
use rows::{Rows, Told};
use tokens::FeatureTokens;

/// Seeds of the parts of a network are this far apart.
const SEEDS: u64 = 0x9E37_79B9_7F4A_7C15;

/// Huang et al. 2023, "DiffDis: Empowering generative diffusion model with cross-modal discrimination capability",
/// section 3: the network of a stream, the trunk, and that of another stream, which reads the trunk's features at several
/// scales by cross-attention, so that what is diffused there is conditioned on what is here. The trunk sees its stream as
/// the row has it, clean at time 0 where it is given, and no prompt; it never sees who reads it.
///
/// A part is called for the rows in which its stream is noisy, all others cost nothing, and what is said of them is 0.
/// Prompts are for the parts that read of nobody.
///
/// Once frozen, the features of a stream that is given in all rows are computed once for as long as the batch has the same
/// memory, however many steps the reader takes.
pub struct DualStream {
    streams: Vec<StreamSpec>,
    parts: Vec<Box<dyn Denoiser>>,
    /// By place of the part that reads.
    readers: Vec<Option<Reader>>,
}

/// What a part reads.
struct Reader {
    /// The place of the part that is read.
    trunk: usize,
    sites: Vec<Site>,
    tokens: FeatureTokens,
    detach: bool,
    /// Once frozen: the trunk's stream, and what was made of it last.
    kept: Option<RefCell<Option<(Tensor, Tokens)>>>,
}

impl DualStream {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &DualStreamConfig, init: Init) -> Result<Self> {
        let mut parts = Vec::new();
        for (place, stream) in streams.iter().enumerate() {
            let missing = || bad("parts", "a network for each stream", format!("none for {:?}", stream.name));
            let network = config.parts.get(&stream.name).ok_or_else(missing)?;
            let network = match config.reads.get(&stream.name) {
                None => network.clone(),
                Some(reading) => network.in_context(reading.features).ok_or_else(|| {
                    bad("reads", "a network that can read so many features", format!("{:?}", stream.name))
                })?,
            };
            let own = Init { seed: init.seed.wrapping_add((place as u64).wrapping_mul(SEEDS)), ..init };
            parts.push(build_from(&network, std::slice::from_ref(stream), own)?);
        }
        if let Some(stranger) = config.parts.keys().find(|name| !streams.iter().any(|stream| &stream.name == *name)) {
            return Err(bad("parts", "a network for each stream alone", format!("one for {stranger:?}")));
        }
        DualStream::reading(streams, parts, &config.reads, init)
    }

    /// Of networks that are made already, one for each stream; those that read take a context of tokens of so many
    /// features.
    ///
    /// # Errors
    /// A stream reads of none that there is, or a place that its network does not have.
    pub fn of_parts(
        streams: &[StreamSpec],
        parts: Vec<Box<dyn Denoiser>>,
        reads: &IndexMap<String, Reading>,
        (precision, device, seed): (Precision, Device, u64),
    ) -> Result<Self> {
        DualStream::reading(streams, parts, reads, Init { precision, device, seed })
    }

    fn reading(
        streams: &[StreamSpec],
        parts: Vec<Box<dyn Denoiser>>,
        reads: &IndexMap<String, Reading>,
        init: Init,
    ) -> Result<Self> {
        let mut readers = Vec::new();
        for stream in streams {
            let Some(reading) = reads.get(&stream.name) else {
                readers.push(None);
                continue;
            };
            let trunk = streams.iter().position(|other| other.name == reading.stream);
            let missing = || bad("reads", "one of the streams", format!("{:?}", reading.stream));
            let trunk = trunk.ok_or_else(missing)?;
            let (sites, known) = (reading.places()?, parts[trunk].sites());
            let specs = sites.iter().map(|site| spec(*site, &known)).collect::<Result<Vec<_>>>()?;
            let tokens = FeatureTokens::new(&format!("reads.{}", stream.name), &specs, reading.features, init)?;
            readers.push(Some(Reader { trunk, sites, tokens, detach: reading.detach, kept: None }));
        }
        Ok(DualStream { streams: streams.to_vec(), parts, readers })
    }

    /// What a part is asked of these rows, of which all have its stream.
    fn asked(&self, place: usize, rows: &DenoiserInput) -> Result<DenoiserInput> {
        let asked = rows.some_streams(place..place + 1)?;
        let Some(reader) = &self.readers[place] else {
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

    /// The tokens of the trunk's features, or those that were kept; none if no row has its stream.
    fn read(&self, reader: &Reader, rows: &DenoiserInput) -> Result<Option<Tokens>> {
        let (told, x) = (Told::of(rows)?, &rows.x[reader.trunk]);
        let gone = match told.there(reader.trunk) {
            Rows::None => return Ok(None),
            Rows::All => None,
            Rows::Some(there) => Some(there.iter().map(|there| !there).collect::<Vec<_>>()),
        };
        let Some(kept) = reader.kept.as_ref().filter(|_| told.is_clean(reader.trunk) && !x.requires_grad()) else {
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

    /// Asks the trunk. Rows without its stream have no token.
    fn features(&self, reader: &Reader, rows: &DenoiserInput, gone: Option<Vec<bool>>) -> Result<Tokens> {
        let mut asked = rows.some_streams(reader.trunk..reader.trunk + 1)?;
        let mask = gone.map(|gone| {
            let gone = Tensor::f_from_slice(&gone).op("from_slice", &[])?;
            gone.f_to_device(asked.x[0].device()).op("to", &[&gone])
        });
        let gone = mask.transpose()?;
        if let Some(gone) = &gone {
            // What a row without the stream holds may not be finite.
            let column = self.streams[reader.trunk].column_shape(gone.size()[0] as usize);
            let column = gone.f_view(column.as_slice()).op("view", &[gone])?;
            asked.x[0] = asked.x[0].f_masked_fill(&column, 0.0).op("masked_fill", &[&asked.x[0]])?;
        }
        let ask = || self.parts[reader.trunk].predict_with(&asked, &reader.sites);
        let (_, features) = if reader.detach { tch::no_grad(ask)? } else { ask()? };
        let values = reader.tokens.forward(&features)?;
        let mask = gone.map(|gone| {
            let there = gone.f_logical_not().and_then(|there| there.f_unsqueeze(1)).op("logical_not", &[&gone])?;
            let size = [values.size()[0], values.size()[1]];
            there.f_expand(size, false).and_then(|there| there.f_contiguous()).op("expand", &[&there])
        });
        Ok(Tokens { values, mask: mask.transpose()? })
    }
}

fn spec(site: Site, known: &[SiteSpec]) -> Result<SiteSpec> {
    known.iter().find(|spec| spec.site == site).cloned().ok_or_else(|| crate::EngineError::Unknown {
        what: "site",
        name: site.to_string(),
        known: known.iter().map(|spec| spec.site.to_string()).collect(),
    })
}

impl Denoiser for DualStream {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let told = Told::of(batch)?;
        let mut outputs = Vec::with_capacity(self.parts.len());
        for (place, (part, stream)) in self.parts.iter().zip(&self.streams).enumerate() {
            let nothing = || {
                let shape = stream.batch_shape(batch.rows() as usize);
                Tensor::f_zeros(shape, (Kind::Float, batch.x[place].device())).op("zeros", &[])
            };
            let answer = |rows: &DenoiserInput| -> Result<Tensor> {
                Ok(part.predict(&self.asked(place, rows)?)?.swap_remove(0))
            };
            outputs.push(match told.noisy(place) {
                Rows::None => nothing()?,
                Rows::All => answer(batch)?,
                Rows::Some(rows) => {
                    let answer = answer(&batch.pick(&rows)?)?;
                    let index = Rows::index(&rows, answer.device())?;
                    nothing()?.f_index_copy(0, &index, &answer).op("index_copy", &[&index, &answer])?
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
