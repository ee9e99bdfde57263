//! The ids of words, kept: texts repeat their words, and a tokenizer spends most of its time on those that it knows.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

use anyflow_sdk::Error;

/// Where a text falls into words whose ids, one after the other, are those of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// At spaces, which belong to no word.
    AtSpaces,
    /// In front of spaces, each of which belongs to the word behind it.
    BeforeSpaces,
}

/// The most words that are kept, and the most bytes of one of them.
const MOST_WORDS: usize = 1 << 16;
const MOST_BYTES: usize = 64;
/// What CLIP's tokenizer takes for a piece of a text. No piece has white space in it.
pub(crate) const CLIP_PIECES: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Marks that are pieces of their own, in front of these.
pub(crate) const CLIP_MARKS: &str = r"<\|startoftext\|>|<\|endoftext\|>|";

/// The ids of words that occurred.
pub(crate) struct Words {
    at: Break,
    /// Marks that take spaces around them: a text with one is tokenized as a whole.
    greedy: Vec<String>,
    known: RwLock<HashMap<Box<str>, Box<[u32]>>>,
}

impl Words {
    /// The words of a tokenizer, by `tokenizer.json`; `None` if it is not known that it reads words one by one.
    pub fn of(described: &Value, at: Break) -> Option<Words> {
        let normalizers = parts(&described["normalizer"], "normalizers");
        let pieces = parts(&described["pre_tokenizer"], "pretokenizers");
        let kinds: Vec<&str> = pieces.iter().filter_map(|piece| piece["type"].as_str()).collect();
        let is_local = match (at, kinds.as_slice()) {
            (Break::AtSpaces, ["Split", "ByteLevel"]) => splits_into_pieces(pieces[0]),
            (Break::AtSpaces, ["BertPreTokenizer"]) | (Break::BeforeSpaces, ["ByteLevel"]) => true,
            _ => false,
        };
        let dropout = &described["model"]["dropout"];
        let is_fixed = dropout.is_null() || dropout.as_f64() == Some(0.0);
        if !is_local || !is_fixed || !normalizers.iter().all(|step| keeps_words(step)) {
            return None;
        }
        let added = described["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
        let greedy = added.iter().filter(|token| is_greedy(token));
        let greedy =
            greedy.map(|token| Some(token["content"].as_str().filter(|_| token["normalized"] != true)?.into()));
        Some(Words { at, greedy: greedy.collect::<Option<_>>()?, known: RwLock::default() })
    }

    /// The ids of a text; `tokenize` gets the words that are not known.
    pub fn ids(&self, text: &str, tokenize: impl Fn(&str) -> Result<Vec<u32>, Error>) -> Result<Vec<u32>, Error> {
        if self.greedy.iter().any(|mark| text.contains(mark)) {
            return tokenize(text);
        }
        let mut ids = Vec::new();
        let mut fresh: Vec<(Box<str>, Box<[u32]>)> = Vec::new();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_WORDS.saturating_sub(known.len());
        for word in self.split(text) {
            match known.get(word) {
                Some(own) => ids.extend_from_slice(own),
                None => {
                    let own = tokenize(word)?;
                    ids.extend_from_slice(&own);
                    if word.len() <= MOST_BYTES {
                        fresh.push((word.into(), own.into()));
                    }
                }
            }
        }
        drop(known);
        if !fresh.is_empty() && room > 0 {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.extend(fresh.into_iter().take(room));
        }
        Ok(ids)
    }

    fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        match self.at {
            Break::AtSpaces => text.split(' ').filter(|word| !word.is_empty()).collect(),
            // Of several spaces the last alone belongs to a word, and other white space to none.
            Break::BeforeSpaces if text.contains("  ") || text.ends_with(' ') || has_other_space(text) => vec![text],
            Break::BeforeSpaces => {
                let starts = std::iter::once(0).chain(text.match_indices(' ').map(|(at, _)| at)).collect::<Vec<_>>();
                let ends = starts[1..].iter().copied().chain([text.len()]);
                starts.iter().zip(ends).map(|(start, end)| &text[*start..end]).filter(|word| !word.is_empty()).collect()
            }
        }
    }
}

fn has_other_space(text: &str) -> bool {
    text.chars().any(|letter| letter != ' ' && letter.is_whitespace())
}

/// The parts of a sequence, or the thing itself.
fn parts<'v>(value: &'v Value, list: &str) -> Vec<&'v Value> {
    match value[list].as_array() {
        Some(parts) => parts.iter().collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// True for a step that changes each word by itself.
fn keeps_words(step: &Value) -> bool {
    match step["type"].as_str() {
        Some("NFC" | "Lowercase" | "BertNormalizer") => true,
        Some("Replace") => step["pattern"]["Regex"] == r"\s+" && step["content"] == " ",
        _ => false,
    }
}

/// True for CLIP's pieces, with marks in front of them.
fn splits_into_pieces(split: &Value) -> bool {
    let marks = split["pattern"]["Regex"].as_str().and_then(|pattern| pattern.strip_suffix(CLIP_PIECES));
    marks.is_some_and(|marks| ["", CLIP_MARKS].contains(&marks))
}

/// True for a mark that spaces around it, or the letters beside it, make part of.
fn is_greedy(token: &Value) -> bool {
    let has_space = token["content"].as_str().is_none_or(|content| content.contains(char::is_whitespace));
    has_space || ["lstrip", "rstrip", "single_word"].iter().any(|key| token[*key] == true)
}
