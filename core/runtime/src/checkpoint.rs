//! Checkpoints: safetensors files, read with a report of what fits, written atomically.

use std::collections::HashMap;
use std::path::Path;

use indexmap::IndexMap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use crate::{Result, RunError, mapped};

/// Tensors by name, in the order they were added.
pub type Tensors = IndexMap<String, Tensor>;

/// What floats are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Bit for bit.
    F32,
    /// Half the size, for files that are shipped; what has one dimension (biases, norms, statistics) stays f32.
    Bf16,
}

/// All tensors of a file on the CPU, as they are stored, and its metadata. The file is mapped and not held.
///
/// # Errors
/// [`RunError::Checkpoint`] when the file is missing, truncated or no safetensors file.
pub fn read(path: &Path) -> Result<(Tensors, HashMap<String, String>)> {
    let wrong = |text: String| RunError::Checkpoint { path: path.display().to_string(), text };
    let bytes = mapped::open(path).map_err(unreadable(path))?;
    let foreign = |e: safetensors::SafeTensorError| wrong(format!("is no whole safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(foreign)?;
    let file = SafeTensors::deserialize(&bytes).map_err(foreign)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let kind = kind_of(view.dtype()).ok_or_else(|| wrong(format!("{name} has dtype {:?}", view.dtype())))?;
        let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
        tensors.insert(name.to_string(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    tensors.sort_keys();
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// A hash of a file's content.
///
/// # Errors
/// [`RunError::Checkpoint`] when the file is missing.
pub fn fingerprint(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(unreadable(path))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> RunError {
    move |e| RunError::Checkpoint {
        path: path.display().to_string(),
        text: format!(
            "cannot be read: {e}; train it first (`anyflow train`), or correct the path in the file that names it \
             (`checkpoint` of a model, `start` of a training)"
        ),
    }
}

/// Writes a file under a temporary name, syncs it, and renames it.
///
/// # Errors
/// [`RunError::Io`].
pub fn write(path: &Path, tensors: &Tensors, metadata: HashMap<String, String>, precision: Precision) -> Result<()> {
    let data = tensors.iter().map(|(name, t)| Ok((name, stored(t, precision)?))).collect::<Result<Vec<_>>>()?;
    let views = data.iter().map(|(name, (dtype, shape, bytes))| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        view.map(|view| (*name, view)).map_err(|e| RunError::Internal(format!("{name}: {e}")))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| RunError::Internal(e.to_string()))?;
    write_atomically(path, &bytes)
}

/// Writes bytes under a temporary name, syncs them, and renames the file: a reader sees the old file or the new one.
///
/// # Errors
/// [`RunError::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    write().map_err(RunError::io(path))
}

/// Copies `from` into the memory of `to`, by name, after checking that both hold the same names and shapes.
///
/// # Errors
/// [`RunError::Checkpoint`] listing what is missing, left over, or of another shape.
pub fn copy_into(to: &Tensors, from: &Tensors, path: &Path) -> Result<()> {
    let missing = to.keys().filter(|name| !from.contains_key(*name)).map(|name| format!("{name} is missing"));
    copy_checked(to, from, missing.collect(), path)
}

/// Copies `from` into the memory of `to`, by name; what only `to` has stays as it is.
///
/// # Errors
/// [`RunError::Checkpoint`] listing what is left over, or of another shape.
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
    let _no_grad = tch::no_grad_guard();
    for (name, tensor) in from {
        to[name].shallow_clone().f_copy_(tensor)?;
    }
    Ok(())
}

fn stored(tensor: &Tensor, precision: Precision) -> Result<(Dtype, Vec<usize>, Vec<u8>)> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?;
    let kind = match (tensor.kind(), precision) {
        (Kind::Float, Precision::Bf16) if tensor.dim() > 1 => Kind::BFloat16,
        (kind, _) => kind,
    };
    let tensor = tensor.f_to_kind(kind)?.f_contiguous()?;
    let shape = tensor.size().iter().map(|n| *n as usize).collect();
    let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    let dtype = match kind {
        Kind::Float => Dtype::F32,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        other => return Err(RunError::Internal(format!("a checkpoint holds no {other:?}"))),
    };
    Ok((dtype, shape, bytes))
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

    fn some() -> Tensors {
        let weights = Tensor::from_slice(&[1.0f32, -2.5, 3.25, 1e-3]).reshape([2, 2]);
        Tensors::from([("w".to_string(), weights), ("n".to_string(), Tensor::from_slice(&[7i64]))])
    }

    #[test]
    fn f32_comes_back_bit_for_bit_and_bf16_within_its_precision() {
        let folder = tempfile::tempdir().unwrap();
        for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::Bf16, 0.004)] {
            let path = folder.path().join("a.safetensors");
            write(&path, &some(), HashMap::from([("k".into(), "v".into())]), precision).unwrap();
            let (tensors, metadata) = read(&path).unwrap();
            let worst = ((&tensors["w"] - &some()["w"]) / &some()["w"]).abs().max().double_value(&[]);
            assert!(worst <= tolerance, "{worst}");
            assert_eq!(tensors["n"].int64_value(&[0]), 7);
            assert_eq!(metadata["k"], "v");
        }
    }

    #[test]
    fn a_part_of_the_weights_leaves_the_rest_and_strangers_are_named() {
        let to = Tensors::from([
            ("w".to_string(), Tensor::zeros([2, 2], (Kind::Float, Device::Cpu))),
            ("fresh".to_string(), Tensor::ones([3], (Kind::Float, Device::Cpu))),
        ]);
        let path = Path::new("start.safetensors");
        let mut from = some();
        assert!(copy_known(&to, &from, path).unwrap_err().to_string().contains("n is left over"));
        assert_eq!(to["w"].abs().sum(Kind::Float).double_value(&[]), 0.0, "nothing is copied by half");
        from.swap_remove("n");
        copy_known(&to, &from, path).unwrap();
        assert!(to["w"] == from["w"] && to["fresh"].sum(Kind::Float).double_value(&[]) == 3.0);
        assert!(copy_into(&to, &from, path).unwrap_err().to_string().contains("fresh is missing"));
    }

    #[test]
    fn a_truncated_file_and_a_foreign_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write(&path, &some(), HashMap::new(), Precision::F32).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no whole safetensors file"));
        let to = Tensors::from([("w".to_string(), Tensor::zeros([3], (Kind::Float, Device::Cpu)))]);
        let text = copy_into(&to, &some(), &path).unwrap_err().to_string();
        assert!(text.contains("w is [2, 2], the model wants [3]") && text.contains("n is left over"), "{text}");
    }
}
