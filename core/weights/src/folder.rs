//! The weights files of a folder, as diffusers and transformers name them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{FileError, Result, WeightsError};
use crate::flaw::{FolderFlaw, Stranger};
use crate::index::{self, Index};

/// Names of weights files without their ends, by preference: diffusers, transformers, older transformers.
const STEMS: [&str; 3] = ["diffusion_pytorch_model", "model", "pytorch_model"];
/// Ends of weights files, by preference.
const ENDS: [&str; 2] = ["safetensors", "bin"];
/// The end of an index of files, behind the end of its files.
const INDEX: &str = "index.json";
const WANTED: &str =
    "diffusion_pytorch_model.safetensors, model.safetensors, pytorch_model.bin, or an index of such files";

/// The files with the weights of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsFiles {
    /// The files, each once.
    pub files: Vec<PathBuf>,
    /// The index that lists them; `None` for a single file.
    pub index: Option<PathBuf>,
}

impl WeightsFiles {
    /// Finds the weights of a path: a file is itself, an index stands for its files, and in a folder safetensors win over
    /// `.bin`, diffusers' name over that of transformers. A variant (`fp16`) stands between the name and its end.
    ///
    /// # Errors
    /// [`WeightsError::Read`]; [`WeightsError::Folder`] and [`WeightsError::Stranger`] say what is there in place of weights.
    pub fn find(path: &Path, variant: Option<&str>) -> Result<WeightsFiles, FileError> {
        let at = || FileError::at(path);
        if !std::fs::metadata(path).map_err(WeightsError::Read).map_err(at())?.is_dir() {
            return of_file(path);
        }
        let names = names(path).map_err(at())?;
        match choose(&names, variant.unwrap_or_default()) {
            Some(name) => of_file(&path.join(name)),
            None => Err(at()(absent(&names, variant))),
        }
    }

    /// The variants that a folder has weights of, sorted; the empty name stands for none.
    ///
    /// # Errors
    /// [`WeightsError::Read`].
    pub fn variants(folder: &Path) -> Result<Vec<String>> {
        Ok(variants(&names(folder)?))
    }
}

fn of_file(path: &Path) -> Result<WeightsFiles, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".msgpack") {
        return Err(FileError::at(path)(WeightsError::Stranger(Stranger::Flax)));
    }
    if !name.ends_with(".json") {
        return Ok(WeightsFiles { files: vec![path.to_path_buf()], index: None });
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let files = Index::read(path).and_then(|index| index::files(&index, folder)).map_err(FileError::at(path))?;
    Ok(WeightsFiles { files, index: Some(path.to_path_buf()) })
}

/// The names in a folder.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder).map_err(WeightsError::Read)?;
    let names = entries.map(|entry| Ok(entry.map_err(WeightsError::Read)?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// The file or index to take: by end, then by stem, a single file before an index.
fn choose(names: &BTreeSet<String>, variant: &str) -> Option<String> {
    let candidates = ENDS.iter().flat_map(|end| {
        STEMS.iter().flat_map(move |stem| {
            let [file, index] = [format!("{stem}.{end}"), format!("{stem}.{end}.{INDEX}")];
            [with_variant(&file, variant), with_variant(&index, variant)]
        })
    });
    candidates.into_iter().find(|name| names.contains(name))
}

/// `model.safetensors` -> `model.fp16.safetensors`, `model.safetensors.index.json` -> `model.safetensors.index.fp16.json`.
fn with_variant(name: &str, variant: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, end)) if !variant.is_empty() => format!("{stem}.{variant}.{end}"),
        _ => name.to_string(),
    }
}

fn variants(names: &BTreeSet<String>) -> Vec<String> {
    let found = names.iter().filter_map(|name| {
        let rest = STEMS.iter().find_map(|stem| name.strip_prefix(stem)?.strip_prefix('.'))?;
        let words: Vec<&str> = rest.split('.').collect();
        match words[..] {
            [end] | [end, "index", "json"] if ENDS.contains(&end) => Some(String::new()),
            [variant, end] if ENDS.contains(&end) => Some(variant.to_string()),
            [end, "index", variant, "json"] if ENDS.contains(&end) => Some(variant.to_string()),
            _ => None,
        }
    });
    // Files of an index carry their number in the place of a variant, or behind it.
    let found: BTreeSet<String> = found.filter(|name| !name.contains("-of-")).collect();
    found.into_iter().collect()
}

/// What a folder without the wanted weights has in their place.
fn absent(names: &BTreeSet<String>, variant: Option<&str>) -> WeightsError {
    let found = variants(names);
    let has = |end: &str| names.iter().find(|name| name.ends_with(end));
    match variant {
        Some(variant) if !found.is_empty() => FolderFlaw::NoVariant { variant: variant.to_string(), found }.into(),
        None if !found.is_empty() => {
            let found = found.iter().filter_map(|variant| choose(names, variant)).collect();
            FolderFlaw::OnlyVariants { found }.into()
        }
        _ if has(".msgpack").is_some() => WeightsError::Stranger(Stranger::Flax),
        _ => {
            let found = match ["-of-", ".onnx", ".xml", ".h5", ".ckpt"]
                .iter()
                .find_map(|end| names.iter().find(|name| name.ends_with(end) || (*end == "-of-" && name.contains(end))))
            {
                Some(part) if part.contains("-of-") => {
                    format!("{part} is one of several files whose index is missing; download the index (.{INDEX}) too")
                }
                Some(other) => {
                    format!("{other} is of another format; take the safetensors or PyTorch files of this model")
                }
                None => "name the folder with the weights, or download them".to_string(),
            };
            FolderFlaw::NoWeights { wanted: WANTED.into(), found }.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn safetensors_win_over_bin_and_diffusers_over_transformers() {
        let of = |names: &[&str], variant: &str| choose(&set(names), variant);
        let all = ["model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.bin"];
        assert_eq!(of(&all, "").as_deref(), Some("model.safetensors"));
        assert_eq!(of(&all[1..], "").as_deref(), Some("diffusion_pytorch_model.bin"));
        let both = ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"];
        assert_eq!(of(&both, "").as_deref(), Some(both[1]));
        assert_eq!(of(&both, "fp16").as_deref(), Some(both[0]));
        let split = ["model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"];
        assert_eq!(of(&split, "fp16").as_deref(), Some(split[0]));
        assert_eq!(variants(&set(&[&both[..], &split].concat())), ["", "fp16"]);
    }

    #[test]
    fn what_stands_in_the_place_of_weights_is_named() {
        let text = |names: &[&str], variant: Option<&str>| absent(&set(names), variant).to_string();
        assert!(text(&["model.fp16.safetensors"], None).ends_with("folder: model.fp16.safetensors"));
        let plain = text(&["model.safetensors"], Some("fp16"));
        assert!(plain.contains("no variant `fp16`") && plain.contains("has the one without a name"), "{plain}");
        assert!(text(&["flax_model.msgpack"], None).contains("Flax"));
        assert!(text(&["model-00001-of-00002.safetensors"], None).contains("whose index is missing"));
        assert!(text(&["model.onnx"], None).contains("model.onnx is of another format"));
        assert!(text(&["config.json"], None).contains("download them"));
    }
}
