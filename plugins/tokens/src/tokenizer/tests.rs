//! Word by word a text has the ids that it has as a whole.

use serde_json::Value;

use super::*;

/// Letters, marks, spaces and signs that tokenizers treat in special ways.
const PIECES: [&str; 40] = [
    "a",
    "the",
    "CAFE\u{301}",
    "é",
    "\u{301}",
    "Σ",
    "ΑΣ",
    "ß",
    "ﬃ",
    "İ",
    "it's",
    "'s",
    "'",
    "3",
    "14",
    ".",
    ",",
    "!?",
    "—",
    "…",
    " ",
    "  ",
    " ",
    "\t",
    "\n",
    "\u{2003}",
    "\u{a0}",
    "\u{200d}",
    "\u{feff}",
    "\u{0}",
    "👩\u{200d}🚀",
    "❤\u{fe0f}",
    "🇩🇪",
    "数字",
    "和",
    "עולם",
    "<|endoftext|>",
    "[SEP]",
    "<mask>",
    "</s>",
];

/// What makes `tokenizer.json` of older files.
type Described = fn(&TokenizerFiles) -> Result<Value, Error>;

fn texts() -> Vec<String> {
    let mut texts: Vec<String> = serde_json::from_str(include_str!("../../goldens/texts.json")).unwrap();
    // Knuth's linear congruential generator.
    let mut state = 1u64;
    let mut below = |count: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % count
    };
    texts.extend((0..2000).map(|_| (0..=below(12)).map(|_| PIECES[below(PIECES.len())]).collect()));
    texts
}

#[test]
fn words_have_the_ids_that_they_have_in_the_text() {
    let goldens: [(&str, &str, Break, Described); 4] = [
        (include_str!("../../goldens/clip.json"), "BPE", Break::AtSpaces, crate::clip::described),
        (include_str!("../../goldens/gpt2.json"), "BPE", Break::BeforeSpaces, crate::gpt2::described),
        (include_str!("../../goldens/roberta.json"), "BPE", Break::BeforeSpaces, crate::gpt2::described),
        (include_str!("../../goldens/wordpiece.json"), "WordPiece", Break::AtSpaces, crate::wordpiece::described),
    ];
    for (golden, model, breaks, described) in goldens {
        let mut config: Value = serde_json::from_str(golden).unwrap();
        config["on_long"] = "cut".into();
        let config: Config = serde_json::from_value(config).unwrap();
        let fixed = FixedTokenizer::new(&Kind { codec: "tested", model, breaks }, config, described).unwrap();
        assert!(fixed.words.is_some(), "{model}");
        for text in texts() {
            let whole = fixed.tokenizer.encode_fast(text.as_str(), false).unwrap();
            for _ in 0..2 {
                assert_eq!(fixed.own_ids(&text).unwrap(), whole.get_ids(), "{model} {text:?}");
            }
        }
    }
}

#[test]
fn a_tokenizer_that_may_read_several_words_at_once_gets_whole_texts() {
    let known = |described: Value| Words::of(&described, Break::BeforeSpaces).is_some();
    let plain = json!({"pre_tokenizer": {"type": "ByteLevel"}, "model": {}});
    assert!(known(plain.clone()));
    for (key, value) in [
        ("normalizer", json!({"type": "Prepend", "prepend": "▁"})),
        ("pre_tokenizer", json!({"type": "Metaspace"})),
        ("model", json!({"dropout": 0.1})),
        ("added_tokens", json!([{"content": "New York", "normalized": true}])),
    ] {
        let mut other = plain.clone();
        other[key] = value;
        assert!(!known(other.clone()), "{other}");
    }
}
