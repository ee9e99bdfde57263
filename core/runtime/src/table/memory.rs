//! The rows of a source in memory.

use indexmap::IndexMap;
use tch::Tensor;

use super::source::{Piece, SourceReader, SourceRows};
use crate::Result;

/// Reads all rows of a source.
///
/// # Errors
/// Errors of [`SourceReader::read`]; out of memory.
pub fn read(reader: &SourceReader<'_>) -> Result<SourceRows<Tensor>> {
    let mut pieces: Vec<Piece> = Vec::new();
    reader.read(|piece| {
        pieces.push(piece);
        Ok(())
    })?;
    let streams: Vec<String> = pieces.first().map(|p| p.arrays.keys().cloned().collect()).unwrap_or_default();
    let mut arrays = IndexMap::new();
    let mut missing = IndexMap::new();
    for stream in streams {
        let parts: Vec<Tensor> = pieces.iter_mut().filter_map(|p| p.arrays.swap_remove(&stream)).collect();
        arrays.insert(stream.clone(), Tensor::f_cat(&parts, 0)?);
        let of_stream: Vec<bool> = pieces.iter_mut().filter_map(|p| p.missing.swap_remove(&stream)).flatten().collect();
        if of_stream.contains(&true) {
            missing.insert(stream, of_stream);
        }
    }
    let join: Vec<String> = pieces.iter_mut().flat_map(|p| std::mem::take(&mut p.join)).collect();
    let class: Vec<Option<i64>> = pieces.iter_mut().flat_map(|p| std::mem::take(&mut p.class)).collect();
    let rows = arrays.values().next().map_or(join.len().max(class.len()), |array| array.size()[0] as usize);
    Ok(SourceRows { rows, arrays, missing, join, class })
}
