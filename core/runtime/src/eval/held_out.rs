//! The held-out rows of an evaluation, and what judges say of them: the reference beside every figure.

use std::path::Path;

use anyflow_datasets::OwnedCell;
use anyflow_diffusion::noise::RowNoise;
use anyflow_plan::findings::{Distance, Real, Reconstructed};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{EvalPlan, Table, Variant};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::figures;
use super::frechet::Moments;
use super::judging::{CHUNK, Verdicts, Written, distance};
use super::near::{Comparison, Near, Truths, squared_distances};
use crate::events::{Events, figures as event};
use crate::plugin::Codec;
use crate::train::{TableData, Tuples};
use crate::{Judge, Result, RunError, Session};

/// Uniform numbers a tuple, one per source; a ninth source shares that of the first.
const DRAWS: usize = 8;

/// Real rows that no model was trained on, with the judges that look at everything.
pub struct HeldOut<'a> {
    /// The evaluation.
    pub plan: &'a EvalPlan,
    /// Codecs and devices; no weights.
    pub session: Session,
    /// Judges by stream.
    pub judges: IndexMap<String, Judge>,
    /// Mean and covariance of the judges' features over all rows of a stream.
    pub moments: IndexMap<String, Moments>,
    /// Threads for codecs.
    pub threads: usize,
    /// The features of all rows of a stream, each of length 1.
    features: IndexMap<String, Tensor>,
    data: TableData,
    /// Arrays of streams that a variant reads by codecs of its own.
    given: IndexMap<String, Tensor>,
}

impl<'a> HeldOut<'a> {
    /// Reads the rows and loads the judges.
    ///
    /// # Errors
    /// What datasets and plugins say; a judge's weights that do not fit.
    pub fn read(plan: &'a EvalPlan, order: &Order, mut session: Session, events: &Events) -> Result<Self> {
        let mut judges = IndexMap::new();
        for (stream, scorer) in &plan.judges {
            let judge = Judge::new(scorer, &mut session.plugins, session.device, 0)?;
            if let Some(path) = &scorer.checkpoint {
                judge.load_weights(stream, Path::new(path))?;
            }
            judges.insert(stream.clone(), judge);
        }
        let threads = order.threads as usize;
        let data = TableData::read("held-out rows", &plan.data, &plan.sources, &session, threads, events)?;
        let (moments, features, given) = (IndexMap::new(), IndexMap::new(), IndexMap::new());
        Ok(HeldOut { plan, session, judges, moments, threads, features, data, given })
    }

    /// Reads what a variant's own codecs read.
    ///
    /// # Errors
    /// What datasets and plugins say.
    pub fn read_given(&mut self, variant: &Variant, order: &Order, events: &Events) -> Result<()> {
        self.given.clear();
        if variant.codecs.is_empty() {
            return Ok(());
        }
        let mut session = Session::new(&self.plan.model, self.session.device, 0)?;
        for (stream, codec) in &variant.codecs {
            let array = &self.plan.model.streams[stream].array;
            let codec = Codec::new(&mut session.plugins, codec, array)?;
            session.codecs.insert(stream.clone(), codec);
        }
        let columns = self.plan.data.columns.iter().filter(|(stream, _)| variant.codecs.contains_key(*stream));
        let columns = columns.map(|(stream, column)| (stream.clone(), column.clone())).collect();
        let table = Table { join: None, columns, class: None, classes: Vec::new() };
        let threads = order.threads as usize;
        let data = TableData::read("given rows", &table, &self.plan.sources, &session, threads, events)?;
        let arrays =
            variant.codecs.keys().filter_map(|stream| Some((stream.clone(), data.array(stream)?.shallow_clone())));
        self.given = arrays.collect();
        Ok(())
    }

    /// Every judge on the rows as they are, and the distance that real rows have from them.
    ///
    /// # Errors
    /// What plugins say; a reference that cannot be read.
    pub fn real(&mut self, events: &Events) -> Result<IndexMap<String, Real>> {
        let mut real = IndexMap::new();
        for (stream, judge) in &self.judges {
            let Some(array) = self.data.array(stream) else { continue };
            let truth = self.data.class_of_rows(stream)?;
            let verdicts = Verdicts::of_arrays(judge, array, self.session.device)?;
            let accuracy = figures::accuracy(&verdicts.classes, &truth);
            let moments = verdicts.moments()?;
            let floor = match self.reference(stream, judge, events)? {
                Some(reference) => distance(Some(&reference), moments.as_ref())?,
                None => self.halves(&verdicts)?,
            };
            let diversity = verdicts.diversity(judge.classes)?;
            events.end(&format!("judge {stream}"), event([("accuracy", accuracy.into())]));
            real.insert(stream.clone(), Real { rows: truth.len() as u64, accuracy, floor, diversity });
            self.moments.extend(moments.map(|moments| (stream.clone(), moments)));
            let features = verdicts.features.as_ref().map(of_length_one).transpose()?;
            self.features.extend(features.map(|features| (stream.clone(), features)));
        }
        Ok(real)
    }

