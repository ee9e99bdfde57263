//! Every kind of input and output.

use anyflow_tests::{Browser, Server, digit_png};
use serde_json::json;

use crate::{CARD, PIPELINES, choose, give, is_clean, ready, run, shoot, url};

#[test]
fn every_kind_of_pipeline_runs_from_the_page() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("state"), &PIPELINES, &[]);
    let mut browser = Browser::open(&program, &url(&server), 1280, 900);
    ready(&mut browser);

    // All modalities from noise, with previews.
    browser.value("document.querySelector('#count').value = 4");
    browser.value("document.querySelector('#advanced').open = true");
    // Long enough for previews on a busy machine.
    let steps = "[...document.querySelectorAll('#options label')].find(label => label.textContent === 'joint: steps')";
    browser.value(&format!("{steps}.control.value = 600"));
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));
    let shown = |tag: &str| format!("{CARD}.querySelectorAll('.output {tag}').length");
    browser.wait(&format!("{} === 4 && {} === 4 && {} === 4", shown("img"), shown("audio"), shown(".text")));
    assert!(browser.value(&format!("Number({CARD}.dataset.previews ?? 0)")).as_u64().unwrap() > 0, "no preview came");
    browser.wait(&format!(
        "[...{CARD}.querySelectorAll('img')].every(image => image.complete && image.naturalWidth === 28)"
    ));
    shoot(&mut browser, "wide");

    // A file.
    choose(&mut browser, "image-to-audio-text");
    browser.value("document.querySelector('#count').value = 1");
    assert_eq!(run(&mut browser)["problem"], "\"image\" is empty");
    let digit = folder.path().join("digit.png");
    std::fs::write(&digit, digit_png(7, 0)).unwrap();
    give(&mut browser, &digit);
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));

    // A class, and strokes drawn with the mouse.
    choose(&mut browser, "label-to-image-audio");
    browser.value("document.querySelector('#inputs select').value = 5");
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));
    choose(&mut browser, "trajectory-to-image");
    draw(&mut browser);
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));
    browser.wait(&format!("{} === 1", shown("img")));

    // The command repeats the run.
    let buttons = format!("[...{CARD}.querySelectorAll('button')].map(button => button.textContent).join()");
    browser.wait(&format!("!{buttons}.includes('Cancel')"));
    let command = browser.value(&buttons);
    for button in ["Download Parquet", "Copy command", "Copy YAML", "Download input", "Use its options"] {
        assert!(command.as_str().unwrap().contains(button), "{button} is missing in {command}");
    }
    is_clean(&browser, &server);
}

/// Draws a line over the canvas.
fn draw(browser: &mut Browser) {
    browser.value("document.querySelector('#inputs canvas').scrollIntoView({block: 'center'})");
    let place = browser.value(
        "(() => { const box = document.querySelector('#inputs canvas').getBoundingClientRect(); \
         return [box.left + box.width / 2, box.top + 10, box.height - 20]; })()",
    );
    let [x, top, height] = [0, 1, 2].map(|index| place[index].as_f64().unwrap());
    let mut mouse = |kind: &str, y: f64| {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
        browser.call("Input.dispatchMouseEvent", event);
    };
    mouse("mousePressed", top);
    (1..=20).for_each(|step| mouse("mouseMoved", top + height * f64::from(step) / 20.0));
    mouse("mouseReleased", top + height);
}
