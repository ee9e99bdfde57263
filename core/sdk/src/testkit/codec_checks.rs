//! The promises that every codec keeps.

mod wrong_input;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::array::Array;
use super::chance::Chance;
use super::codec::{Codec, Input};
use super::descriptor;
use super::host::Refusal;
use super::outcome::{Protocol, Unmet, Verdict};
use super::role::FIXED_SIZES;
use super::{hostile, memory, schema};
use crate::OwnedCell;
use crate::abi::codec::CodecInterface;

/// The largest allowed mean change of an array that is decoded and encoded again, relative to its range, or to its
/// largest value if it has no range. Two random arrays differ by a third. The limit leaves room for codecs that must
/// estimate, such as a sound from its spectrogram, or that smooth the corners of a random zigzag.
const DRIFT: f64 = 0.125;
/// The most cells that the checks work with.
const SAMPLES: usize = 8;
/// Bytes of a batch for measuring leaks.
const LEAK_BATCH: usize = 128 << 10;
/// The most rows of such a batch.
const LEAK_ROWS: usize = 1024;
/// Threads that call one instance at the same time.
const THREADS: usize = 4;

/// A codec with fixed parameters.
struct Subject<'a> {
    table: &'static CodecInterface,
    descriptor: &'a descriptor::Codec,
    parameters: Map<String, Value>,
    sizes: Vec<i64>,
}

/// Checks a codec with the given parameters, defaults for the others, and the given samples, if any.
pub(super) fn run(
    table: &'static CodecInterface,
    descriptor: &descriptor::Codec,
    given: &Map<String, Value>,
    mut samples: Vec<OwnedCell>,
    protocol: &mut Protocol<'_>,
) {
    protocol.check("defaults", || schema::check(&descriptor.parameters));
    let mut made = None;
    protocol.check("create", || {
        let parameters = schema::values(&descriptor.parameters, given)?;
        let sizes = descriptor.array.sizes(&parameters)?;
        let subject = Subject { table, descriptor, parameters, sizes };
        subject.make()?;
        subject.make()?;
        let text = format!("array [row, {}]", subject.sizes.iter().map(i64::to_string).collect::<Vec<_>>().join(", "));
        made = Some(subject);
        Ok(text)
    });
    let Some(subject) = made else { return };
    protocol.check("parameters", || hostile::parameters(&subject.parameters, |text| subject.make_with(text).map(drop)));
    let given = samples.len();
    protocol.check("decode", || subject.decode(&mut samples));
    samples.truncate(SAMPLES.max(given));
    protocol.check("encode", || subject.encode(&mut samples, given));
    let samples = samples.into_iter().map(Input::Cell).collect::<Vec<_>>();
    protocol.check("round-trip", || subject.round_trip(&samples));
    protocol.check("determinism", || subject.determinism(&samples));
    protocol.check("batch", || subject.batch(&samples));
    protocol.check("empty-batch", || subject.empty_batch());
    protocol.check("odd-sizes", || subject.odd_sizes());
    protocol.check("wrong-cells", || subject.wrong_cells(&samples));
    protocol.check("garbage", || subject.garbage(&samples));
    protocol.check("wrong-arrays", || subject.wrong_arrays());
    protocol.check("state", || subject.state(&samples));
    protocol.check("threads", || subject.threads(&samples));
    protocol.check("leaks", || subject.leaks(&samples));
}

