//! Files that are parts of another file: the model that a model starts from, and files of words.

use anyflow_plan::plan::{Checkpoint, Job, Model};
use anyflow_plan::{Includes, Source, compile_model, includes};

use crate::bench::{Case, catalog, file, snapshot, told};

/// The model of the fixtures with a part of its text replaced.
fn whole(from: &str, to: &str) -> Source {
    let model = file("model.yaml");
    assert!(model.text.contains(from), "nothing to replace: {from}");
    Source::new(model.path, model.text.replacen(from, to, 1))
}

/// A model in a folder of its own that starts from the one of the fixtures.
fn derived(changes: &str) -> Source {
    let text = format!("anyflow: 1\nname: small\nfrom: ../model.yaml\n{changes}");
    let base = Source::new("mld/small/../model.yaml", file("model.yaml").text);
    Source { includes: vec![base], ..Source::new("mld/small/model.yaml", text) }
}

fn plan(source: &Source) -> Model {
    compile_model(source, &catalog(), &[]).map_err(|errors| errors.render(&[source], false)).unwrap().0
}

fn file_at(path: &str) -> Option<Checkpoint> {
    Some(Checkpoint::File(path.into()))
}

fn refused(source: &Source, name: &str) {
    snapshot(name, &told(&compile_model(source, &catalog(), &[]).unwrap_err(), &[source]));
}

#[test]
fn a_model_that_starts_from_another_is_that_one_with_changes() {
    let same = plan(&derived(""));
    let base = plan(&file("model.yaml"));
    assert_eq!((same.name.as_str(), &same.streams, &same.denoisers), ("small", &base.streams, &base.denoisers));
    assert_eq!(same.checkpoint, file_at("mld/small/../weights/digits.safetensors"), "beside its own file");

    let changes = "checkpoint: own.safetensors\ndenoisers: {joint: {network: {width: 32}, predict: eps}}\n";
    let changed = plan(&derived(changes));
    assert_eq!(changed.checkpoint, file_at("mld/small/own.safetensors"));
    let old = &base.denoisers["joint"];
    let new = &changed.denoisers["joint"];
    assert_eq!(new.network.object()["width"], 32);
    assert_eq!(new.network.object()["blocks"], old.network.object()["blocks"]);
    assert_eq!((new.predict.word(), &new.over), ("eps", &old.over));
}

#[test]
fn weights_of_parts_are_relative_to_the_file_that_names_them() {
    let parts =
        "checkpoint: {streams.image.module: {from: weights/tiny.pth, part: ''}, denoisers: {from: d.safetensors}}";
    let whole = whole("checkpoint: weights/digits.safetensors", parts);
    let text = "anyflow: 1\nname: small\nfrom: ../model.yaml\ncheckpoint: {denoisers: null, denoisers.joint: {from: own.pth}}\n";
    let base = Source::new("mld/small/../model.yaml", whole.text);
    let derived = Source { includes: vec![base], ..Source::new("mld/small/model.yaml", text) };
    let checkpoint = plan(&derived).checkpoint.unwrap();
    let Checkpoint::Parts(parts) = &checkpoint else { panic!("{checkpoint:?}") };
    let found: Vec<_> = parts.iter().map(|(name, it)| [name, &it.from, &it.part].map(String::as_str)).collect();
    assert_eq!(
        found,
        [
            ["streams.image.module", "mld/small/../weights/tiny.pth", ""],
            ["denoisers.joint", "mld/small/own.pth", "denoisers.joint"]
        ]
    );
}

#[test]
fn a_key_map_stands_for_the_module_and_the_whole_file() {
    let parts = "license: mit\ncheckpoint: {streams.image: {from: vae, map: autoencoder-kl}, denoisers.joint: {from: unet, \
                 map: own.map, part: model}}";
    let base = Source::new("mld/small/../model.yaml", whole("checkpoint: weights/digits.safetensors", parts).text);
    let text = "anyflow: 1\nname: small\nfrom: ../model.yaml\n";
    let derived = Source { includes: vec![base], ..Source::new("mld/small/model.yaml", text) };
    let mut model = plan(&derived);
    assert_eq!(model.license.as_deref(), Some("mit"));
    let Some(Checkpoint::Parts(parts)) = &model.checkpoint else { panic!("{model:?}") };
    let found = parts
        .iter()
        .map(|(name, it)| [name, &it.from, &it.part, it.map.as_deref().unwrap_or("none")].map(str::to_string));
    let wanted = [
        ["streams.image.module", "mld/small/../vae", "", "autoencoder-kl"],
        ["denoisers.joint", "mld/small/../unet", "model", "mld/small/../own.map"],
    ];
    assert_eq!(found.collect::<Vec<_>>(), wanted);
    assert_eq!(model.checkpoint.as_mut().unwrap().paths_mut().len(), 3, "a built-in map is no path");
}

#[test]
fn nothing_removes_a_key_and_another_kind_replaces_the_whole_mapping() {
    let changes = "streams: {label: null}\ndenoisers: {joint: {over: [image, audio, text]}}\n";
    assert_eq!(plan(&derived(changes)).streams.keys().collect::<Vec<_>>(), ["image", "audio", "text"]);
    let network = "denoisers: {joint: {network: {kind: transformer, width: 32}}}\n";
    let network = plan(&derived(network)).denoisers["joint"].network.clone();
    assert_eq!((network.name(), &network.object()["width"]), ("transformer", &32.into()));
}

