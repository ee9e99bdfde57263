//! Caches rows and the latents of frozen encoders in the training's folder, so that a resumed stage need not read and encode
//! again. A file's key is a hash of all that its content depends on.

mod rows;

use anyflow_datasets::Folder;
use anyflow_plan::plan::{Component, Model};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::events::Events;
use crate::mapped::{MappedColumn, MappedFile, MappedWriter, array_field, arrays};
use crate::plugin::files_of;
use crate::stream::StreamNet;
use crate::{Result, RunError, device};
pub use rows::RowCache;

/// The subfolder of a training's folder.
pub const FOLDER: &str = "cache";
/// Rows per call of a frozen encoder.
const ENCODE_ROWS: usize = 4096;
/// The column of latents.
const LATENT: &str = "latent";

/// The latent cache of a training.
pub struct LatentCache<'a> {
    /// The training's folder.
    pub files: &'a Folder,
    /// The model.
    pub model: &'a Model,
    /// The device of the encoders.
    pub device: Device,
    /// Hashes of plugins by name.
    pub plugins: &'a IndexMap<String, String>,
    /// The receiver of notes.
    pub events: &'a Events,
}

impl<'a> LatentCache<'a> {
    /// Returns the latents of all rows of `array` for the current weights of a stream's module.
    ///
    /// # Errors
    /// The plugin's error; the disk.
    pub fn latents(&self, net: &StreamNet, module: &Component, array: &MappedColumn) -> Result<MappedColumn> {
        let key = self.key(net, module, array)?;
        let name = format!("{FOLDER}/{}.{}.arrow", net.name, &key[..16]);
        match self.found(&name, &key) {
            Ok(Some(latents)) if latents.rows() == array.rows() => return Ok(latents),
            Ok(Some(_)) => self.events.note(format!("{name} has too few rows; it is computed again")),
            Ok(None) => {}
            Err(error) => self.events.note(format!("{error}; it is computed again")),
        }
        self.forget(&net.name)?;
        let _no_grad = tch::no_grad_guard();
        let mut file = self.files.create(&name)?;
        let mut writer = MappedWriter::new(&mut file, &key, vec![array_field(LATENT, &net.latent, Kind::Float)?])?;
        for chunk in array.chunks(ENCODE_ROWS) {
            let latents = net.encode(&chunk?.f_to_device(self.device)?, false)?.f_to_kind(Kind::Float)?;
            writer.write(vec![arrays(&latents, &net.latent, &[])?])?;
        }
        writer.finish()?;
        file.publish()?;
        self.found(&name, &key)?.ok_or_else(|| RunError::Internal(format!("{name} disappeared after it was written")))
    }

    /// The component of a stream's or prompt's module.
    pub fn module(&self, stream: &str) -> Option<&'a Component> {
        let of_prompt = || self.model.encoded(stream).map(|prompt| &prompt.module);
        self.model.streams.get(stream).and_then(|stream| stream.module.as_ref()).or_else(of_prompt)
    }

    fn found(&self, name: &str, key: &str) -> Result<Option<MappedColumn>> {
        let file = self.files.open_file(name)?;
        file.map(|file| MappedFile::open(&file, &self.files.path().join(name), key)?.column(LATENT)).transpose()
    }

    /// A hash of everything that latents depend on: the plugin's code, the module's parameters and weights, the arrays.
    fn key(&self, net: &StreamNet, module: &Component, array: &MappedColumn) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        let Component { plugin, id, parameters, library: _ } = module;
        let code = self.plugins.get(plugin);
        if let Some(files) = self.plugins.get(&files_of(&format!("{plugin}/{id}"))) {
            hash.update(files.as_bytes());
        }
        let kind = device::kind(self.device);
        hash.update(format!("{plugin}/{id} {code:?} {parameters} {kind} {}", crate::LIBTORCH).as_bytes());
        for (name, tensor) in net.tensors()?.iter().filter(|(name, _)| name.contains(".module.")) {
            hash.update(name.as_bytes());
            update(&mut hash, tensor)?;
        }
        hash.update(format!("{} {}", net.name, array.content()).as_bytes());
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

/// Hashes shape, dtype and elements of a tensor.
fn update(hash: &mut blake3::Hasher, tensor: &Tensor) -> Result<()> {
    hash.update(format!("{:?} {:?}", tensor.size(), tensor.kind()).as_bytes());
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    hash.update(&bytes);
    Ok(())
}
