//! The page of `anyflow serve` in a headless browser.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_tests::{Browser, Server, digit_png, write_digits};
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

/// Chooses a file for the first control of files.
fn give(browser: &mut Browser, file: &Path) {
    let document = browser.call("DOM.getDocument", json!({}));
    let input = json!({"nodeId": document["root"]["nodeId"], "selector": "input[type=file]"});
    let input = browser.call("DOM.querySelector", input);
    browser.call("DOM.setFileInputFiles", json!({"files": [file], "nodeId": input["nodeId"]}));
}

#[test]
fn every_family_runs_from_the_page() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pipelines = [
        "pipelines/codi/text-image-audio-to-image.yaml",
        "pipelines/codi/text-to-video.yaml",
        "pipelines/mt-diffusion/image-label/label-to-image.yaml",
        "pipelines/mt-diffusion/transition/line-to-image.yaml",
        "pipelines/diffdis/digits/text-to-image.yaml",
        "pipelines/diffdis/digits/classify.yaml",
    ];
    let server = Server::start(&folder.path().join("state"), &pipelines, &[]);
    let mut browser = Browser::open(&program, &url(&server), 1280, 900);
    ready(&mut browser);
    let done = json!({"state": "done", "problem": ""});
    let shown = |tag: &str| format!("{CARD}.querySelectorAll('.output {tag}').length > 0");
    let type_text = |text: &str| format!("document.querySelector('#inputs textarea').value = {}", json!(text));
    let digit = folder.path().join("digit.png");
    std::fs::write(&digit, digit_png(4, 0)).unwrap();

    // CoDi: two of three inputs are left out.
    choose(&mut browser, "text-image-audio-to-image");
    browser.value(&type_text("four"));
    for name in ["image", "audio"] {
        browser.value(&format!("document.querySelector('#without-{name}').click()"));
    }
    assert_eq!(run(&mut browser), done);
    browser.wait(&shown("img"));
    let request = server.http.get("/v1/runs").json()["runs"][0]["request"].clone();
    assert_eq!(request["without"], json!(["image", "audio"]));
    let copy = format!("[...{CARD}.querySelectorAll('button')].find(button => button.textContent === 'Copy YAML')");
    browser.wait(&format!("Boolean({copy})"));
    browser.value(&format!("{copy}.click()"));
    browser.wait(&format!("{CARD}.querySelector('.note')?.textContent"));
    choose(&mut browser, "text-to-video");
    browser.value(&type_text("seven"));
    assert_eq!(run(&mut browser), done);
    browser.wait(&format!("{} || {}", shown("video"), shown("img")));

    // MT-Diffusion.
    choose(&mut browser, "label-to-image");
    browser.value("document.querySelector('#inputs select').value = 3");
    assert_eq!(run(&mut browser), done);
    browser.wait(&shown("img"));
    choose(&mut browser, "line-to-image");
    give(&mut browser, &digit);
    assert_eq!(run(&mut browser), done);
    browser.wait(&shown("img"));

    // DiffDis.
    choose(&mut browser, "text-to-image");
    browser.value(&type_text("a red three left"));
    assert_eq!(run(&mut browser), done);
    browser.wait(&shown("img"));
    choose(&mut browser, "classify");
    assert_eq!(browser.value("document.querySelectorAll('[id^=without-]').length"), 0);
    give(&mut browser, &digit);
    assert_eq!(run(&mut browser), done);
    browser.wait(&shown(".text"));
    shoot(&mut browser, "families");
    is_clean(&browser, &server);
}

#[test]
fn a_job_is_submitted_watched_and_cancelled_from_the_page() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    write_digits(&data.join("digits"), 6);
    let arguments = ["--data", data.to_str().unwrap()];
    let server = Server::start(&folder.path().join("state"), &PIPELINES[..2], &arguments);
    let mut browser = Browser::open(&program, &url(&server), 390, 844);
    ready(&mut browser);
    const JOB: &str = "document.querySelector('.job')";
    choose(&mut browser, "image-to-audio-text");
    browser.value("document.querySelector('#batch').open = true");
    browser.value("document.querySelector('#data').value = 'digits'");
    let steps = |steps: u32| {
        let label =
            "[...document.querySelectorAll('#options label')].find(label => label.textContent === 'joint: steps')";
        format!("{label}.control.value = {steps}")
    };
    browser.value(&steps(5));
    browser.value("document.querySelector('#start').click()");
    browser.wait(&format!("{JOB}?.dataset.state === 'done'"));
    browser
        .wait(&format!("[...{JOB}.querySelectorAll('button')].some(button => button.textContent.includes('6 rows'))"));
    shoot(&mut browser, "job");
    // A generating job is found again after a reload, and cancelled.
    choose(&mut browser, "joint");
    browser.value("document.querySelector('#batch').open = true");
    assert_eq!(browser.value("document.querySelector('#data').closest('p').hidden"), true);
    browser.value(&steps(1000));
    browser.value("document.querySelector('#most').value = 64");
    browser.value("document.querySelector('#start').click()");
    browser.wait(&format!("{JOB}?.dataset.state === 'running'"));
    browser.call("Page.reload", json!({}));
    browser.wait(&format!("document.querySelectorAll('.job').length === 2 && {JOB}.dataset.state === 'running'"));
    browser.value(&format!(
        "[...{JOB}.querySelectorAll('button')].find(button => button.textContent === 'Cancel the job').click()"
    ));
    browser.wait(&format!("{JOB}.dataset.state === 'cancelled'"));
    assert!(browser.value("document.documentElement.scrollWidth <= window.innerWidth").as_bool().unwrap());
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

#[test]
fn a_run_is_cancelled_and_found_again_after_a_reload() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &PIPELINES[..1], &[]);
    let mut browser = Browser::open(&program, &url(&server), 390, 844);
    ready(&mut browser);
    let id = server
        .submit(&json!({"pipeline": "joint", "rows": 32, "set": {"joint.sampler.steps": 900}, "preview_steps": 20}));
    browser.call("Page.reload", json!({}));
    browser.wait(&format!("{CARD}?.dataset.run === {}", json!(id)));
    browser.wait(&format!("Number({CARD}.dataset.previews ?? 0) > 0"));
    assert!(
        browser.value("document.documentElement.scrollWidth <= window.innerWidth").as_bool().unwrap(),
        "too wide for a phone"
    );
    shoot(&mut browser, "phone");
    browser.call("Page.reload", json!({}));
    browser.wait(&format!("{CARD}?.dataset.run === {} && {CARD}.dataset.state === 'running'", json!(id)));
    browser.value(&format!(
        "[...{CARD}.querySelectorAll('button')].find(button => button.textContent === 'Cancel').click()"
    ));
    browser.wait(&format!("{CARD}.dataset.state === 'cancelled'"));
    assert_eq!(server.run(&id)["state"], "cancelled");
    is_clean(&browser, &server);
}

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
