//! The held-out rows of an evaluation and the judges' verdicts on them, the reference of every figure.

use std::path::Path;

use anyflow_datasets::OwnedCell;
use anyflow_diffusion::noise::RowNoise;
use anyflow_plan::findings::{Distance, Real, Reconstructed};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{ArrayMaker, EvalPlan, HiddenPart, Table, Task, Variant};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::figures;
use super::frechet::Moments;
use super::judging::{CHUNK, RoundTrip, Verdicts, distance};
use super::near::{Comparison, Near, Truths, squared_distances};
use crate::events::{Events, figures as event};
use crate::plugin::Codec;
use crate::table::{Incomplete, TableData, TableReading, Tuples};
use crate::values::hidden;
use crate::{Judge, Result, RunError, Session};

/// Uniform numbers per tuple, one per source. A ninth source shares the number of the first.
const DRAWS: usize = 8;

/// Real rows that no model was trained on, and the judges.
pub struct HeldOut<'a> {
    /// The evaluation.
    pub plan: &'a EvalPlan,
    /// Codecs and device, without weights.
    pub session: Session,
    /// Judges by stream.
    pub judges: IndexMap<String, Judge>,
    /// Mean and covariance of the judges' features over all rows of a stream.
    pub moments: IndexMap<String, Moments>,
    /// Threads for codecs.
    pub threads: usize,
    /// The features of all rows of a stream, as unit vectors.
    features: IndexMap<String, Tensor>,
    data: TableData<Tensor>,
    /// Arrays of the streams that the variant reads with its own codecs.
    variant_arrays: IndexMap<String, Tensor>,
}

