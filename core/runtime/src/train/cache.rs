//! Latents of frozen encoders, kept in the training's folder: a stage that runs again reads them instead of encoding.

use std::path::{Path, PathBuf};

use anyflow_plan::plan::{Component, Model};
use tch::{Device, Tensor};

use crate::events::Events;
use crate::latents::{self, Latents};
use crate::stream::StreamNet;
use crate::{Result, RunError};

/// Rows that frozen encoders take at a time.
const ENCODE_ROWS: i64 = 4096;

/// The folder `cache` of a training.
pub struct LatentCache<'a> {
    folder: PathBuf,
    model: &'a Model,
    device: Device,
    events: &'a Events,
}

impl<'a> LatentCache<'a> {
    /// The cache below a training's folder; encoders run on `device`.
    ///
    /// # Errors
    /// Disk.
    pub fn open(training: &Path, model: &'a Model, device: Device, events: &'a Events) -> Result<Self> {
        let folder = training.join("cache");
        std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        Ok(LatentCache { folder, model, device, events })
    }

    /// The latents of all rows of `array`, `[row, axes]` in host memory, by a stream's module as it is now.
    ///
    /// # Errors
    /// What the plugin says; disk.
    pub fn latents(&self, net: &StreamNet, module: &Component, array: &Tensor) -> Result<Latents> {
        let key = self.key(net, module, array)?;
        let path = self.folder.join(format!("{}.{}.arrow", net.name, &key[..16]));
        if path.exists() {
            match Latents::open(&path, &key) {
                Ok(latents) if latents.rows() as i64 == array.size()[0] => return Ok(latents),
                Ok(_) => self.events.note(format!("{} has too few rows: it is made anew", path.display())),
                Err(error) => self.events.note(format!("{error}: it is made anew")),
            }
        }
        self.forget(&net.name)?;
        let _no_grad = tch::no_grad_guard();
        let encode = |chunk: Tensor| net.encode(&chunk.f_to_device(self.device)?, false);
        latents::write(&path, &key, &net.latent, array.f_split(ENCODE_ROWS, 0)?.into_iter().map(encode))?;
        Latents::open(&path, &key)
    }

    /// The component of a stream's or prompt's module.
    pub fn module(&self, stream: &str) -> Option<&'a Component> {
        let of_prompt = || self.model.prompts.get(stream).map(|prompt| &prompt.module);
        self.model.streams.get(stream).and_then(|stream| stream.module.as_ref()).or_else(of_prompt)
    }

    /// Everything that latents depend on: the plugin's code, the module's parameters, its weights, the arrays.
    fn key(&self, net: &StreamNet, module: &Component, array: &Tensor) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        let library = std::fs::metadata(&module.library).map_err(RunError::io(Path::new(&module.library)))?;
        let identity = (module, library.len(), library.modified().ok(), crate::LIBTORCH);
        hash.update(format!("{identity:?} {:?}", self.device).as_bytes());
        for (name, tensor) in net.tensors()?.iter().filter(|(name, _)| name.contains(".module.")) {
            hash.update(name.as_bytes());
            update(&mut hash, tensor)?;
        }
        update(&mut hash, array)?;
        Ok(hash.finalize().to_hex().to_string())
    }

    /// Removes what the cache holds of a stream: it belongs to other weights or other rows.
    fn forget(&self, stream: &str) -> Result<()> {
        let files = std::fs::read_dir(&self.folder).map_err(RunError::io(&self.folder))?;
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.strip_prefix(stream).is_some_and(|rest| rest.starts_with('.')) {
                std::fs::remove_file(&path).map_err(RunError::io(&path))?;
            }
        }
        Ok(())
    }
}

/// Shape, dtype and elements, piece by piece.
fn update(hash: &mut blake3::Hasher, tensor: &Tensor) -> Result<()> {
    hash.update(format!("{:?} {:?}", tensor.size(), tensor.kind()).as_bytes());
    let pieces = if tensor.dim() == 0 { vec![tensor.shallow_clone()] } else { tensor.f_split(ENCODE_ROWS, 0)? };
    for piece in pieces {
        let piece = piece.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0u8; piece.numel() * piece.kind().elt_size_in_bytes()];
        piece.f_copy_data_u8(&mut bytes, piece.numel())?;
        hash.update(&bytes);
    }
    Ok(())
}