    /// Features of as many rows of the `reference` as a task generates, or of all it has.
    fn reference(&self, stream: &str, judge: &Judge, events: &Events) -> Result<Option<Moments>> {
        let Some(column) = self.plan.reference.get(stream) else { return Ok(None) };
        let columns = IndexMap::from([(stream.to_string(), column.clone())]);
        let table = Table { join: None, columns, class: None, classes: Vec::new() };
        let part = format!("reference of {stream}");
        let data = TableData::read(&part, &table, &self.plan.sources, &self.session, self.threads, events)?;
        let Some(array) = data.array(stream) else { return Ok(None) };
        let mut rows = shuffled(&uniforms(0, "\0evaluation/reference", data.rows()));
        rows.truncate(self.plan.rows as usize * self.plan.seeds.len());
        Verdicts::of_arrays(judge, &picked(array, &rows)?, self.session.device)?.moments()
    }

    /// The distance of one half of the rows from the other.
    fn halves(&self, verdicts: &Verdicts) -> Result<Option<Distance>> {
        let Some(features) = verdicts.features.as_ref().filter(|features| features.size()[0] > 3) else {
            return Ok(None);
        };
        let rows = features.size()[0] as usize;
        let order = shuffled(&uniforms(0, "\0evaluation/halves", rows));
        let (one, other) = order.split_at(rows / 2);
        let (one, other) = (Moments::of(&picked(features, one)?)?, Moments::of(&picked(features, other)?)?);
        distance(Some(&one), Some(&other))
    }

    /// Every judge on rows that went through a model's encoder and decoder, and through cells.
    ///
    /// # Errors
    /// What plugins say.
    pub fn reconstructed(&self, model: &Session) -> Result<IndexMap<String, Reconstructed>> {
        let _no_grad = tch::no_grad_guard();
        let mut found = IndexMap::new();
        for (stream, judge) in &self.judges {
            let Some(array) = self.data.array(stream) else { continue };
            let net = &model.streams[stream];
            let parts = array.f_split(CHUNK, 0)?.into_iter().map(|chunk| {
                let latent = net.encode(&chunk.f_to_device(model.device)?, false)?;
                Ok(net.decode(&latent, false)?.f_to_device(tch::Device::Cpu)?)
            });
            let back = Tensor::f_cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
            let back = Written::of(&model.codecs[stream], &back, self.threads)?;
            let verdicts = Verdicts::of_written(judge, &back, model.device)?;
            let accuracy = figures::accuracy(&verdicts.classes, &self.data.class_of_rows(stream)?);
            let frechet = distance(verdicts.moments()?.as_ref(), self.moments.get(stream))?;
            let mut truths = Truths::default();
            truths.add(self.nearness(stream, (0..array.size()[0]).collect(), &back, &verdicts)?);
            let truth = truths.findings();
            found.insert(stream.clone(), Reconstructed { accuracy, frechet, truth });
        }
        Ok(found)
    }

    /// The tuples of a seed: leaders without repetition as long as there are enough, partners at random.
    pub fn tuples(&self, seed: u64) -> Tuples {
        let (rows, all) = (self.plan.rows as usize, self.data.rows());
        let uniforms = uniforms(seed, "\0evaluation/tuples", all + rows * DRAWS);
        let (for_order, partners) = uniforms.split_at(all);
        let order = shuffled(for_order);
        let picks: Vec<usize> = (0..rows).map(|row| order[row % all] as usize).collect();
        self.data.tuples(&picks, |tuple, source| partners[tuple * DRAWS + source % DRAWS])
    }

    /// The true class of each tuple.
    ///
    /// # Errors
    /// The table names no class, which planning excludes.
    pub fn classes(&self, tuples: &Tuples) -> Result<Vec<i64>> {
        self.data.classes(tuples)
    }

    /// The cells of a stream that tuples name, as its codec writes them; nothing if the table has no such stream.
    ///
    /// # Errors
    /// What plugins say.
    pub fn cells(&self, stream: &str, tuples: &Tuples) -> Result<Option<Vec<Option<OwnedCell>>>> {
        let Some(array) = self.data.array(stream) else { return Ok(None) };
        let array = self.data.select(stream, array, tuples)?;
        let cells = self.session.codecs[stream].decode(&array, self.threads)?;
        Ok(Some(cells.into_iter().map(std::result::Result::ok).collect()))
    }

