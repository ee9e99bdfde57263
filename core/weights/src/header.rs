//! The header of a safetensors file, read strictly: each name once, each byte in exactly one tensor.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensorError};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::error::{Result, WeightsError};
use crate::flaw::Flaw;

/// Metadata texts by name, sorted.
pub type Metadata = BTreeMap<String, String>;

/// Size of the field in front of the header that holds its length.
pub(crate) const LENGTH_BYTES: usize = size_of::<u64>();
/// The longest header that is read. The format allows 100 MB, but the header of a model with a thousand layers has one, and
/// a bad file must not fill the memory.
const MAX_HEADER_BYTES: u64 = 16 << 20;
const METADATA: &str = "__metadata__";

/// A tensor as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Axis sizes.
    pub shape: Vec<usize>,
    /// Its size in bytes.
    pub size_bytes: usize,
}

/// A parsed header.
pub(crate) struct Header {
    pub(crate) metadata: Metadata,
    /// The tensors, in the order of their bytes.
    pub(crate) entries: Vec<TensorEntry>,
}

impl Header {
    /// Reads the header of a file of `file_bytes` bytes.
    pub(crate) fn read(from: &mut impl Read, file_bytes: u64) -> Result<Header> {
        let mut length = [0; LENGTH_BYTES];
        from.read_exact(&mut length).map_err(too_short)?;
        let length = u64::from_le_bytes(length);
        let Some(data_bytes) = file_bytes.checked_sub(LENGTH_BYTES as u64).and_then(|rest| rest.checked_sub(length))
        else {
            return Err(WeightsError::Foreign(Flaw::HeaderBeyondFile { header: length, file: file_bytes }));
        };
        if length > MAX_HEADER_BYTES {
            return Err(WeightsError::Foreign(Flaw::HeaderTooLong { header: length, most: MAX_HEADER_BYTES }));
        }
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text).map_err(too_short)?;
        let Fields { metadata, mut tensors } = serde_json::from_slice(&text).map_err(WeightsError::foreign)?;
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        // This call checks offsets against dtypes and shapes, and refuses gaps and overlaps.
        let checked = safetensors::tensor::Metadata::new(None, tensors.clone()).map_err(contradiction)?;
        let wanted = checked.data_len() as u64;
        match wanted.cmp(&data_bytes) {
            Ordering::Greater => Err(Flaw::Truncated { wanted, found: data_bytes }),
            Ordering::Less => Err(Flaw::Surplus { wanted, found: data_bytes }),
            Ordering::Equal => Ok(()),
        }
        .map_err(WeightsError::Foreign)?;
        Ok(Header { metadata, entries: tensors.into_iter().map(entry).collect() })
    }
}

fn contradiction(error: SafeTensorError) -> WeightsError {
    match error {
        SafeTensorError::InvalidOffset(tensor) => WeightsError::Foreign(Flaw::Offsets(format!("`{tensor}`"))),
        other => WeightsError::foreign(other),
    }
}

fn entry((name, info): (String, TensorInfo)) -> TensorEntry {
    let (start, end) = info.data_offsets;
    TensorEntry { name, dtype: info.dtype, shape: info.shape, size_bytes: end - start }
}

/// The error of a file that is shorter than its header says.
pub(crate) fn too_short(error: std::io::Error) -> WeightsError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => WeightsError::foreign("it is truncated"),
        _ => WeightsError::Read(error),
    }
}

struct Fields {
    metadata: Metadata,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a safetensors header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut metadata = None;
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                let Unique(found) = map.next_value::<Unique<String>>()?;
                once(METADATA, metadata.replace(found).is_none())?;
            } else {
                let info = map.next_value()?;
                let first = !tensors.contains_key(&name);
                once(&name, first)?;
                tensors.insert(name, info);
            }
        }
        Ok(Fields { metadata: metadata.unwrap_or_default(), tensors: tensors.into_iter().collect() })
    }
}

/// A map that refuses duplicate keys.
struct Unique<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            let first = !values.contains_key(&key);
            once(&key, first)?;
            values.insert(key, value);
        }
        Ok(Unique(values))
    }
}

fn once<E: Error>(name: &str, first: bool) -> Result<(), E> {
    if first { Ok(()) } else { Err(E::custom(format!("`{name}` occurs twice"))) }
}
