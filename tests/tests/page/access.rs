//! Names of controls, the keyboard, and the token.

use anyflow_tests::{Browser, Server};
use serde_json::json;

use crate::{CARD, PIPELINES, choose, is_clean, ready, run, shoot, url};

#[test]
fn every_control_has_a_name_and_the_keyboard_reaches_it() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &PIPELINES, &[]);
    let mut browser = Browser::open(&program, &url(&server), 1280, 900);
    browser
        .call("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}));
    ready(&mut browser);
    browser.value("document.querySelector('#advanced').open = true");
    for name in ["image-to-audio-text", "label-to-image-audio", "trajectory-to-image", "joint"] {
        choose(&mut browser, name);
        let tree = browser.call("Accessibility.getFullAXTree", json!({}));
        let controls = ["button", "textbox", "spinbutton", "combobox", "slider", "checkbox", "image", "link"];
        let mut named = 0;
        for node in tree["nodes"].as_array().unwrap() {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            if node["ignored"] == false && controls.contains(&role) {
                named += 1;
                assert_ne!(node["name"]["value"], "", "{name}: a {role} without a name");
            }
        }
        assert!(named > 5, "{name}: {named} controls");
    }
    shoot(&mut browser, "dark");
    // Tab by tab, the focus comes to the button that runs.
    browser.value("document.querySelector('#pipeline').focus()");
    let mut reached = Vec::new();
    while reached.last().map(String::as_str) != Some("run") && reached.len() < 40 {
        for kind in ["keyDown", "keyUp"] {
            browser.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}),
            );
        }
        reached.push(browser.value("document.activeElement.id").as_str().unwrap_or_default().to_string());
    }
    assert_eq!(reached.last().map(String::as_str), Some("run"), "{reached:?}");
    for kind in ["keyDown", "keyUp"] {
        let enter = json!({"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        browser.call("Input.dispatchKeyEvent", enter);
    }
    browser.wait(&format!("{CARD}?.dataset.state === 'done'"));
    is_clean(&browser, &server);
}

#[test]
fn the_page_asks_for_the_token() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a secret of the test").unwrap();
    let arguments = ["--token-file", token.to_str().unwrap()];
    let server = Server::start(&folder.path().join("state"), &PIPELINES[..1], &arguments);
    let mut browser = Browser::open(&program, &url(&server), 1280, 900);
    browser.wait("document.querySelector('#token')?.open");
    browser.value(
        "document.querySelector('#secret').value = 'a secret of the test'; document.querySelector('#enter').click()",
    );
    ready(&mut browser);
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));
    browser.wait(&format!("[...{CARD}.querySelectorAll('img')].some(image => image.naturalWidth === 28)"));
}