    /// How far generated rows are from the rows that they were to be, and how often these are the nearest of all;
    /// perceptually of as many as a task generates at most. Nothing without features, or where rows of several sources are
    /// matched such that a row is one of several that it could be.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn truth(
        &self,
        stream: &str,
        tuples: &Tuples,
        written: &Written,
        verdicts: &Verdicts,
    ) -> Result<Option<Comparison>> {
        let rows = self.data.rows_of(stream, tuples).into_iter().map(i64::from).collect();
        self.nearness(stream, rows, written, verdicts)
    }

    /// The same of rows that were to be those of the stream's source.
    fn nearness(
        &self,
        stream: &str,
        rows: Vec<i64>,
        written: &Written,
        verdicts: &Verdicts,
    ) -> Result<Option<Comparison>> {
        let (Some(all), Some(features)) = (self.features.get(stream), &verdicts.features) else { return Ok(None) };
        if !self.data.is_matched_one_to_one() || features.size()[0] == 0 {
            return Ok(None);
        }
        let read: Vec<(i64, i64)> =
            (0..).zip(rows).filter(|(at, _)| verdicts.classes[*at as usize].is_some()).collect();
        let (at, own): (Vec<i64>, Vec<i64>) = read.into_iter().unzip();
        let mut by_features = Near::default();
        for (features, own) in of_length_one(features)?.f_split(CHUNK, 0)?.iter().zip(own.chunks(CHUNK as usize)) {
            by_features.add(&Tensor::f_cdist(features, all, 2.0, None::<i64>)?, own)?;
        }
        let few = (self.plan.rows as usize).min(at.len());
        let perceptual = self.appearance(stream, &picked(&written.array, &at[..few])?, &own[..few])?;
        Ok(Some(Comparison { features: by_features, perceptual }))
    }

    /// How near arrays appear to be to their own; nothing if the judge does not tell. What it sees of the held-out rows is
    /// made anew each time: kept, it would be far larger than they are.
    fn appearance(&self, stream: &str, array: &Tensor, own: &[i64]) -> Result<Option<Near>> {
        let (Some(judge), Some(all)) = (self.judges.get(stream), self.data.array(stream)) else { return Ok(None) };
        let see = |array: &Tensor| judge.perceptual(&array.f_to_device(self.session.device)?);
        let mut near = Near::default();
        for (array, own) in array.f_split(CHUNK, 0)?.iter().zip(own.chunks(CHUNK as usize)) {
            let Some(seen) = see(array)? else { return Ok(None) };
            let mut distances = Vec::new();
            for others in all.f_split(CHUNK, 0)? {
                distances.extend(see(&others)?.map(|others| squared_distances(&seen, &others)).transpose()?);
            }
            near.add(&Tensor::f_cat(&distances, 1)?.f_to_device(Device::Cpu)?, own)?;
        }
        Ok(Some(near))
    }

    /// The arrays of a stream that tuples name.
    ///
    /// # Errors
    /// The table has no such stream, which planning excludes.
    pub fn given(&self, stream: &str, tuples: &Tuples) -> Result<Tensor> {
        let missing = || RunError::Internal(format!("the held-out rows have no stream {stream}"));
        let array = self.given.get(stream).or_else(|| self.data.array(stream)).ok_or_else(missing)?;
        self.data.select(stream, array, tuples)
    }
}

fn uniforms(seed: u64, purpose: &str, count: usize) -> Vec<f64> {
    let mut uniforms = vec![0.0; count];
    RowNoise::new(seed, 0, purpose).uniforms(0, &mut uniforms);
    uniforms
}

/// As many row numbers as there are uniform numbers, in an order that these choose (Fisher-Yates).
fn shuffled(uniforms: &[f64]) -> Vec<i64> {
    let mut order: Vec<i64> = (0..uniforms.len() as i64).collect();
    for i in (1..uniforms.len()).rev() {
        order.swap(i, (uniforms[i] * (i + 1) as f64) as usize);
    }
    order
}

fn picked(all: &Tensor, rows: &[i64]) -> Result<Tensor> {
    Ok(all.f_index_select(0, &Tensor::from_slice(rows).f_to_device(all.device())?)?)
}

/// `[row, feature]`, each row divided by its length.
fn of_length_one(features: &Tensor) -> Result<Tensor> {
    let length = features.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
    Ok(features.f_div(&length.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?)
}
