//! Caches the latents of frozen encoders in the training's folder, so that a resumed stage need not encode again.

use anyflow_datasets::Folder;
use anyflow_plan::plan::{Component, Model};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::events::Events;
use crate::latents::{self, Latents};
use crate::stream::StreamNet;
use crate::{Result, RunError, device};

/// The subfolder of a training's folder.
pub const FOLDER: &str = "cache";
/// Rows per call of a frozen encoder.
const ENCODE_ROWS: i64 = 4096;

/// The latent cache of a training.
pub struct LatentCache<'a> {
    /// The training's folder.
    pub files: &'a Folder,
    /// The model.
    pub model: &'a Model,
    /// The device of the encoders.
    pub device: Device,
    /// Hashes of plugins by name.
    pub plugins: IndexMap<String, String>,
    /// The receiver of notes.
    pub events: &'a Events,
}

impl<'a> LatentCache<'a> {
    /// Returns the latents of all rows of `array`, `[row, axes]` in host memory, for the current weights of a stream's
    /// module.
    ///
    /// # Errors
    /// The plugin's error; the disk.
    pub fn latents(&self, net: &StreamNet, module: &Component, array: &Tensor) -> Result<Latents> {
        let key = self.key(net, module, array)?;
        let name = format!("{FOLDER}/{}.{}.arrow", net.name, &key[..16]);
        match self.found(&name, &key) {
            Ok(Some(latents)) if latents.rows() as i64 == array.size()[0] => return Ok(latents),
            Ok(Some(_)) => self.events.note(format!("{name} has too few rows; it is computed again")),
            Ok(None) => {}
            Err(error) => self.events.note(format!("{error}; it is computed again")),
        }
        self.forget(&net.name)?;
        let _no_grad = tch::no_grad_guard();
        let encode = |chunk: Tensor| net.encode(&chunk.f_to_device(self.device)?, false);
        let mut file = self.files.create(&name)?;
        latents::write(&mut file, &key, &net.latent, array.f_split(ENCODE_ROWS, 0)?.into_iter().map(encode))?;
        file.publish()?;
        self.found(&name, &key)?.ok_or_else(|| RunError::Internal(format!("{name} disappeared after it was written")))
    }

    /// The component of a stream's or prompt's module.
    pub fn module(&self, stream: &str) -> Option<&'a Component> {
        let of_prompt = || self.model.prompts.get(stream).map(|prompt| &prompt.module);
        self.model.streams.get(stream).and_then(|stream| stream.module.as_ref()).or_else(of_prompt)
    }

    fn found(&self, name: &str, key: &str) -> Result<Option<Latents>> {
        let file = self.files.open_file(name)?;
        file.map(|file| Latents::open(&file, &self.files.path().join(name), key)).transpose()
    }

    /// A hash of everything that latents depend on: the plugin's code, the module's parameters and weights, the arrays.
    fn key(&self, net: &StreamNet, module: &Component, array: &Tensor) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        let Component { plugin, id, parameters, library: _ } = module;
        let code = self.plugins.get(plugin);
        let kind = device::kind(self.device);
        hash.update(format!("{plugin}/{id} {code:?} {parameters} {kind} {}", crate::LIBTORCH).as_bytes());
        for (name, tensor) in net.tensors()?.iter().filter(|(name, _)| name.contains(".module.")) {
            hash.update(name.as_bytes());
            update(&mut hash, tensor)?;
        }
        update(&mut hash, array)?;
        Ok(hash.finalize().to_hex().to_string())
    }

    /// Removes the old files of a stream, which belong to other weights or other rows.
    fn forget(&self, stream: &str) -> Result<()> {
        let of_stream = |name: &String| name.strip_prefix(stream).is_some_and(is_of_cache);
        for name in self.files.files(FOLDER)?.iter().filter(|name| of_stream(name)) {
            self.files.remove(&format!("{FOLDER}/{name}"))?;
        }
        Ok(())
    }
}

/// True if the rest of a file name, after the stream's name, is `.`, 16 digits of a key, `.arrow`.
fn is_of_cache(rest: &str) -> bool {
    let key = rest.strip_prefix('.').and_then(|rest| rest.strip_suffix(".arrow"));
    key.is_some_and(|key| key.len() == 16 && key.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Hashes shape, dtype and elements of a tensor, piece by piece.
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
