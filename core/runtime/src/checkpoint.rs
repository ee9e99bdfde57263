//! Checkpoints: named tensors from and to safetensors files, and a report of the names and shapes that do not fit.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyflow_datasets::FileVersion;
pub use anyflow_weights::Metadata;
use anyflow_weights::{Dtype, Summary, TensorEntry, WeightsError};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::assign::assign;
use crate::{Result, RunError};

/// Tensors by name, in the order they were added.
pub type Tensors = IndexMap<String, Tensor>;

/// The stored type of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightType {
    /// Exact.
    F32,
    /// Half the size, for shipped files. Tensors of one dimension (biases, norms, statistics) stay f32.
    Bf16,
}

/// The content of a weights file.
pub struct Weights {
    /// All tensors on the CPU in their stored type, sorted by name.
    pub tensors: Tensors,
    /// The metadata of the file.
    pub metadata: Metadata,
    /// Hash of the bytes that were read.
    pub blake3: String,
}

/// Reads a safetensors or PyTorch file. Peak memory is the size of all tensors plus the size of the largest one.
///
/// # Errors
/// [`RunError::Checkpoint`]: the file is missing, truncated or of another format, differs from the hash in its
/// metadata, or holds a NaN or infinite number.
pub fn read(path: &Path) -> Result<Weights> {
    collected(path, |each| anyflow_weights::read_any(path, each))
}

/// Reads an open safetensors file like [`read`]; `path` names it in errors.
///
/// # Errors
/// See [`read`].
pub fn read_from(file: File, path: &Path) -> Result<Weights> {
    collected(path, |each| anyflow_weights::read(file, each))
}

/// Reads a safetensors or PyTorch file and passes each tensor with its bytes to `each`. Memory: the largest tensor. Returns the
/// hash of the file, which is computed once for each version of it.
///
/// # Errors
/// See [`read`]; errors of `each`.
pub fn read_each(path: &Path, mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<()>) -> Result<String> {
    let mut each = |entry: &TensorEntry, bytes: &[u8]| each(entry, bytes).map_err(|error| Unfit::Run(Box::new(error)));
    let mut version = None;
    let known = |file: &File| {
        version = FileVersion::of(file).ok();
        version.as_ref().and_then(FileVersion::known_hash)
    };
    let summary = anyflow_weights::read_any_known(path, known, &mut each).map_err(|unfit| unfit.of(path))?;
    let confirmed = version.map_or(Ok(()), |version| version.confirm(path, &summary.blake3));
    confirmed.map_err(|_| Unfit::Weights(WeightsError::Changed).of(path))?;
    Ok(summary.blake3)
}

/// The tensor of an entry with these bytes.
///
/// # Errors
/// [`RunError::Checkpoint`], which names `path`: the type is none of a network's, or a number is not finite.
pub fn tensor_of(entry: &TensorEntry, bytes: &[u8], path: &Path) -> Result<Tensor> {
    tensor(entry, bytes).map_err(|unfit| unfit.of(path))
}

/// What takes each tensor of a file with its bytes.
type Each<'a> = &'a mut dyn FnMut(&TensorEntry, &[u8]) -> Result<(), Unfit>;