#[test]
fn what_cannot_be_started_from_is_refused_with_both_files() {
    let with_base = |base: &str| {
        let base = Source::new("mld/small/../model.yaml", base);
        Source { includes: vec![base], ..derived("") }
    };
    refused(&with_base(&format!("{}from: ../other.yaml\n", file("model.yaml").text)), "error-from-chain");
    refused(&with_base(&file("joint.yaml").text), "error-from-pipeline");
    refused(&with_base(&file("model.yaml").text.replace("predict", "predicts")), "error-from-base");
    refused(&derived("denoisers: {joint: {predicts: eps}}\n"), "error-from-change");
    refused(&Source { includes: Vec::new(), ..derived("") }, "error-from-unread");
    let itself = Source::new("mld/model.yaml", "anyflow: 1\nname: a\nfrom: model.yaml\n");
    refused(&itself, "error-from-itself");
}

const VOCABULARY: &str = "vocabulary: [\"\", zero, one, two, three, four, five, six, seven, eight, nine]";
const WORDS: &str = "\nzero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";

fn words(text: &str) -> Source {
    let words = Source::new("mld/words.txt", text);
    Source { includes: vec![words], ..whole(VOCABULARY, "vocabulary: words.txt") }
}

#[test]
fn a_file_of_words_stands_for_its_lines() {
    let written = plan(&file("model.yaml"));
    let read = plan(&words(WORDS));
    assert_eq!(written, read, "by content");
    assert_eq!(plan(&words(&WORDS.replace('\n', "\r\n"))), written);
    assert_ne!(plan(&words(&WORDS.replace("nine", "nein"))), written);
}

#[test]
fn the_words_of_a_base_are_beside_the_base() {
    let base = words(WORDS);
    let words = Source::new("mld/small/../words.txt", WORDS);
    let base = Source { path: "mld/small/../model.yaml".into(), includes: vec![words], ..base };
    let derived = Source { includes: vec![base], ..derived("") };
    assert_eq!(plan(&derived).streams, plan(&file("model.yaml")).streams);
}

#[test]
fn words_that_cannot_be_used_are_refused() {
    refused(&words(&WORDS.replace("nine", "zero")), "error-words-repeat");
    refused(&words("one\n"), "error-words-few");
    refused(&Source { includes: Vec::new(), ..words(WORDS) }, "error-words-unread");
}

#[test]
fn classes_may_be_a_file_of_words() {
    let case = Case::of("judges.yaml");
    let inline =
        "class: digits.label, classes: [\"0\", \"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\"]}";
    let inline = case.edit("class: digits.label}", inline);
    let mut named = Case::of("judges.yaml").edit("class: digits.label}", "class: digits.label, classes: digits.txt}");
    let digits: String = (0..10).map(|digit| format!("{digit}\n")).collect();
    named.main.includes.push(Source::new("mld/digits.txt", digits));
    let data = |case: &Case| match case.compile().map_err(|errors| errors.render(&[&case.main], false)).unwrap().0 {
        Job::Train(plan) => plan.data,
        other => panic!("no training: {other:?}"),
    };
    assert_eq!(data(&inline), data(&named));
    named.main.includes[0].text.push_str("9\n");
    named.check("error-classes-repeat");
}

#[test]
fn files_that_are_parts_are_found_in_the_text() {
    let found = includes(&derived("streams: {text: {codec: {use: text/words, vocabulary: words.txt, length: 4}}}\n"));
    let wanted = Includes {
        base: Some("mld/small/../model.yaml".into()),
        words: vec!["mld/small/words.txt".into()],
        ..Includes::default()
    };
    assert_eq!(found, wanted);
    assert_eq!(includes(&file("joint.yaml")), Includes::default());
    assert_eq!(includes(&Source::new("a.yaml", "{")), Includes::default());
}

const STEPS: &str = "steps: 20000";

#[test]
fn weights_are_kept_after_steps_that_the_stage_takes() {
    let kept = Case::of("train.yaml").edit(STEPS, "steps: 20000\n    keep: [750, 1500]");
    let Ok((Job::Train(plan), _)) = kept.compile() else { panic!("{}", kept.said()) };
    assert_eq!(plan.stages.last().unwrap().options.keep(), [750, 1500]);
    let (plain, _) = Case::of("train.yaml").compile().unwrap();
    let text = serde_json::to_string(&plain).unwrap();
    assert!(!text.contains("\"keep\""), "a training without it is the job that it was");

    let refused =
        |keep: &str, name| Case::of("train.yaml").edit(STEPS, &format!("{STEPS}\n    keep: {keep}")).check(name);
    refused("[750, 750, 20000]", "error-keep");
    refused("750", "error-keep-form");
    let statistics = "objective: {kind: statistics}";
    Case::of("train.yaml").edit(statistics, &format!("{statistics}\n    keep: [5]")).check("warn-keep");
}
