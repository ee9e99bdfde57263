//! The codes of the errors of this crate, for people: `anyflow explain CODE` prints them.

/// A code with its explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsCode {
    /// The code, as `--json` prints it.
    pub code: &'static str,
    /// When the error occurs.
    pub cause: &'static str,
    /// Something that has it.
    pub example: &'static str,
    /// What to do.
    pub cure: &'static str,
}

const fn code(code: &'static str, [cause, example, cure]: [&'static str; 3]) -> WeightsCode {
    WeightsCode { code, cause, example, cure }
}

const AGAIN: &str = "Download or copy the file again, and compare its size with that of the original.";

/// All codes.
pub const CODES: [WeightsCode; 27] = [
    code(
        "weights.read",
        [
            "A weights file cannot be read.",
            "A path of `checkpoint` that does not exist, or a file without read permission.",
            "Correct the path, fetch the file, or give read permission.",
        ],
    ),
    code(
        "weights.truncated",
        [
            "A safetensors file ends before its last tensor.",
            "A download that was interrupted, or a copy on a full disk.",
            AGAIN,
        ],
    ),
    code(
        "weights.surplus",
        [
            "A safetensors file goes on after its last tensor.",
            "Two files that were written one behind the other.",
            AGAIN,
        ],
    ),
    code(
        "weights.header-beyond-file",
        [
            "A file ends inside the header that its first eight bytes announce.",
            "A download that was interrupted at its start, or a file of another format.",
            AGAIN,
        ],
    ),
    code(
        "weights.header-too-long",
        [
            "The first eight bytes of a file announce a header longer than any that we read.",
            "A file of another format under the name `model.safetensors`.",
            "Take the safetensors file of the model; if it is that, download it again.",
        ],
    ),
    code(
        "weights.compressed",
        [
            "A file is compressed with Zstandard, and its frame is damaged or does not say how long its content is.",
            "`zstd < model.safetensors > model.safetensors.zst`, which compresses a stream of unknown length.",
            "Compress the file itself, with `zstd -19 model.safetensors`, or copy it again.",
        ],
    ),
    code(
        "weights.offsets",
        [
            "The tensors of a safetensors file share bytes, or leave bytes between them.",
            "A file that a faulty program wrote.",
            "Download the file again, or write it with the library `safetensors`.",
        ],
    ),
    code(
        "weights.header",
        [
            "The header of a safetensors file is no JSON of the format, or contradicts itself.",
            "A text file under the name `model.safetensors`, or a tensor whose shape does not fit its bytes.",
            AGAIN,
        ],
    ),
    code(
        "weights.pointer",
        [
            "A file is a pointer of Git LFS: a few lines in place of the weights.",
            "A repository that was cloned without Git LFS.",
            "Run `git lfs pull` in the repository.",
        ],
    ),
    code(
        "weights.web-page",
        [
            "A file is a web page in place of weights.",
            "A download of a link that needs a login.",
            "Open the link in a browser, and download the file itself.",
        ],
    ),
    code("weights.empty", ["A file is empty.", "A download that never began.", AGAIN]),
    code(
        "weights.flax",
        [
            "The weights are in the format of Flax.",
            "A folder with `flax_model.msgpack` alone.",
            "Take the safetensors or PyTorch file of the same model.",
        ],
    ),
    code(
        "weights.quantized-type",
        [
            "A tensor has a type that no network computes in: the file is quantized.",
            "A file of fp8, nf4 or int8 weights.",
            "Take the file of the model in f32, f16 or bf16.",
        ],
    ),
    code(
        "weights.no-file",
        [
            "A folder has no weights file of a known name.",
            "A folder with `model.onnx` alone, or one of several split files without their index.",
            "Name the folder with the weights, or download the file or index that the message names.",
        ],
    ),
    code(
        "weights.no-variant",
        [
            "A folder does not have the variant of the weights that is asked for.",
            "`--variant fp16` for a folder with `model.safetensors` alone.",
            "Name one of the variants in the message, or leave out `--variant`.",
        ],
    ),
    code(
        "weights.only-variants",
        [
            "A folder has variants of its weights only, and none is named.",
            "`from: unet` with `unet/diffusion_pytorch_model.fp16.safetensors`.",
            "Name the file in place of the folder, or adopt the model with `--variant`.",
        ],
    ),
    code(
        "weights.index",
        [
            "An index of split files is not what it should be.",
            "An index without `weight_map`, or with a path that leaves its folder.",
            "Download the index again.",
        ],
    ),
    code(
        "weights.missing-file",
        [
            "A file that the index of split files names is not there.",
            "A download of one of two files.",
            "Download the file that the message names, into the same folder.",
        ],
    ),
    code(
        "weights.absent-tensor",
        [
            "The index of split files says that a tensor is in a file, and it is not.",
            "An index and files of different revisions of a model.",
            "Download all files and the index again.",
        ],
    ),
    code(
        "weights.twice",
        [
            "Two files of one index hold a tensor of one name.",
            "Files of two models in one folder.",
            "Remove the file that does not belong to the model.",
        ],
    ),
    code(
        "weights.pickle",
        [
            "A PyTorch file is damaged, or holds more than tensors and dictionaries. No code in it runs.",
            "A whole model that `torch.save(model)` wrote.",
            "Save its weights with `torch.save(model.state_dict(), ...)`, or better as safetensors.",
        ],
    ),
    code(
        "weights.changed",
        [
            "A file changed while it was read.",
            "A training that writes the file at the same time.",
            "Run again when nothing writes to the file.",
        ],
    ),
    code(
        "weights.damaged",
        [
            "The content of a file differs from the hash that it carries.",
            "A disk that lost bytes, or an edit of the file.",
            "Restore the file from a copy. If the change is wanted, remove `anyflow.blake3` from its metadata.",
        ],
    ),
    code(
        "weights.write",
        ["A weights file cannot be written.", "A full disk.", "Free space on the disk, or correct its permissions."],
    ),
    code(
        "weights.unknown-map",
        [
            "`map` names a key map that is neither built in nor a file.",
            "`map: unet-3d`.",
            "Write a name that the message lists, or the path of a file.",
        ],
    ),
    code(
        "weights.read-map",
        ["The file of a key map cannot be read.", "`map: maps/own.map` without such a file.", "Correct the path."],
    ),
    code(
        "weights.wrong-map",
        [
            "A line of a key map is wrong.",
            "`renam a -> b`.",
            "Correct the line that the message names; the README of pipelines/pretrained shows the patterns.",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_in_the_sources_is_explained() {
        let mut used = BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("explained.rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    let codes = text.split('"').filter(|word| word.starts_with("weights.") && !word.contains(' '));
                    used.extend(codes.map(String::from));
                }
            }
        }
        let known: BTreeSet<String> = CODES.iter().map(|code| code.code.to_string()).collect();
        assert_eq!(known.len(), CODES.len(), "a code is explained twice");
        let unknown: Vec<_> = used.iter().filter(|code| !known.contains(*code) && *code != "weights.bin").collect();
        assert!(unknown.is_empty(), "not explained: {unknown:?}");
        assert!(known.is_subset(&used), "explained, but never reported");
        for WeightsCode { code, cause, example, cure } in CODES {
            assert!([cause, example, cure].iter().all(|text| text.len() > 1 && text.ends_with('.')), "{code}");
        }
    }
}
