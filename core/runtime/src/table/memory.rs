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
    let names: Vec<String> = pieces.first().map(|p| p.arrays.keys().cloned().collect()).unwrap_or_default();
    let mut arrays = IndexMap::new();
    let mut missing = IndexMap::new();
    for name in names {
        let parts: Vec<Tensor> = pieces.iter_mut().filter_map(|p| p.arrays.swap_remove(&name)).collect();
        arrays.insert(name.clone(), Tensor::f_cat(&parts, 0)?);
        let of_array: Vec<bool> = pieces.iter_mut().filter_map(|p| p.missing.swap_remove(&name)).flatten().collect();
        if of_array.contains(&true) {
            missing.insert(name, of_array);
        }
    }
    let join: Vec<String> = pieces.iter_mut().flat_map(|p| std::mem::take(&mut p.join)).collect();
    let class: Vec<Option<i64>> = pieces.iter_mut().flat_map(|p| std::mem::take(&mut p.class)).collect();
    let rows = arrays.values().next().map_or(join.len().max(class.len()), |array| array.size()[0] as usize);
    Ok(SourceRows { rows, arrays, missing, join, class })
}
