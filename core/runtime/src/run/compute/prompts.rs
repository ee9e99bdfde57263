//! Prompts, each encoded once per shard. People repeat captions, and text encoders are large.

use std::collections::HashMap;

use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::Result;

/// The largest size of the kept tokens.
const KEPT_BYTES: usize = 256 << 20;

/// The tokens of the prompts of a shard. A resumed job starts with a whole shard, so it encodes the same prompts in the
/// same calls.
#[derive(Default)]
pub(super) struct EncodedPrompts {
    shard: u64,
    /// Hash of the array, below the value that it becomes -> its tokens `[token, feature]`, or its vector.
    kept: HashMap<blake3::Hash, Tensor>,
    bytes: usize,
    /// Rows that were asked for.
    pub rows: u64,
    /// Rows that were encoded.
    pub encoded: u64,
}

impl EncodedPrompts {
    /// The tokens of `arrays`, `[row, ...]` on the CPU, as a value: `encode` gets the distinct rows that are not known.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn tokens(
        &mut self,
        shard: u64,
        value: &str,
        arrays: &Tensor,
        encode: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if self.shard != shard {
            *self = EncodedPrompts { shard, rows: self.rows, encoded: self.encoded, ..EncodedPrompts::default() };
        }
        let hashes = hashes(value, arrays)?;
        let mut fresh: Vec<i64> = Vec::new();
        let mut found: HashMap<blake3::Hash, Tensor> = HashMap::new();
        let mut first_of: IndexMap<blake3::Hash, usize> = IndexMap::new();
        for (row, hash) in hashes.iter().enumerate() {
            if let Some(tokens) = self.kept.get(hash) {
                found.entry(*hash).or_insert_with(|| tokens.shallow_clone());
            } else if !first_of.contains_key(hash) {
                first_of.insert(*hash, fresh.len());
                fresh.push(row as i64);
            }
        }
        self.rows += hashes.len() as u64;
        self.encoded += fresh.len() as u64;
        if !fresh.is_empty() {
            let tokens = encode(&arrays.f_index_select(0, &Tensor::f_from_slice(&fresh)?)?)?;
            for (hash, index) in first_of {
                let own = tokens.f_select(0, index as i64)?;
                self.keep(hash, &own)?;
                found.insert(hash, own);
            }
        }
        let rows: Vec<&Tensor> = hashes.iter().filter_map(|hash| found.get(hash)).collect();
        Ok(Tensor::f_stack(&rows, 0)?)
    }

    /// Keeps tokens as long as there is room. A copy: a view would hold the whole batch.
    fn keep(&mut self, hash: blake3::Hash, tokens: &Tensor) -> Result<()> {
        let bytes = tokens.numel() * tokens.kind().elt_size_in_bytes();
        if self.bytes + bytes <= KEPT_BYTES {
            self.bytes += bytes;
            self.kept.insert(hash, tokens.f_narrow_copy(0, 0, tokens.size()[0])?);
        }
        Ok(())
    }
}

/// The hash of each row, with the value, since the same array may be encoded by several modules.
fn hashes(value: &str, arrays: &Tensor) -> Result<Vec<blake3::Hash>> {
    let rows = arrays.size().first().copied().unwrap_or(0);
    if rows == 0 {
        return Ok(Vec::new());
    }
    let bytes = arrays.f_contiguous()?.f_view_dtype(Kind::Uint8)?.f_reshape([-1])?;
    let bytes = Vec::<u8>::try_from(bytes)?;
    let hash = |row: &[u8]| *blake3::Hasher::new().update(value.as_bytes()).update(row).finalize().as_bytes();
    Ok(bytes.chunks((bytes.len() / rows as usize).max(1)).map(|row| blake3::Hash::from_bytes(hash(row))).collect())
}
