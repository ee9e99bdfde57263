//! Every family of shipped pipelines, a published model among them.

use anyflow_tests::{Browser, Server, TinyFolder, anyflow, digit_png};
use serde_json::json;

use crate::{CARD, choose, give, is_clean, ready, run, shoot, url};

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
fn a_published_model_runs_from_the_page() {
    let Some(program) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Stable Diffusion 1.5 with few channels, as an adopted folder of diffusers.
    let published = TinyFolder::read("sd15");
    published.write(&at("sd15"));
    anyflow(["adopt".into(), at("sd15"), "--output".into(), at("sd15.yaml")]).ok();
    published.write_weights(&at("sd15"), &at("sd15.yaml"));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/pretrained/text-to-image.yaml");
    std::fs::copy(shipped, at("text-to-image.yaml")).unwrap();
    let server = Server::start(&at("state"), &[at("text-to-image.yaml").to_str().unwrap()], &[]);
    let mut browser = Browser::open(&program, &url(&server), 1280, 900);
    ready(&mut browser);
    browser.value("document.querySelector('#inputs textarea').value = 'a red cat'");
    assert_eq!(run(&mut browser), json!({"state": "done", "problem": ""}));
    browser.wait(&format!("[...{CARD}.querySelectorAll('.output img')].some(image => image.naturalWidth === 8)"));
    assert!(browser.value(&format!("Number({CARD}.dataset.previews ?? 0)")).as_u64().unwrap() > 0, "no preview came");
    shoot(&mut browser, "published");
    is_clean(&browser, &server);
}