fn collected(path: &Path, read: impl FnOnce(Each<'_>) -> Result<Summary, Unfit>) -> Result<Weights> {
    let mut tensors = Tensors::new();
    let mut each = |entry: &TensorEntry, bytes: &[u8]| -> Result<(), Unfit> {
        let tensor = tensor(entry, bytes)?;
        tensors.insert(entry.name.clone(), tensor);
        Ok(())
    };
    let summary = read(&mut each).map_err(|unfit| unfit.of(path))?;
    tensors.sort_keys();
    Ok(Weights { tensors, metadata: summary.metadata, blake3: summary.blake3 })
}

fn tensor(entry: &TensorEntry, bytes: &[u8]) -> Result<Tensor, Unfit> {
    let TensorEntry { name, dtype, shape, .. } = entry;
    let kind = kind_of(*dtype).ok_or_else(|| Unfit::Text(format!("{name} has dtype {dtype:?}")))?;
    let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
    let tensor = Tensor::f_from_data_size(bytes, &shape, kind)?;
    if kind != Kind::Int64 && !is_finite(&tensor)? {
        let text = format!(
            "{name} holds a number that is not finite (NaN or infinite), which would spoil every result; use an earlier \
             checkpoint, or train again"
        );
        return Err(Unfit::Text(text));
    }
    Ok(tensor)
}

/// True if no number is NaN or infinite. Both extremes of a tensor with a NaN are NaN.
fn is_finite(tensor: &Tensor) -> Result<bool, tch::TchError> {
    if tensor.numel() == 0 {
        return Ok(true);
    }
    let (low, high) = tensor.f_aminmax(None, false)?;
    Ok(low.f_double_value(&[])?.is_finite() && high.f_double_value(&[])?.is_finite())
}

/// The reason why a tensor or a file cannot be used.
enum Unfit {
    Weights(WeightsError),
    Torch(tch::TchError),
    Text(String),
    Run(Box<RunError>),
}

impl From<WeightsError> for Unfit {
    fn from(error: WeightsError) -> Self {
        Unfit::Weights(error)
    }
}

impl From<tch::TchError> for Unfit {
    fn from(error: tch::TchError) -> Self {
        Unfit::Torch(error)
    }
}

impl Unfit {
    fn of(self, path: &Path) -> RunError {
        let text = match self {
            Unfit::Torch(error) => return error.into(),
            Unfit::Run(error) => return *error,
            Unfit::Text(text) => text,
            Unfit::Weights(error @ WeightsError::Read(_)) => format!(
                "{error}; train it first (`anyflow train`), or correct its path in the YAML file (`checkpoint` of a model, \
                 `start` of a training)"
            ),
            Unfit::Weights(error) => error.to_string(),
        };
        RunError::Checkpoint { path: path.display().to_string(), text }
    }
}

/// Writes a file with a hash of its content. Extra memory is the size of the largest tensor.
///
/// # Errors
/// [`RunError::Io`], which names `path`.
pub fn write(
    to: &mut impl Write,
    path: &Path,
    tensors: &Tensors,
    metadata: Metadata,
    kept_as: WeightType,
) -> Result<()> {
    let entries = tensors.iter().map(|(name, tensor)| entry(name, tensor, kept_as)).collect::<Result<_>>()?;
    let bytes = |entry: &TensorEntry| bytes(&tensors[&entry.name], kept_as);
    anyflow_weights::write(to, entries, metadata, bytes).map_err(|unfit| match unfit {
        Unfit::Torch(error) => error.into(),
        Unfit::Weights(WeightsError::Write(source)) => RunError::io(path)(source),
        unfit => unfit.of(path),
    })
}

/// Gives the tensors of `to` the values of `from`, by name; tensors without memory of their own take over that of `from`. Both
/// must hold the same names and shapes.
///
/// # Errors
/// [`RunError::Checkpoint`] lists tensors that are missing, left over, or of another shape; then nothing is copied.
pub fn copy_into(to: &Tensors, from: &Tensors, path: &Path) -> Result<()> {
    let missing = to.keys().filter(|name| !from.contains_key(*name)).map(|name| format!("{name} is missing"));
    copy_checked(to, from, missing.collect(), path)
}

/// As [`copy_into`], but tensors that only `to` has keep their values.
///
/// # Errors
/// [`RunError::Checkpoint`] lists tensors that are left over or of another shape; then nothing is copied.
pub fn copy_known(to: &Tensors, from: &Tensors, path: &Path) -> Result<()> {
    copy_checked(to, from, Vec::new(), path)
}

fn copy_checked(to: &Tensors, from: &Tensors, mut problems: Vec<String>, path: &Path) -> Result<()> {
    for (name, found) in from {
        match to.get(name) {
            None => problems.push(format!("{name} is left over")),
            Some(tensor) if found.size() != tensor.size() => {
                problems.push(format!("{name} is {:?}, the model wants {:?}", found.size(), tensor.size()));
            }
            Some(_) => {}
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(6);
        let shown = problems.iter().take(6).cloned().collect::<Vec<_>>().join("; ");
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let text = format!(
            "does not belong to this model: {shown}{more}. Use the checkpoint that was trained with this model file, \
             or train again"
        );
        return Err(RunError::Checkpoint { path: path.display().to_string(), text });
    }
    for (name, tensor) in from {
        assign(&to[name], tensor)?;
    }
    Ok(())
}

/// The type in which a tensor is stored.
fn stored(tensor: &Tensor, kept_as: WeightType) -> Kind {
    match (tensor.kind(), kept_as) {
        (Kind::Float, WeightType::Bf16) if tensor.dim() > 1 => Kind::BFloat16,
        (kind, _) => kind,
    }
}

fn entry(name: &str, tensor: &Tensor, kept_as: WeightType) -> Result<TensorEntry> {
    let kind = stored(tensor, kept_as);
    let dtype = match kind {
        Kind::Float => Dtype::F32,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        other => return Err(RunError::Internal(format!("a checkpoint cannot hold {other:?} ({name})"))),
    };
    let shape = tensor.size().iter().map(|n| *n as usize).collect();
    Ok(TensorEntry { name: name.into(), dtype, shape, size_bytes: tensor.numel() * kind.elt_size_in_bytes() })
}

fn bytes(tensor: &Tensor, kept_as: WeightType) -> Result<Vec<u8>, Unfit> {
    let kind = stored(tensor, kept_as);
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(kind)?.f_contiguous()?;
    let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F64 => Some(Kind::Double),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::F16 => Some(Kind::Half),
        Dtype::I64 => Some(Kind::Int64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tensors {
        let weights = Tensor::from_slice(&[1.0f32, -2.5, 3.25, 1e-3]).reshape([2, 2]);
        Tensors::from([("w".to_string(), weights), ("n".to_string(), Tensor::from_slice(&[7i64]))])
    }

    fn file(folder: &Path, tensors: &Tensors, kept_as: WeightType) -> std::path::PathBuf {
        let path = folder.join("a.safetensors");
        let metadata = Metadata::from([("k".into(), "v".into())]);
        write(&mut std::fs::File::create(&path).unwrap(), &path, tensors, metadata, kept_as).unwrap();
        path
    }

    #[test]
    fn f32_comes_back_bit_for_bit_and_bf16_within_its_precision() {
        let folder = tempfile::tempdir().unwrap();
        for (kept_as, tolerance) in [(WeightType::F32, 0.0), (WeightType::Bf16, 0.004)] {
            let Weights { tensors, metadata, blake3 } = read(&file(folder.path(), &example(), kept_as)).unwrap();
            let worst = ((&tensors["w"] - &example()["w"]) / &example()["w"]).abs().max().double_value(&[]);
            assert!(worst <= tolerance, "{worst}");
            assert_eq!(tensors["n"].int64_value(&[0]), 7);
            assert_eq!((metadata["k"].as_str(), blake3.len()), ("v", 64));
        }
    }

    #[test]
    fn a_partial_copy_keeps_the_rest_and_names_unknown_tensors() {
        let to = Tensors::from([
            ("w".to_string(), Tensor::zeros([2, 2], (Kind::Float, Device::Cpu))),
            ("fresh".to_string(), Tensor::ones([3], (Kind::Float, Device::Cpu))),
        ]);
        let path = Path::new("start.safetensors");
        let mut from = example();
        assert!(copy_known(&to, &from, path).unwrap_err().to_string().contains("n is left over"));
        assert_eq!(to["w"].abs().sum(Kind::Float).double_value(&[]), 0.0, "a refused copy changes nothing");
        from.swap_remove("n");
        copy_known(&to, &from, path).unwrap();
        assert!(to["w"] == from["w"] && to["fresh"].sum(Kind::Float).double_value(&[]) == 3.0);
        assert!(copy_into(&to, &from, path).unwrap_err().to_string().contains("fresh is missing"));
    }

    #[test]
    fn errors_distinguish_a_truncated_file_from_another_models() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &example(), WeightType::F32);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(read(&path).err().unwrap().to_string().contains("not a complete safetensors file"));
        let to = Tensors::from([("w".to_string(), Tensor::zeros([3], (Kind::Float, Device::Cpu)))]);
        let text = copy_into(&to, &example(), &path).unwrap_err().to_string();
        assert!(text.contains("w is [2, 2], the model wants [3]") && text.contains("n is left over"), "{text}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_and_its_tensor_named() {
        let folder = tempfile::tempdir().unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for kept_as in [WeightType::F32, WeightType::Bf16] {
                let mut tensors = example();
                tensors.insert("x.weight".into(), Tensor::from_slice(&[1.0, bad, 0.5, 2.0]).reshape([2, 2]));
                let text = read(&file(folder.path(), &tensors, kept_as)).err().unwrap().to_string();
                assert!(text.contains("x.weight") && text.contains("not finite"), "{text}");
            }
        }
    }
}
