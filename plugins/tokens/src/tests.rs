use anyflow_sdk::testkit::Kit;
use anyflow_sdk::{Cell, Codec, Error, OwnedCell, Parameters};
use serde_json::{Value, json};

use crate::{Clip, Gpt2, WordPiece};

fn texts() -> Vec<String> {
    serde_json::from_str(include_str!("../goldens/texts.json")).unwrap()
}

fn codec<C: Codec>(golden: &Value, on_long: &str) -> C {
    let Value::Object(parameters) = golden else { panic!("a golden is an object") };
    let mut parameters = parameters.clone();
    parameters.insert("on_long".into(), on_long.into());
    C::new(&Parameters::new(parameters.into())).unwrap()
}

/// Ids and mask of a text.
fn encoded<C: Codec<Element = i64>>(codec: &C, text: &str, length: usize) -> Result<Vec<i64>, Error> {
    let mut array = vec![0; 2 * length];
    codec.encode(Cell::Utf8(text), &mut array).map(|()| array)
}

/// Compares all texts with the tokens that transformers gives them.
fn compare<C: Codec<Element = i64>>(golden: &str) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let length = golden["length"].as_u64().unwrap() as usize;
    let (cut, fail): (C, C) = (codec(&golden, "cut"), codec(&golden, "fail"));
    let mut refused = 0;
    for (text, wanted) in texts().iter().zip(golden["ids"].as_array().unwrap()) {
        let wanted: Vec<i64> = wanted.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        let array = encoded(&cut, text, length).unwrap();
        let pad = golden["pad"].as_i64().unwrap();
        let ids: Vec<i64> = wanted.iter().copied().chain(std::iter::repeat(pad)).take(length).collect();
        let mask: Vec<i64> = (0..length).map(|token| i64::from(token < wanted.len())).collect();
        assert_eq!(array, [ids, mask].concat(), "{text:?}");
        match encoded(&fail, text, length) {
            Ok(same) => assert_eq!(same, array, "{text:?}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("`length: 12`"), "{error}");
            }
        }
    }
    assert_eq!(golden["cut"], refused);
    assert!(refused > 0, "no text is too long");
}

#[test]
fn tokens_equal_those_of_transformers() {
    compare::<Clip>(include_str!("../goldens/clip.json"));
    compare::<Gpt2>(include_str!("../goldens/gpt2.json"));
    compare::<Gpt2>(include_str!("../goldens/roberta.json"));
    compare::<WordPiece>(include_str!("../goldens/wordpiece.json"));
}

/// The texts of `goldens/odd.py`, of difficult pieces.
fn odd_texts(pieces: &[String]) -> Vec<String> {
    let mut state = 1u64;
    let mut draw = |count: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % count as u64) as usize
    };
    let mut text = |index: usize| {
        let mut text = String::new();
        for _ in 0..draw(9) {
            match draw(16) {
                0 => text.extend(char::from_u32(draw(0x2FE0) as u32)),
                kind => {
                    let piece = &pieces[draw(pieces.len())];
                    text += &piece.repeat(if kind == 1 { 1 + draw(30) } else { 1 });
                }
            }
            text += ["", " ", " "][draw(3)];
        }
        if index % 1000 == 999 { text + &"word".repeat(2500) } else { text }
    };
    (0..5000).map(&mut text).collect()
}

/// FNV-1a of the number of tokens and the tokens of each text, as in `goldens/odd.py`.
fn digest(rows: &[Vec<u32>]) -> String {
    let numbers = rows.iter().flat_map(|row| std::iter::once(row.len() as u32).chain(row.iter().copied()));
    let step = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", numbers.flat_map(u32::to_le_bytes).fold(0xCBF2_9CE4_8422_2325, step))
}

/// The tokens that the mask shows.
fn shown<C: Codec<Element = i64>>(codec: &C, text: &str, length: usize) -> Vec<u32> {
    let array = encoded(codec, text, length).unwrap();
    let (ids, mask) = array.split_at(length);
    ids.iter().zip(mask).filter(|(_, mask)| **mask > 0).map(|(id, _)| *id as u32).collect()
}

