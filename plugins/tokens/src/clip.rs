//! The codec `clip`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, TOKENS, descriptor::*};
use serde_json::{Value, json};

use crate::files::TokenizerFiles;
use crate::tokenizer::{Config, FixedTokenizer, Kind, added, id_of, parameters};
use crate::words::{Break, CLIP_MARKS, CLIP_PIECES};

/// Any text <-> the tokens of CLIP: byte pairs of the lower-case text in composed form (NFC).
pub struct Clip(FixedTokenizer);

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Ends a word in the vocabulary.
const SUFFIX: &str = "</w>";

impl Codec for Clip {
    type Element = i64;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "clip",
        modality: "text",
        summary: "any text <-> token ids of CLIP",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: TOKENS,
        parameters: parameters!(
            files: r#"{"vocab.json": "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab</w>\": 4, \"<|startoftext|>\": 5, \"<|endoftext|>\": 6, \"c\": 7, \"c</w>\": 8}",
                "merges.txt": "a b</w>\n"}"#,
            length: r#", "default": 77"#,
            pad: r#", "examples": [6]"#
        ),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        FixedTokenizer::new(&Kind { codec: "clip", model: "BPE", breaks: Break::AtSpaces }, config, described).map(Clip)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [i64]) -> Result<(), Error> {
        self.0.encode(cell, array)
    }

    fn decode(&self, array: &[i64]) -> Result<OwnedCell, Error> {
        Ok(OwnedCell::Utf8(self.0.decode(array)?.replace(SUFFIX, " ").trim().into()))
    }
}

/// `tokenizer.json` from `vocab.json` and `merges.txt`, as `CLIPTokenizer` of transformers 5 reads them.
pub(crate) fn described(files: &TokenizerFiles) -> Result<Value, Error> {
    let vocabulary = files.needed_object("vocab.json")?;
    let (start, end) = (id_of(&vocabulary, START)?, id_of(&vocabulary, END)?);
    let words = format!("{CLIP_MARKS}{CLIP_PIECES}");
    Ok(json!({
        "version": "1.0",
        "added_tokens": [added(start, START), added(end, END)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start], "trim_offsets": false,
            "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "unk_token": END, "continuing_subword_prefix": "", "end_of_word_suffix": SUFFIX,
            "fuse_unk": false, "vocab": vocabulary, "merges": files.merges()?}
    }))
}