impl Subject<'_> {
    fn make(&self) -> Result<Codec, Refusal> {
        self.make_with(&Value::Object(self.parameters.clone()).to_string())
    }

    fn make_with(&self, parameters: &str) -> Result<Codec, Refusal> {
        Codec::create(self.table, &self.descriptor.id, parameters)
    }

    fn zeros(&self, rows: usize) -> Result<Array, Unmet> {
        let port = &self.descriptor.array;
        Array::zeros(&port.dtype, rows, &self.sizes).ok_or_else(|| format!("there is no dtype `{}`", port.dtype).into())
    }

    /// Arrays as a network may give them: one row of zeros, the others random within the port's range.
    fn arrays(&self) -> Result<Array, Unmet> {
        let mut array = self.zeros(5)?;
        let mut chance = Chance::new(1);
        for row in 1..array.rows() {
            let values = chance.values(&self.descriptor.array, array.row_size());
            array.set_row(row, &values);
        }
        Ok(array)
    }

    /// Encodes cells; fails if one is refused.
    fn encoded(&self, codec: &Codec, cells: &[Input]) -> Result<Array, Unmet> {
        let mut array = self.zeros(cells.len())?;
        let heard = codec.encode(cells, &mut array)?;
        match heard.rows.into_iter().next() {
            Some((row, text)) => Err(format!("sample {row} was accepted before, but is refused now: {text}").into()),
            None => Ok(array),
        }
    }

    /// Decodes an array; fails if a row is refused.
    fn decoded(codec: &Codec, array: &mut Array) -> Result<Vec<OwnedCell>, Unmet> {
        codec.decode(array)?.into_iter().map(|cell| cell.map_err(Unmet::from)).collect()
    }

    /// Zeros and random arrays decode to cells of the right kind, or are refused row by row. The cells become samples.
    fn decode(&self, samples: &mut Vec<OwnedCell>) -> Verdict {
        let codec = self.make()?;
        let answers = codec.decode(&mut self.arrays()?)?;
        let rows = answers.len();
        let cells: Vec<_> = answers.into_iter().flatten().collect();
        if let Some(cell) = cells.iter().find(|cell| cell.kind() != self.descriptor.cell) {
            return Err(format!("it gives {}, but its descriptor says {}", cell.kind(), self.descriptor.cell).into());
        }
        let text = format!("decoded {} of {rows} arrays", cells.len());
        for cell in cells {
            if !samples.contains(&cell) {
                samples.push(cell);
            }
        }
        Ok(text)
    }

    /// Samples encode to finite arrays within the range. Refused samples are dropped, unless the user gave them.
    fn encode(&self, samples: &mut Vec<OwnedCell>, given: usize) -> Verdict {
        let codec = self.make()?;
        let mut taken = Vec::new();
        for (number, cell) in samples.drain(..).enumerate() {
            let mut array = self.zeros(1)?;
            match codec.encode(&[Input::Cell(cell.clone())], &mut array)?.rows.remove(&0) {
                Some(text) if number < given => return Err(format!("given sample {number} is refused: {text}").into()),
                Some(_) => {}
                None => {
                    self.in_range(&array)?;
                    taken.push(cell);
                }
            }
        }
        *samples = taken;
        if samples.is_empty() {
            return Err(Unmet::Skipped("it accepts no cell that it decoded from a random array; give a sample".into()));
        }
        Ok(format!("{} samples, all within the range", samples.len()))
    }

    fn in_range(&self, array: &Array) -> Result<(), Unmet> {
        for row in 0..array.rows() {
            let range = self.descriptor.array.range.unwrap_or([f64::MIN, f64::MAX]);
            // Half a unit in the last place of f32, relative to the range.
            let slack = if range[0] == f64::MIN { 0.0 } else { (range[1] - range[0]) * f64::from(f32::EPSILON) };
            let outside = |x: &f64| !(range[0] - slack <= *x && *x <= range[1] + slack);
            if let Some(x) = array.row(row).into_iter().find(outside) {
                return Err(format!("row {row} holds {x}, outside the range {range:?} of its port").into());
            }
        }
        Ok(())
    }

    /// The codec accepts the cell decode(encode(x)), which encodes to nearly the same array.
    fn round_trip(&self, samples: &[Input]) -> Verdict {
        let codec = self.some(samples)?;
        let mut first = self.encoded(&codec, samples)?;
        let cells = Self::decoded(&codec, &mut first)?;
        let again = self.encoded(&codec, &cells.into_iter().map(Input::Cell).collect::<Vec<_>>())?;
        let mut worst: f64 = 0.0;
        for row in 0..samples.len() {
            let a = first.row(row);
            let b = again.row(row);
            let scale = match self.descriptor.array.range {
                Some([low, high]) => high - low,
                None => a.iter().fold(f64::MIN_POSITIVE, |most, x| x.abs().max(most)),
            };
            let moved = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).sum::<f64>() / a.len().max(1) as f64 / scale;
            worst = worst.max(moved);
        }
        if worst > DRIFT {
            return Err(format!(
                "decoding and encoding changes an array by {worst:.3} of its range, more than {DRIFT}"
            )
            .into());
        }
        Ok(format!("arrays change by at most {worst:.4} of their range"))
    }

    /// Makes the codec; skips the check if there is nothing to encode.
    fn some(&self, samples: &[Input]) -> Result<Codec, Unmet> {
        if samples.is_empty() {
            return Err(Unmet::Skipped("there is no sample; give one".into()));
        }
        Ok(self.make()?)
    }

    fn determinism(&self, samples: &[Input]) -> Verdict {
        let codec = self.some(samples)?;
        let mut a = self.encoded(&codec, samples)?;
        if a != self.encoded(&codec, samples)? {
            return Err("the same cells gave two arrays".into());
        }
        let other = self.make()?;
        if a != self.encoded(&other, samples)? {
            return Err("another instance gave another array".into());
        }
        if codec.decode(&mut a)? != other.decode(&mut a)? {
            return Err("the same array gave two cells".into());
        }
        Ok("equal to the bit, in both directions".into())
    }

    fn batch(&self, samples: &[Input]) -> Verdict {
        let codec = self.some(samples)?;
        let mut all = self.encoded(&codec, samples)?;
        let cells = Self::decoded(&codec, &mut all)?;
        for (row, sample) in samples.iter().enumerate() {
            let mut one = self.encoded(&codec, std::slice::from_ref(sample))?;
            if one.row(0) != all.row(row) || Self::decoded(&codec, &mut one)?.first() != cells.get(row) {
                return Err(format!("row {row} differs alone and in a batch of {}", samples.len()).into());
            }
        }
        Ok(format!("1 and {} rows agree to the bit", samples.len()))
    }

    fn empty_batch(&self) -> Verdict {
        let codec = self.make()?;
        codec.encode(&[], &mut self.zeros(0)?)?;
        codec.decode(&mut self.zeros(0)?)?;
        Ok("accepted".into())
    }

    /// Other axis sizes work, or `create` refuses them.
    fn odd_sizes(&self) -> Verdict {
        let names: BTreeSet<&str> = self.descriptor.array.parameters().collect();
        let mut tried = Vec::new();
        for name in names {
            for wanted in [1, 7, 33] {
                let Some(size) = schema::small(&self.descriptor.parameters[name], wanted) else { continue };
                let mut parameters = self.parameters.clone();
                parameters.insert(name.into(), size.into());
                let sizes = self.descriptor.array.sizes(&parameters)?;
                let odd = Subject { parameters, sizes, ..*self };
                match odd.make() {
                    Err(refusal) if refusal.is_breach() => return Err(format!("`{name}` {size}: {refusal}").into()),
                    Err(_) => tried.push(format!("{name} {size} refused")),
                    Ok(codec) => {
                        let of = |why: Refusal| format!("`{name}` {size}: {why}");
                        let cells = codec.decode(&mut odd.arrays()?).map_err(of)?;
                        let cells: Vec<_> = cells.into_iter().flatten().map(Input::Cell).collect();
                        codec.encode(&cells, &mut odd.zeros(cells.len())?).map_err(of)?;
                        tried.push(format!("{name} {size}"));
                    }
                }
            }
        }
        if tried.is_empty() { Err(Unmet::Skipped(FIXED_SIZES.into())) } else { Ok(tried.join(", ")) }
    }

    /// Earlier calls do not change later results.
    fn state(&self, samples: &[Input]) -> Verdict {
        let codec = self.some(samples)?;
        let mut before = self.encoded(&codec, samples)?;
        let cells = codec.decode(&mut before)?;
        let garbage = hostile::values(&self.descriptor.cell, samples);
        codec.encode(&garbage, &mut self.zeros(garbage.len())?)?;
        codec.decode(&mut self.arrays()?)?;
        let reversed: Vec<Input> = samples.iter().rev().cloned().collect();
        self.encoded(&codec, &reversed)?;
        if self.encoded(&codec, samples)? != before || codec.decode(&mut before)? != cells {
            return Err("after other calls, the same cells or arrays give other results".into());
        }
        Ok("calls do not depend on earlier ones".into())
    }

    fn threads(&self, samples: &[Input]) -> Verdict {
        let codec = self.some(samples)?;
        let alone = self.encoded(&codec, samples)?;
        let cells = codec.decode(&mut alone.clone())?;
        let same = || {
            let mut array = self.encoded(&codec, samples).ok()?;
            Some(array == alone && codec.decode(&mut array).ok()? == cells)
        };
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(same)).collect();
            threads.into_iter().all(|thread| matches!(thread.join(), Ok(Some(true))))
        });
        if all { Ok(format!("{THREADS} at a time")) } else { Err("concurrent calls disturb each other".into()) }
    }

    fn leaks(&self, samples: &[Input]) -> Verdict {
        let row_bytes = self.zeros(1)?.bytes().max(1);
        let rows = (LEAK_BATCH / row_bytes).clamp(1, LEAK_ROWS);
        let cells: Vec<Input> = samples.iter().cycle().take(rows.min(samples.len() * rows)).cloned().collect();
        let mut array = self.zeros(rows)?;
        memory::check(row_bytes * rows, || {
            let codec = self.make()?;
            if !cells.is_empty() {
                codec.encode(&cells, &mut array)?;
            }
            codec.encode(&vec![Input::Null; rows], &mut array)?;
            codec.decode(&mut array)?;
            Ok(())
        })
    }
}
