//! The codec `gpt2`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, TOKENS, descriptor::*};
use serde_json::{Value, json};

use crate::files::TokenizerFiles;
use crate::tokenizer::{Config, FixedTokenizer, Kind, added, id_of, parameters};
use crate::words::Break;

/// Any text <-> the tokens of GPT-2 or RoBERTa: byte pairs of the text as it is.
pub struct Gpt2(FixedTokenizer);

/// RoBERTa puts the first two around a text. GPT-2 has the last alone, and puts it nowhere.
const MARKS: [&str; 6] = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>"];

impl Codec for Gpt2 {
    type Element = i64;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "gpt2",
        modality: "text",
        summary: "any text <-> token ids of GPT-2 or RoBERTa",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: TOKENS,
        parameters: parameters!(
            files: r#"{"vocab.json": "{\"<s>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3, \"a\": 4, \"b\": 5, \"ab\": 6, \"<mask>\": 7, \"c\": 8}",
                "merges.txt": "a b\n"}"#,
            length: "",
            pad: r#", "examples": [1]"#
        ),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        FixedTokenizer::new(&Kind { codec: "gpt2", model: "BPE", breaks: Break::BeforeSpaces }, config, described)
            .map(Gpt2)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [i64]) -> Result<(), Error> {
        self.0.encode(cell, array)
    }

    fn decode(&self, array: &[i64]) -> Result<OwnedCell, Error> {
        Ok(OwnedCell::Utf8(self.0.decode(array)?))
    }
}

/// `tokenizer.json` from `vocab.json` and `merges.txt`, as `GPT2Tokenizer` and `RobertaTokenizer` of transformers 5 read
/// them.
pub(crate) fn described(files: &TokenizerFiles) -> Result<Value, Error> {
    let vocabulary = files.needed_object("vocab.json")?;
    let marks = MARKS.iter().filter_map(|token| Some(added(vocabulary.get(*token)?, token)));
    let marks: Vec<Value> = marks.collect();
    let [start, stop, ..] = MARKS;
    let around = match vocabulary.get(start) {
        Some(id) => json!({"type": "RobertaProcessing", "sep": [stop, id_of(&vocabulary, stop)?], "cls": [start, id],
            "trim_offsets": true, "add_prefix_space": false}),
        None => Value::Null,
    };
    Ok(json!({
        "version": "1.0",
        "added_tokens": marks,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": around,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
            "vocab": vocabulary, "merges": files.merges()?}
    }))
}
