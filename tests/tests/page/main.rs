//! The page of `anyflow serve` in a headless browser.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod access;
mod families;
mod jobs;
mod modalities;

use std::path::Path;

use anyflow_tests::{Browser, Server};
use serde_json::{Value, json};

const PIPELINES: [&str; 4] = [
    "pipelines/mld/joint.yaml",
    "pipelines/mld/image-to-audio-text.yaml",
    "pipelines/mld/label-to-image-audio.yaml",
    "pipelines/mld/trajectory/trajectory-to-image.yaml",
];

/// The latest run on the page, by its card.
const CARD: &str = "document.querySelector('.run')";

fn url(server: &Server) -> String {
    format!("http://{}/", server.http.address)
}

fn ready(browser: &mut Browser) {
    browser.wait("document.body?.dataset.ready === 'yes'");
}

fn choose(browser: &mut Browser, name: &str) {
    browser.value(&format!(
        "(() => {{ const list = document.querySelector('#pipeline'); list.value = {}; \
         list.dispatchEvent(new Event('change')); }})()",
        json!(name)
    ));
}

/// Runs the form, and waits for the end of the run.
fn run(browser: &mut Browser) -> Value {
    let before = browser.value("document.querySelectorAll('.run').length").as_u64().unwrap();
    browser.value("document.querySelector('#run').click()");
    browser.wait(&format!(
        "document.querySelectorAll('.run').length > {before} || document.querySelector('#problem').textContent"
    ));
    browser.wait(&format!(
        "['done', 'failed'].includes({CARD}?.dataset.state) || document.querySelector('#problem').textContent"
    ));
    browser
        .value(&format!("({{state: {CARD}?.dataset.state, problem: document.querySelector('#problem').textContent}})"))
}

/// Nothing went wrong, and nothing left this machine.
#[track_caller]
fn is_clean(browser: &Browser, server: &Server) {
    assert!(browser.errors().is_empty(), "{:?}", browser.errors());
    let own = url(server);
    let is_own = |asked: &&str| asked.starts_with(&own) || asked.starts_with("data:") || asked.starts_with("blob:");
    let foreign: Vec<_> =
        browser.requests().into_iter().filter(|asked| !is_own(asked) && *asked != "about:blank").collect();
    assert_eq!(foreign, Vec::<&str>::new());
}

/// Writes a screenshot into the folder that `ANYFLOW_SCREENSHOTS` names, to be looked at.
fn shoot(browser: &mut Browser, name: &str) {
    let shot = browser.screenshot();
    assert!(shot.len() > 1000, "the window is not empty");
    if let Some(folder) = std::env::var_os("ANYFLOW_SCREENSHOTS") {
        let bytes = decoded(&shot);
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

fn decoded(base64: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = base64.bytes().filter(|letter| *letter != b'=').map(value).collect();
    let bytes = |chunk: &[u8]| -> Vec<u8> {
        let word = chunk.iter().fold(0u32, |word, six| word << 6 | u32::from(*six)) << (6 * (4 - chunk.len()));
        word.to_be_bytes()[1..chunk.len()].to_vec()
    };
    letters.chunks(4).flat_map(bytes).collect()
}

/// Chooses a file for the first control of files.
fn give(browser: &mut Browser, file: &Path) {
    let document = browser.call("DOM.getDocument", json!({}));
    let input = json!({"nodeId": document["root"]["nodeId"], "selector": "input[type=file]"});
    let input = browser.call("DOM.querySelector", input);
    browser.call("DOM.setFileInputFiles", json!({"files": [file], "nodeId": input["nodeId"]}));
}
