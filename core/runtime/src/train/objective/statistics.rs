//! Statistics: the mean and standard deviation of each stream's latent, which normalize it.

use anyflow_config::objective::{Coordinates, Statistics};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::mapped::MappedColumn;
use crate::train::cache::LatentCache;
use crate::train::frozen::Setting;
use crate::{Result, RunError};

/// Smallest standard deviation of a latent. It keeps a constant coordinate finite when the latent is normalized.
const MIN_STD: f64 = 1e-4;
/// Number of elements up to which all latents are in memory at once. More are measured in pieces.
const WHOLE: usize = 1 << 27;
/// Rows of a piece.
const PIECE_ROWS: usize = 4096;

/// Measures mean and standard deviation of the latents over all rows that have the stream, stores them in the streams, and
/// returns a summary.
///
/// # Errors
/// Errors of plugins; the disk; a stream that every row lacks.
pub fn measure(options: &Statistics, setting: Setting<'_>, cache: &LatentCache<'_>) -> Result<Value> {
    let _no_grad = tch::no_grad_guard();
    let mut summary = Map::new();
    let is_named = |stream: &&String| options.streams.as_ref().is_none_or(|streams| streams.contains(stream));
    for stream in setting.data.arrays().filter(is_named) {
        let net = setting.trainee.session.streams.get(stream);
        let Some(net) = net.filter(|net| !net.is_prompt() && !net.is_class) else { continue };
        let frozen = setting.frozen(stream, cache)?;
        let here = setting.here(stream)?;
        if here.is_empty() {
            return Err(RunError::Data(format!(
                "stream {stream} has no statistics, because every row lacks it; fill its column, or name the streams to \
                 measure: `objective: {{kind: statistics, streams: [...]}}`"
            )));
        }
        let latents = setting.latents(&frozen, stream)?;
        let device = setting.trainee.session.device;
        let Moments { mean, std } = if latents.elements() <= WHOLE {
            whole(&latents.copy(&here)?.f_to_device(device)?, options.per)?
        } else {
            in_pieces(latents, &here, options.per)?
        };
        let still = std.f_lt(MIN_STD)?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        if still > 0 {
            let all = std.numel();
            cache.events.note(format!(
                "stream {stream}: {still} of {all} latent coordinates are the same in all rows; the model will not know other \
                 values"
            ));
        }
        let std = std.f_clamp_min(MIN_STD)?;
        net.mean.shallow_clone().f_copy_(&mean)?;
        net.std.shallow_clone().f_copy_(&std)?;
        let mean_std = std.f_mean(Kind::Float)?.f_double_value(&[])?;
        summary.insert(stream.clone(), json!({ "rows": here.len(), "mean_deviation": mean_std }));
    }
    Ok(Value::Object(summary))
}

/// Mean and standard deviation of each coordinate, `[latent]`, or of the whole stream, `[]`.
struct Moments {
    mean: Tensor,
    std: Tensor,
}

fn axes(axes: usize, per: Coordinates) -> Vec<i64> {
    match per {
        Coordinates::Each => vec![0],
        Coordinates::Stream => (0..axes as i64).collect(),
    }
}

/// The moments of `latents`, `[row, latent]`.
fn whole(latents: &Tensor, per: Coordinates) -> Result<Moments> {
    let axes = axes(latents.dim(), per);
    let mean = latents.f_mean_dim(axes.as_slice(), false, Kind::Float)?;
    Ok(Moments { mean, std: latents.f_std_dim(axes.as_slice(), false, false)? })
}

/// The same in constant memory, in f64: first the mean, then the mean square of the differences from it.
fn in_pieces(latents: &MappedColumn, rows: &[u32], per: Coordinates) -> Result<Moments> {
    let mean_of = |map: &dyn Fn(Tensor) -> Result<Tensor>| -> Result<Tensor> {
        let mut sum = Tensor::f_zeros([1], (Kind::Double, Device::Cpu))?;
        let mut count = 0;
        for rows in rows.chunks(PIECE_ROWS) {
            let piece = map(latents.gather(rows)?.f_to_kind(Kind::Double)?)?;
            let axes = axes(piece.dim(), per);
            count += axes.iter().map(|axis| piece.size()[*axis as usize]).product::<i64>();
            sum = sum.f_add(&piece.f_sum_dim_intlist(axes.as_slice(), false, Kind::Double)?)?;
        }
        let sum = if per == Coordinates::Stream { sum.f_squeeze()? } else { sum };
        Ok(sum.f_div_scalar(count as f64)?)
    };
    let mean = mean_of(&Ok)?;
    let variance = mean_of(&|piece| Ok(piece.f_sub(&mean)?.f_square()?))?;
    Ok(Moments { std: variance.f_sqrt()?.f_to_kind(Kind::Float)?, mean: mean.f_to_kind(Kind::Float)? })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use anyflow_diffusion::noise::normals_tensor;

    use super::*;
    use crate::mapped::{MappedFile, MappedWriter, array_field, arrays};

    #[test]
    fn pieces_have_the_moments_of_the_whole() {
        let keys: Vec<u64> = (0..9000).collect();
        let all = normals_tensor(1, &keys, "latents", 0, &[2, 3], Device::Cpu).unwrap() * 3.0 + 0.5;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrow");
        let field = array_field("a", &[2, 3], Kind::Float).unwrap();
        let mut writer = MappedWriter::new(File::create(&path).unwrap(), "k", vec![field]).unwrap();
        writer.write(vec![arrays(&all, &[2, 3], &[]).unwrap()]).unwrap();
        writer.finish().unwrap();
        let column = MappedFile::open(&File::open(&path).unwrap(), &path, "k").unwrap().column("a").unwrap();
        let rows: Vec<u32> = (0..9000).filter(|row| row % 7 != 3).collect();
        for per in [Coordinates::Each, Coordinates::Stream] {
            let whole = whole(&column.copy(&rows).unwrap(), per).unwrap();
            let pieces = in_pieces(&column, &rows, per).unwrap();
            for (one, other) in [(&whole.mean, &pieces.mean), (&whole.std, &pieces.std)] {
                assert_eq!(one.size(), other.size(), "{per:?}");
                assert!((one - other).abs().max().double_value(&[]) < 1e-5, "f32, {per:?}");
            }
        }
    }
}
