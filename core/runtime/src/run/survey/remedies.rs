//! Values of codec parameters that accept refused cells, found by trying them.

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::plan::{Component, RunPlan};
use anyflow_plan::survey::Remedy;
use indexmap::IndexMap;
use serde_json::Value as Json;
use tracing::subscriber::NoSubscriber;

use super::super::input_cells::codec_of;
use crate::Result;
use crate::plugin::{Codec, LoadedPlugins};

/// The most refused cells of a codec to try again, and the most bytes of bytes and text among them.
const MOST_CELLS: usize = 256;
const MOST_BYTES: usize = 64 << 20;

/// The cells that the codecs of a pipeline refuse.
#[derive(Default)]
pub struct RefusedCells {
    by_stream: IndexMap<String, Refused>,
}

#[derive(Default)]
struct Refused {
    cells: Vec<OwnedCell>,
    bytes: usize,
}

impl Refused {
    /// The number of cells that another codec accepts.
    fn accepted_by(&self, codec: &Codec, threads: usize) -> Result<u64> {
        let cells: Vec<Option<Cell<'_>>> = self.cells.iter().map(|cell| Some(cell.as_cell())).collect();
        let (_, still) = codec.encode(&cells, threads)?;
        Ok((cells.len() - still.len()) as u64)
    }
}

impl RefusedCells {
    /// Keeps a cell that the codec of a stream or prompt refuses, while there is room.
    pub fn add(&mut self, stream: &str, cell: Cell<'_>) {
        let refused = self.by_stream.entry(stream.into()).or_default();
        let bytes = size_of_cell(&cell);
        if refused.cells.len() < MOST_CELLS && refused.bytes + bytes <= MOST_BYTES {
            refused.bytes += bytes;
            refused.cells.push(cell.into_owned());
        }
    }

    /// Tries each other value of each parameter that chooses between values.
    ///
    /// # Errors
    /// A codec fails as a whole, for example because the plugin panicked.
    pub fn remedies(&self, plan: &RunPlan, threads: usize) -> Result<Vec<Remedy>> {
        let mut plugins = LoadedPlugins::default();
        let mut remedies = Vec::new();
        for (stream, refused) in &self.by_stream {
            let (codec, array) = codec_of(&plan.model, stream)?;
            for Choice { parameter, now, value } in choices(&mut plugins, codec)? {
                let mut other = codec.clone();
                other.parameters[&parameter] = value.clone();
                let try_it = || {
                    // A value may need other parameters too.
                    let Ok(other) = Codec::new(&mut plugins, &other, array) else { return Ok(0) };
                    refused.accepted_by(&other, threads)
                };
                // What the codec logs is of the trial alone.
                let accepted = tracing::subscriber::with_default(NoSubscriber::default(), try_it)?;
                if accepted > 0 {
                    let tried = refused.cells.len() as u64;
                    remedies.push(Remedy { stream: stream.clone(), parameter, now, value, tried, accepted });
                }
            }
        }
        remedies.sort_by_key(|remedy| std::cmp::Reverse(remedy.accepted));
        Ok(remedies)
    }
}

/// Another value of a parameter.
struct Choice {
    parameter: String,
    now: Json,
    value: Json,
}

/// The other values of all parameters of a codec that are true or false, or one of a few words.
fn choices(plugins: &mut LoadedPlugins, codec: &Component) -> Result<Vec<Choice>> {
    let plugin = plugins.load(&codec.library)?;
    let known = plugin.descriptor.codecs.iter().find(|known| known.id == codec.id);
    let mut choices = Vec::new();
    for (parameter, schema) in known.into_iter().flat_map(|codec| &codec.parameters) {
        let values = match (schema.get("enum").and_then(Json::as_array), schema.get("type")) {
            (Some(values), _) => values.clone(),
            (None, Some(kind)) if kind == "boolean" => vec![true.into(), false.into()],
            _ => continue,
        };
        let now = codec.parameters.get(parameter).or_else(|| schema.get("default")).cloned().unwrap_or_default();
        let others = values.into_iter().filter(|value| *value != now);
        choices.extend(others.map(|value| Choice { parameter: parameter.clone(), now: now.clone(), value }));
    }
    Ok(choices)
}

fn size_of_cell(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Bytes(bytes) => bytes.len(),
        Cell::Utf8(text) => text.len(),
        Cell::List(list) => size_of_val(list.values()),
        Cell::Files(files) => files.iter().map(Vec::len).sum(),
        Cell::I64(_) | Cell::F64(_) => 8,
    }
}
