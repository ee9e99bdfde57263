//! Batch jobs and long runs: watched, found again after a reload, cancelled.

use anyflow_tests::{Browser, Server, write_digits};
use serde_json::json;

use crate::{CARD, PIPELINES, choose, is_clean, ready, shoot, url};

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