impl<'a> HeldOut<'a> {
    /// Reads the rows and loads the judges.
    ///
    /// # Errors
    /// Errors of datasets and plugins; a judge's weights are missing or do not fit.
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
        let reading = TableReading {
            part: "held-out rows",
            files: &plan.sources,
            model: &plan.model,
            session: &session,
            threads,
            incomplete: Incomplete::LeaveOut,
            events,
        };
        let data = TableData::read(&plan.data, &reading)?;
        Ok(HeldOut {
            plan,
            session,
            judges,
            moments: IndexMap::new(),
            threads,
            features: IndexMap::new(),
            data,
            variant_arrays: IndexMap::new(),
        })
    }

    /// Reads the streams for which a variant has its own codecs.
    ///
    /// # Errors
    /// Errors of datasets and plugins.
    pub fn read_variant(&mut self, variant: &Variant, order: &Order, events: &Events) -> Result<()> {
        self.variant_arrays.clear();
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
        let reading = TableReading {
            part: "observed rows",
            files: &self.plan.sources,
            model: &self.plan.model,
            session: &session,
            threads,
            incomplete: Incomplete::LeaveOut,
            events,
        };
        let data = TableData::read(&table, &reading)?;
        let arrays =
            variant.codecs.keys().filter_map(|stream| Some((stream.clone(), data.array(stream)?.shallow_clone())));
        self.variant_arrays = arrays.collect();
        Ok(())
    }

    /// Judges the real rows, and measures the feature distance of other real rows from them.
    ///
    /// # Errors
    /// Errors of plugins; a reference cannot be read.
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
            let features = verdicts.features.as_ref().map(unit_vectors).transpose()?;
            self.features.extend(features.map(|features| (stream.clone(), features)));
        }
        Ok(real)
    }

    /// Moments of the `reference`: of as many rows as a task generates, or of all rows if there are fewer.
    fn reference(&self, stream: &str, judge: &Judge, events: &Events) -> Result<Option<Moments>> {
        let Some(column) = self.plan.reference.get(stream) else { return Ok(None) };
        let columns = IndexMap::from([(stream.to_string(), column.clone())]);
        let table = Table { join: None, columns, class: None, classes: Vec::new() };
        let reading = TableReading {
            part: &format!("reference of {stream}"),
            files: &self.plan.sources,
            model: &self.plan.model,
            session: &self.session,
            threads: self.threads,
            incomplete: Incomplete::LeaveOut,
            events,
        };
        let data = TableData::read(&table, &reading)?;
        let Some(array) = data.array(stream) else { return Ok(None) };
        let mut rows = shuffled(&uniforms(0, "\0evaluation/reference", data.all().rows()));
        rows.truncate(self.plan.options.rows as usize * self.plan.options.seeds.len());
        Verdicts::of_arrays(judge, &picked(array, &rows)?, self.session.device)?.moments()
    }

    /// The distance between two random halves of the rows.
    fn halves(&self, verdicts: &Verdicts) -> Result<Option<Distance>> {
        let Some(features) = verdicts.features.as_ref().filter(|features| features.size()[0] > 3) else {
            return Ok(None);
        };
        let rows = features.size()[0] as usize;
        let order = shuffled(&uniforms(0, "\0evaluation/halves", rows));
        let (one, other) = order.split_at(rows / 2);
        let one = Moments::of(&picked(features, one)?)?;
        let other = Moments::of(&picked(features, other)?)?;
        distance(Some(&one), Some(&other))
    }

    /// Judges reconstructed rows: through a model's encoder and decoder, then through cells.
    ///
    /// # Errors
    /// Errors of plugins.
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
            let back = RoundTrip::of(&model.codecs[stream], &back, self.threads)?;
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

    /// Draws the tuples of a seed. Rows of the first source repeat only if there are too few; partners are random.
    pub fn tuples(&self, seed: u64) -> Tuples {
        let rows = self.plan.options.rows as usize;
        let all = self.data.all().rows();
        let uniforms = uniforms(seed, "\0evaluation/tuples", all + rows * DRAWS);
        let (for_order, partners) = uniforms.split_at(all);
        let order = shuffled(for_order);
        let picks: Vec<usize> = (0..rows).map(|row| order[row % all] as usize).collect();
        self.data.all().tuples(&picks, |tuple, source| partners[tuple * DRAWS + source % DRAWS])
    }

    /// The true class of each tuple.
    ///
    /// # Errors
    /// The table has no class, which planning excludes.
    pub fn classes(&self, tuples: &Tuples) -> Result<Vec<i64>> {
        self.data.classes(tuples)
    }

    /// The names of the classes in the order of their numbers; empty if the class column holds numbers.
    pub fn class_names(&self) -> &[String] {
        &self.plan.data.classes
    }

    /// The cells of a stream or prompt in these tuples, as its codec writes them, or the codec of the first prompt that a
    /// prompt is made of; `None` if the table does not have it, or if no codec reads it.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn cells(&self, stream: &str, tuples: &Tuples) -> Result<Option<Vec<Option<OwnedCell>>>> {
        let Some((name, ArrayMaker::Codec(of))) = self.plan.model.arrays(stream).into_iter().next() else {
            return Ok(None);
        };
        let Some(array) = self.data.array(&name) else { return Ok(None) };
        let array = self.data.select(&name, array, tuples)?;
        let cells = self.session.codecs[&of].decode(&array, self.threads)?;
        Ok(Some(cells.into_iter().map(std::result::Result::ok).collect()))
    }

    /// Compares generated rows with their true rows. The perceptual comparison takes at most as many rows as a task
    /// generates. `None` without features, and if the join is not one-to-one, because then a row has several true rows.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn truth(
        &self,
        stream: &str,
        tuples: &Tuples,
        written: &RoundTrip,
        verdicts: &Verdicts,
    ) -> Result<Option<Comparison>> {
        let rows = self.data.rows_of(stream, tuples).into_iter().map(i64::from).collect();
        self.nearness(stream, rows, written, verdicts)
    }

    /// Compares rows with these true rows of the stream's source.
    fn nearness(
        &self,
        stream: &str,
        rows: Vec<i64>,
        written: &RoundTrip,
        verdicts: &Verdicts,
    ) -> Result<Option<Comparison>> {
        let (Some(all), Some(features)) = (self.features.get(stream), &verdicts.features) else { return Ok(None) };
        if !self.data.all().is_matched_one_to_one() || features.size()[0] == 0 {
            return Ok(None);
        }
        let read: Vec<(i64, i64)> =
            (0..).zip(rows).filter(|(at, _)| verdicts.classes[*at as usize].is_some()).collect();
        let (at, own): (Vec<i64>, Vec<i64>) = read.into_iter().unzip();
        let mut by_features = Near::default();
        for (features, own) in unit_vectors(features)?.f_split(CHUNK, 0)?.iter().zip(own.chunks(CHUNK as usize)) {
            by_features.add(&Tensor::f_cdist(features, all, 2.0, None::<i64>)?, own)?;
        }
        let few = (self.plan.options.rows as usize).min(at.len());
        let perceptual = self.perceptual(stream, &picked(&written.array, &at[..few])?, &own[..few])?;
        Ok(Some(Comparison { features: by_features, perceptual }))
    }

    /// Compares arrays with their true rows by perceptual distance; `None` if the judge has none. The perceptual features
    /// of the held-out rows are recomputed each time, because they are far larger than the rows.
    fn perceptual(&self, stream: &str, array: &Tensor, own: &[i64]) -> Result<Option<Near>> {
        let (Some(judge), Some(all)) = (self.judges.get(stream), self.data.array(stream)) else { return Ok(None) };
        let features = |array: &Tensor| judge.perceptual(&array.f_to_device(self.session.device)?);
        let mut near = Near::default();
        for (array, own) in array.f_split(CHUNK, 0)?.iter().zip(own.chunks(CHUNK as usize)) {
            let Some(rows) = features(array)? else { return Ok(None) };
            let mut distances = Vec::new();
            for others in all.f_split(CHUNK, 0)? {
                distances.extend(features(&others)?.map(|others| squared_distances(&rows, &others)).transpose()?);
            }
            near.add(&Tensor::f_cat(&distances, 1)?.f_to_device(Device::Cpu)?, own)?;
        }
        Ok(Some(near))
    }

    /// An [array](anyflow_plan::plan::Model::arrays) of a stream or prompt in these tuples.
    ///
    /// # Errors
    /// The table does not have it, which planning excludes.
    pub fn array(&self, name: &str, tuples: &Tuples) -> Result<Tensor> {
        let missing = || RunError::Internal(format!("the held-out rows have no array {name}"));
        let array = self.variant_arrays.get(name).or_else(|| self.data.array(name)).ok_or_else(missing)?;
        self.data.select(name, array, tuples)
    }

    /// The arrays that a task reads, in these tuples, and those of its planes with a hidden part.
    ///
    /// # Errors
    /// Errors of [`HeldOut::array`].
    pub fn arrays(&self, task: &Task, tuples: &Tuples) -> Result<IndexMap<String, Tensor>> {
        let names = task.reads().flat_map(|read| self.plan.model.arrays(read.from).into_keys());
        let mut arrays: IndexMap<String, Tensor> =
            names.map(|name| Ok((name.clone(), self.array(&name, tuples)?))).collect::<Result<_>>()?;
        for (stream, plane) in &task.planes {
            if let Some(HiddenPart { mask, fill }) = &plane.hide {
                let visible = hidden(&arrays[&plane.from], &arrays[mask], *fill)?;
                arrays.insert(plane.array(stream), visible);
            }
        }
        Ok(arrays)
    }
}

fn uniforms(seed: u64, purpose: &str, count: usize) -> Vec<f64> {
    let mut uniforms = vec![0.0; count];
    RowNoise::new(seed, 0, purpose).uniforms(0, &mut uniforms);
    uniforms
}

/// A random permutation of as many row indices as there are uniform numbers (Fisher-Yates).
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

/// Features `[row, feature]`, each row divided by its norm.
fn unit_vectors(features: &Tensor) -> Result<Tensor> {
    let length = features.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
    Ok(features.f_div(&length.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?)
}
