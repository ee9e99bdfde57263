//! The codec `wordpiece`.

use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, TOKENS, descriptor::*};
use serde_json::{Map, Value, json};

use crate::files::TokenizerFiles;
use crate::tokenizer::{Config, FixedTokenizer, Kind, added, id_of, parameters};
use crate::words::Break;

/// Any text <-> the tokens of BERT: the longest pieces of each word that the vocabulary has.
pub struct WordPiece(FixedTokenizer);

const START: &str = "[CLS]";
const STOP: &str = "[SEP]";
const UNKNOWN: &str = "[UNK]";
/// All tokens that mark something.
const MARKS: [&str; 5] = [START, STOP, UNKNOWN, "[PAD]", "[MASK]"];

impl Codec for WordPiece {
    type Element = i64;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "wordpiece",
        modality: "text",
        summary: "any text <-> token ids of BERT and of sentence encoders",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: TOKENS,
        parameters: parameters!(
            files: r###"{"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n##b\n"}"###,
            length: "",
            pad: r#", "default": 0"#
        ),
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        FixedTokenizer::new(
            &Kind { codec: "wordpiece", model: "WordPiece", breaks: Break::AtSpaces },
            config,
            described,
        )
        .map(WordPiece)
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [i64]) -> Result<(), Error> {
        self.0.encode(cell, array)
    }

    fn decode(&self, array: &[i64]) -> Result<OwnedCell, Error> {
        Ok(OwnedCell::Utf8(self.0.decode(array)?))
    }
}

/// `tokenizer.json` from `vocab.txt` and the switches in `tokenizer_config.json`, as `BertTokenizer` of transformers 5
/// reads them.
pub(crate) fn described(files: &TokenizerFiles) -> Result<Value, Error> {
    let lines = files.needed("vocab.txt")?.lines().enumerate();
    let vocabulary: Map<String, Value> = lines.map(|(id, token)| (token.to_string(), id.into())).collect();
    let (start, stop) = (id_of(&vocabulary, START)?, id_of(&vocabulary, STOP)?);
    id_of(&vocabulary, UNKNOWN)?;
    let marks = MARKS.iter().filter_map(|token| Some(added(vocabulary.get(*token)?, token)));
    let marks: Vec<Value> = marks.collect();
    let config = files.object("tokenizer_config.json")?.unwrap_or_default();
    let switch = |name: &str| config.get(name).filter(|value| value.is_boolean()).cloned();
    Ok(json!({
        "version": "1.0",
        "added_tokens": marks,
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": switch("tokenize_chinese_chars").unwrap_or(true.into()),
            "strip_accents": switch("strip_accents"), "lowercase": switch("do_lower_case").unwrap_or(true.into())},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": [STOP, stop], "cls": [START, start]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary}
    }))
}
