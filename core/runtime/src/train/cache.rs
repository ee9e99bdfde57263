//! Latents of frozen encoders, kept in the training's folder: a stage that runs again reads them instead of encoding.

use anyflow_datasets::Folder;
use anyflow_plan::plan::{Component, Model};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::events::Events;
use crate::latents::{self, Latents};
use crate::stream::StreamNet;
use crate::{Result, RunError, device};

/// Its folder in that of a training.
pub const FOLDER: &str = "cache";
/// Rows that frozen encoders take at a time.
const ENCODE_ROWS: i64 = 4096;

/// The folder `cache` of a training.
pub struct LatentCache<'a> {
    /// The training's folder.
    pub files: &'a Folder,
    /// What is trained.
    pub model: &'a Model,
    /// Where encoders run.
    pub device: Device,
    /// Hashes of plugins by name.
    pub plugins: IndexMap<String, String>,
    /// Where notes go.
    pub events: &'a Events,
}

impl<'a> LatentCache<'a> {
    /// The latents of all rows of `array`, `[row, axes]` in host memory, by a stream's module as it is now.
    ///
    /// # Errors
    /// What the plugin says; disk.
    pub fn latents(&self, net: &StreamNet, module: &Component, array: &Tensor) -> Result<Latents> {
        let key = self.key(net, module, array)?;
        let name = format!("{FOLDER}/{}.{}.arrow", net.name, &key[..16]);
        match self.found(&name, &key) {
            Ok(Some(latents)) if latents.rows() as i64 == array.size()[0] => return Ok(latents),
            Ok(Some(_)) => self.events.note(format!("{name} has too few rows: it is made anew")),
            Ok(None) => {}
            Err(error) => self.events.note(format!("{error}: it is made anew")),
        }
        self.forget(&net.name)?;
        let _no_grad = tch::no_grad_guard();
        let encode = |chunk: Tensor| net.encode(&chunk.f_to_device(self.device)?, false);
        let mut file = self.files.create(&name)?;
        latents::write(&mut file, &key, &net.latent, array.f_split(ENCODE_ROWS, 0)?.into_iter().map(encode))?;
        file.publish()?;
        self.found(&name, &key)?.ok_or_else(|| RunError::Internal(format!("{name} is gone as soon as it was written")))
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

    /// Everything that latents depend on: the plugin's code, the module's parameters, its weights, the arrays.
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

    /// Removes what the cache holds of a stream: it belongs to other weights or other rows.
    fn forget(&self, stream: &str) -> Result<()> {
        let of_stream = |name: &String| name.strip_prefix(stream).is_some_and(is_of_cache);
        for name in self.files.files(FOLDER)?.iter().filter(|name| of_stream(name)) {
            self.files.remove(&format!("{FOLDER}/{name}"))?;
        }
        Ok(())
    }
}

/// Whether a name goes on, after that of a stream, as those of the cache do: `.`, 16 digits of the key, `.arrow`.
fn is_of_cache(rest: &str) -> bool {
    let key = rest.strip_prefix('.').and_then(|rest| rest.strip_suffix(".arrow"));
    key.is_some_and(|key| key.len() == 16 && key.bytes().all(|digit| digit.is_ascii_hexdigit()))
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
