//! A tokenizer with a fixed number of tokens per text.

use anyflow_sdk::{Cell, CutCount, Error};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::files::TokenizerFiles;
use crate::words::{Break, Words};

/// Parameters of a codec.
#[derive(serde::Deserialize)]
pub(crate) struct Config {
    pub files: TokenizerFiles,
    length: usize,
    pad: u32,
    on_long: OnLong,
}

/// What the codec does with a text of more tokens than `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnLong {
    /// The row fails.
    Fail,
    /// The codec takes the first tokens, and those that mark start and end.
    Cut,
}

/// The parameters of a codec in JSON, with an example of its files and the schema of its length.
macro_rules! parameters {
    (files: $files:literal, length: $length:literal, pad: $pad:literal) => {
        concat!(
            r#"{"files": {"type": "object", "format": "files", "description": "folder or file in which the tokenizer was published, relative to this file", "examples": ["#,
            $files,
            r#"]}, "length": {"type": "integer", "minimum": 1, "maximum": 65536, "description": "tokens of a text, with those that mark start and end""#,
            $length,
            r#"}, "pad": {"type": "integer", "minimum": 0, "description": "id of the token that fills up short texts""#,
            $pad,
            r#"}, "on_long": {"type": "string", "enum": ["fail", "cut"], "default": "cut", "description": "a longer text is cut, and the log counts cut texts, or fails its row"}}"#
        )
    };
}
pub(crate) use parameters;

/// What a codec expects of its tokenizer.
pub(crate) struct Kind {
    /// The codec's name in messages.
    pub codec: &'static str,
    /// `type` of the model in `tokenizer.json`.
    pub model: &'static str,
    /// Where its texts fall into words.
    pub breaks: Break,
}

/// Text <-> ids and mask of a fixed number of tokens.
pub(crate) struct FixedTokenizer {
    tokenizer: Tokenizer,
    /// The ids of known words, if the tokenizer reads words one by one.
    words: Option<Words>,
    /// The ids in front of those of a text, and behind them.
    marks: [Vec<u32>; 2],
    length: usize,
    pad: u32,
    on_long: OnLong,
    count: CutCount,
}

impl FixedTokenizer {
    /// Makes a tokenizer from `tokenizer.json`, or else from what `build` makes of older files, in the same form.
    pub fn new(
        kind: &Kind,
        config: Config,
        build: impl FnOnce(&TokenizerFiles) -> Result<Value, Error>,
    ) -> Result<FixedTokenizer, Error> {
        let Config { files, length, pad, on_long } = config;
        let described = match files.object("tokenizer.json")? {
            Some(described) => Value::from(described),
            None => build(&files)?,
        };
        let found = described.pointer("/model/type").and_then(Value::as_str).unwrap_or("unnamed");
        if found != kind.model {
            return Err(Error::Parameters(format!(
                "files: tokenizer.json holds a model of type {found}, but tokens/{} needs {}",
                kind.codec, kind.model
            )));
        }
        let wrong = |error: &dyn std::fmt::Display| Error::Parameters(format!("files: {error}"));
        let mut tokenizer = Tokenizer::from_bytes(described.to_string()).map_err(|error| wrong(&error))?;
        let vocabulary = tokenizer.get_vocab_size(true);
        if usize::try_from(pad).is_ok_and(|pad| pad >= vocabulary) {
            return Err(Error::Parameters(format!("pad is {pad}, but the tokenizer has {vocabulary} tokens")));
        }
        tokenizer.with_padding(None).with_truncation(None).map_err(|error| wrong(&error))?;
        let around = marks_of(&tokenizer)?;
        let marks = around.iter().map(Vec::len).sum::<usize>();
        if length <= marks || length > 65536 {
            return Err(Error::Parameters(format!(
                "length is {length}; it must be from {} to 65536: {marks} tokens mark start and end",
                marks + 1
            )));
        }
        let words = Words::of(&described, kind.breaks);
        let count = CutCount::new(format!("tokens/{}", kind.codec), "texts", format!("{length} tokens"));
        Ok(FixedTokenizer { tokenizer, words, marks: around, length, pad, on_long, count })
    }

    /// The ids of a text without marks.
    fn own_ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let tokenize = |text: &str| {
            let encoding = self.tokenizer.encode_fast(text, false).map_err(Error::data)?;
            Ok(encoding.get_ids().to_vec())
        };
        self.words.as_ref().map_or_else(|| tokenize(text), |words| words.ids(text, tokenize))
    }

    /// Writes ids and mask of a text.
    pub fn encode(&self, cell: Cell<'_>, array: &mut [i64]) -> Result<(), Error> {
        let own = self.own_ids(cell.text()?)?;
        let [before, behind] = &self.marks;
        let room = self.length - before.len() - behind.len();
        let is_long = own.len() > room;
        if is_long && self.on_long == OnLong::Fail {
            return Err(Error::data(format!(
                "the text has {} tokens, more than fit into `length: {}`; raise `length`, or set `on_long: cut`",
                own.len(),
                self.length
            )));
        }
        self.count.add(is_long);
        let (ids, mask) = array.split_at_mut(self.length);
        ids.fill(i64::from(self.pad));
        let shown = before.iter().chain(own.iter().take(room)).chain(behind);
        for ((id, mask), token) in ids.iter_mut().zip(mask).zip(shown) {
            (*id, *mask) = (i64::from(*token), 1);
        }
        Ok(())
    }

    /// The text of the tokens that the mask shows, without marks.
    pub fn decode(&self, array: &[i64]) -> Result<String, Error> {
        let (ids, mask) = array.split_at(self.length);
        let shown = ids.iter().zip(mask).filter(|(_, mask)| **mask > 0);
        let vocabulary = self.tokenizer.get_vocab_size(true);
        let id = |id: i64| u32::try_from(id).ok().filter(|id| self.tokenizer.id_to_token(*id).is_some());
        let known = shown.map(|(token, _)| {
            id(*token).ok_or_else(|| Error::data(format!("there is no token {token} among {vocabulary} tokens")))
        });
        let ids = known.collect::<Result<Vec<u32>, Error>>()?;
        self.tokenizer.decode(&ids, true).map_err(Error::data)
    }
}

/// The ids that the tokenizer puts in front of a text, and behind it.
fn marks_of(tokenizer: &Tokenizer) -> Result<[Vec<u32>; 2], Error> {
    let wrong = |error| Error::Parameters(format!("files: {error}"));
    let around = tokenizer.encode_fast("", true).map_err(wrong)?;
    let probe = tokenizer.encode_fast("a", true).map_err(wrong)?;
    let before = probe.get_special_tokens_mask().iter().position(|mask| *mask == 0);
    // A vocabulary without the letter shows marks alone; of those the first is in front.
    let before = before.unwrap_or(around.len().min(1)).min(around.len());
    let (before, behind) = around.get_ids().split_at(before);
    Ok([before.to_vec(), behind.to_vec()])
}

/// A token that marks something and is never split.
pub(crate) fn added(id: &Value, content: &str) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true
    })
}

/// The id of a token that the codec needs.
pub(crate) fn id_of<'v>(vocabulary: &'v serde_json::Map<String, Value>, token: &str) -> Result<&'v Value, Error> {
    vocabulary.get(token).ok_or_else(|| Error::Parameters(format!("files: the vocabulary lacks the token {token}")))
}

#[cfg(test)]
mod tests;