fn compare_odd<C: Codec<Element = i64>>(name: &str, golden: &str) {
    let odd: Value = serde_json::from_str(include_str!("../goldens/odd.json")).unwrap();
    let length = odd["length"].as_u64().unwrap() as usize;
    let mut golden: Value = serde_json::from_str(golden).unwrap();
    golden["length"] = length.into();
    let codec: C = codec(&golden, "cut");
    let pieces: Vec<String> = serde_json::from_value(odd["pieces"].clone()).unwrap();
    let texts = odd_texts(&pieces);
    let wanted: Vec<String> = serde_json::from_value(odd["digests"][name].clone()).unwrap();
    for (texts, wanted) in texts.chunks(100).zip(&wanted) {
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| shown(&codec, text, length)).collect();
        assert_eq!(digest(&ids), *wanted, "{name}: one of {texts:?}");
    }
    assert_eq!(wanted.len(), 50);
}

#[test]
fn odd_texts_have_the_tokens_of_transformers() {
    compare_odd::<Clip>("clip", include_str!("../goldens/clip.json"));
    compare_odd::<Gpt2>("gpt2", include_str!("../goldens/gpt2.json"));
    compare_odd::<Gpt2>("roberta", include_str!("../goldens/roberta.json"));
    compare_odd::<WordPiece>("wordpiece", include_str!("../goldens/wordpiece.json"));
}

#[test]
fn tokens_come_back_as_text() {
    let clip: Clip = codec(&serde_json::from_str(include_str!("../goldens/clip.json")).unwrap(), "cut");
    let words: WordPiece = codec(&serde_json::from_str(include_str!("../goldens/wordpiece.json")).unwrap(), "cut");
    let gpt2: Gpt2 = codec(&serde_json::from_str(include_str!("../goldens/gpt2.json")).unwrap(), "cut");
    let text = |cell| OwnedCell::Utf8(String::from(cell));
    assert_eq!(clip.decode(&encoded(&clip, "A  photo of a CAT", 12).unwrap()).unwrap(), text("a photo of a cat"));
    assert_eq!(
        words.decode(&encoded(&words, "The photo, of a cat", 12).unwrap()).unwrap(),
        text("the photo, of a cat")
    );
    assert_eq!(gpt2.decode(&encoded(&gpt2, " the cat", 12).unwrap()).unwrap(), text(" the cat"));
    for wrong in [-1, 200, i64::MAX, i64::MIN] {
        let array = [vec![wrong; 12], vec![1; 12]].concat();
        assert!(matches!(clip.decode(&array), Err(Error::Data(_))), "{wrong}");
    }
    assert_eq!(clip.decode(&[-1; 24]).unwrap(), text(""), "the mask hides all");
}

#[test]
fn files_that_hold_another_tokenizer_or_none_are_named() {
    let vocabulary = "[UNK]\n[CLS]\n[SEP]\na";
    let word = json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"});
    let other = json!({"version": "1.0", "model": word}).to_string();
    for (files, words) in [
        (json!({}), "no text files"),
        (json!({"merges.txt": "", "readme.txt": ""}), "merges.txt, readme.txt"),
        (json!({"tokenizer.json": "{"}), "not a JSON object"),
        (json!({"tokenizer.json": "{}"}), "type unnamed"),
        (json!({"tokenizer.json": other}), "type WordLevel, but tokens/wordpiece needs WordPiece"),
        (json!({"vocab.txt": "a\nb"}), "lacks the token [CLS]"),
        (json!({"vocab.txt": vocabulary, "tokenizer_config.json": "[]"}), "tokenizer_config.json"),
    ] {
        let parameters = json!({"files": files, "length": 8, "pad": 0, "on_long": "cut"});
        let Err(Error::Parameters(text)) = WordPiece::new(&Parameters::new(parameters)) else { panic!("{files}") };
        assert!(text.contains(words), "{text}");
    }
    let files =
        json!({"vocab.json": "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}", "merges.txt": "#version\na b c"});
    let parameters = json!({"files": files, "length": 8, "pad": 0, "on_long": "cut"});
    let Err(Error::Parameters(text)) = Clip::new(&Parameters::new(parameters)) else { panic!("a line of three") };
    assert!(text.contains("line 2 of merges.txt"), "{text}");
}

#[test]
fn impossible_parameters_are_refused() {
    for (length, pad) in [(0, 0), (2, 0), (65537, 0), (8, 5)] {
        let files = json!({"vocab.txt": "[UNK]\n[CLS]\n[SEP]\na"});
        let parameters = Parameters::new(json!({"files": files, "length": length, "pad": pad, "on_long": "cut"}));
        assert!(matches!(WordPiece::new(&parameters), Err(Error::Parameters(_))), "length {length}, pad {pad}");
    }
}

#[test]
fn the_test_kit_passes() {
    Kit::new(crate::ENTRY).sample("clip", OwnedCell::Utf8("ab c".into())).check();
}
