//! Statistics: the mean and standard deviation of each stream's latent, which normalize it.

use anyflow_config::objective::{Coordinates, Statistics};
use serde_json::{Map, Value, json};
use tch::Kind;

use crate::train::cache::LatentCache;
use crate::train::frozen::Setting;
use crate::{Result, RunError};

/// Smallest standard deviation of a latent. It keeps a constant coordinate finite when the latent is normalized.
const MIN_STD: f64 = 1e-4;

/// Measures mean and standard deviation of the latents over all rows that have the stream, stores them in the streams, and
/// returns a summary.
///
/// # Errors
/// Errors of plugins; the disk; a stream that every row lacks.
pub fn measure(options: &Statistics, setting: Setting<'_>, cache: &LatentCache<'_>) -> Result<Value> {
    let _no_grad = tch::no_grad_guard();
    let mut summary = Map::new();
    let is_named = |stream: &&String| options.streams.as_ref().is_none_or(|streams| streams.contains(stream));
    for stream in setting.data.streams().filter(is_named) {
        let net = &setting.trainee.session.streams[stream];
        if net.is_prompt() || net.is_class {
            continue;
        }
        let latents = setting.encode_all(stream, cache)?;
        if latents.size()[0] == 0 {
            return Err(RunError::Data(format!(
                "stream {stream} has no statistics, because every row lacks it; fill its column, or name the streams to \
                 measure: `objective: {{kind: statistics, streams: [...]}}`"
            )));
        }
        let axes: Vec<i64> = match options.per {
            Coordinates::Each => vec![0],
            Coordinates::Stream => (0..latents.dim() as i64).collect(),
        };
        let mean = latents.f_mean_dim(axes.as_slice(), false, Kind::Float)?;
        let std = latents.f_std_dim(axes.as_slice(), false, false)?.f_clamp_min(MIN_STD)?;
        net.mean.shallow_clone().f_copy_(&mean)?;
        net.std.shallow_clone().f_copy_(&std)?;
        let mean_std = std.f_mean(Kind::Float)?.f_double_value(&[])?;
        summary.insert(stream.clone(), json!({ "rows": latents.size()[0], "mean_deviation": mean_std }));
    }
    Ok(Value::Object(summary))
}
