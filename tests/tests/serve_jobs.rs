//! Batch jobs of `anyflow serve`, and runs that leave inputs out: real servers, engines and processes of jobs.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyflow_datasets::{Cell, Dataset};
use anyflow_tests::{Server, anyflow, digit_png, files_below, wait_for, write_digits};
use serde_json::{Value, json};

const SPEAK: &str = "pipelines/mld/image-to-audio-text.yaml";
const CLASSIFY: &str = "pipelines/mld/image-audio-to-label.yaml";
const JOINT: &str = "pipelines/mld/joint.yaml";
/// Batches of one size, so that both sides have the same bytes.
const BATCH: [&str; 2] = ["--batch-rows", "8"];

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with 12 digits in `data/digits`.
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.path("data")).unwrap();
        write_digits(&place.path("data/digits"), 12);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    fn server(&self, pipelines: &[&str], more: &[&str]) -> Server {
        let (data, jobs) = (self.text("data"), self.text("jobs"));
        let arguments = [&["--data", &data, "--jobs", &jobs][..], &BATCH, more].concat();
        Server::start(&self.path("state"), pipelines, &arguments)
    }
}

fn is_over(job: &Value) -> bool {
    !matches!(job["state"].as_str(), Some("queued" | "running"))
}

/// The texts of a column.
fn texts(paths: &[PathBuf], name: &str) -> Vec<String> {
    let dataset = Dataset::open(paths).unwrap();
    let mut found = Vec::new();
    for batch in dataset.read(Some(&[name]), 0..dataset.rows(), 1024).unwrap() {
        let cells = dataset.cells(&batch.unwrap().rows, name).unwrap();
        found.extend((0..cells.len()).map(|row| match cells.get(row).unwrap() {
            Some(Cell::Utf8(text)) => text.to_string(),
            other => format!("{other:?}"),
        }));
    }
    found
}

#[test]
fn a_job_makes_the_files_of_anyflow_run() {
    let place = Place::new();
    let server = place.server(&[SPEAK], &[]);
    let listed = server.http.get("/v1/datasets").json();
    let names: Vec<_> = listed["datasets"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert!(listed["offered"] == true && names.contains(&&json!("digits")), "{listed}");

    let job = json!({"pipeline": "image-to-audio-text", "data": "digits", "seed": 3, "set": {"joint.sampler.steps": 5}, "keep": ["label"]});
    let path = server.submit_job(&job);
    let mut heard: Vec<(String, Value)> = Vec::new();
    server.http.events(&format!("{path}/events"), |name, data| {
        heard.push((name.to_string(), data));
        true
    });
    let (last, done) = heard.last().unwrap();
    assert_eq!(
        (last.as_str(), &done["state"], &done["rows"], &done["failed"]),
        ("done", &json!("done"), &json!(12), &json!(0)),
        "{done}"
    );
    let told = heard.iter().find(|(name, _)| name == "progress").expect("progress");
    assert_eq!(told.1["total"], 12);
    assert!(done["result"].get("output").is_none(), "{done}");

    // The bytes are those of the same command by hand.
    let (input, output) = (place.text("data/digits"), place.text("by-hand"));
    let command =
        ["run", SPEAK, "--input", &input, "--output", &output, "--seed", "3", "--set", "joint.sampler.steps=5"];
    anyflow([&command[..], &["--keep", "label", "--threads", "1"], &BATCH].concat()).ok();
    let expected = files_below(&place.path("by-hand/data"), "parquet");
    let files = done["files"].as_array().unwrap();
    assert_eq!(files.len(), expected.len());
    for (file, expected) in files.iter().zip(&expected) {
        let response = server.http.get(file["url"].as_str().unwrap());
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/vnd.apache.parquet")));
        assert!(response.body == std::fs::read(expected).unwrap(), "{file} differs from {}", expected.display());
    }
    for file in ["none.parquet", "..%2f..%2fjob.json", "job.json", "..%2fpipeline.yaml"] {
        assert_eq!(server.http.get(&format!("{path}/files/{file}")).status, 404, "{file}");
    }
    // A pipeline without inputs generates rows.
    assert_eq!(server.http.get("/v1/jobs").json()["jobs"][0]["id"], done["id"]);
}

#[test]
fn a_job_survives_the_death_of_the_server_and_of_its_process() {
    let place = Place::new();
    let server = place.server(&[JOINT], &[]);
    let job = json!({"pipeline": "joint", "rows": 24, "set": {"joint.sampler.steps": 400}});
    let path = server.submit_job(&job);
    let waiting = server.submit_job(&json!({"pipeline": "joint", "rows": 2, "set": {"joint.sampler.steps": 2}}));
    server.wait_job(&path, |job| job["state"] == "running");
    assert_eq!(server.http.get(&waiting).json()["place"], 1);
    wait_for("the process of the job", || !server.jobs().is_empty());
    let process = server.jobs()[0];
    Server::kill(server.id());
    wait_for("the process of the job to end with its server", || !Path::new(&format!("/proc/{process}/exe")).exists());
    drop(server);
    let server = place.server(&[JOINT], &[]);
    // Its process dies as well; the job has come no row further twice, but the first death was the server's.
    let done = server.wait_job(&path, is_over);
    assert_eq!((&done["state"], &done["attempts"], &done["rows"]), (&json!("done"), &json!(2), &json!(24)), "{done}");
    let folder = place.path("jobs").join(done["id"].as_str().unwrap());
    let texts = texts(&files_below(&folder.join("data"), "parquet"), "text");
    assert_eq!(texts.len(), 24);
    assert_eq!(server.wait_job(&waiting, is_over)["state"], "done");

    // A process that dies twice without a further row is quarantined.
    let path = server.submit_job(&json!({"pipeline": "joint", "rows": 64, "set": {"joint.sampler.steps": 1000}}));
    for attempt in 1..=2 {
        server.wait_job(&path, |job| job["attempts"] == attempt && job["state"] == "running");
        wait_for("the process of the job", || !server.jobs().is_empty());
        Server::kill(server.jobs()[0]);
        server.wait_job(&path, |job| job["attempts"] != attempt || job["state"] != "running");
    }
    let end = server.wait_job(&path, is_over);
    assert_eq!((&end["state"], &end["error"]["code"]), (&json!("quarantined"), &json!("quarantined")), "{end}");
}

#[test]
fn a_cancelled_job_ends_its_process() {
    let place = Place::new();
    let server = place.server(&[JOINT], &[]);
    let long = json!({"pipeline": "joint", "rows": 64, "set": {"joint.sampler.steps": 1000}});
    let (running, waiting) = (server.submit_job(&long), server.submit_job(&long));
    wait_for("the process of the job", || !server.jobs().is_empty());
    assert_eq!(server.http.delete(&waiting).json()["state"], "cancelled");
    let cancelled = Instant::now();
    server.http.delete(&running);
    assert_eq!(server.wait_job(&running, is_over)["state"], "cancelled");
    assert!(cancelled.elapsed() < Duration::from_secs(20) && server.jobs().is_empty());
    assert_eq!(server.http.get(&format!("{running}/files/x")).status, 409);
    assert_eq!(server.http.delete(&running).status, 200);
}

#[test]
fn bad_jobs_are_refused_with_a_code_and_no_path() {
    let place = Place::new();
    std::os::unix::fs::symlink("/etc", place.path("data/out")).unwrap();
    std::fs::write(place.path("data/broken.parquet"), "PAR1").unwrap();
    let server = place.server(&[SPEAK, JOINT], &["--max-job-rows", "20", "--max-steps", "50"]);
    let speak = |data: &str| json!({"pipeline": "image-to-audio-text", "data": data});
    let absolute = place.text("data/digits");
    let mut cases = vec![
        (json!({"pipeline": "none"}), 404, "unknown-pipeline"),
        (json!({"pipeline": "joint"}), 400, "missing-rows"),
        (json!({"pipeline": "joint", "rows": 0}), 400, "no-rows"),
        (json!({"pipeline": "joint", "rows": 21}), 400, "too-many-rows"),
        (json!({"pipeline": "joint", "rows": 1, "data": "digits"}), 400, "no-inputs"),
        (json!({"pipeline": "joint", "rows": 1, "output": "/x"}), 400, "json"),
        (json!({"pipeline": "joint", "rows": 1, "set": {"joint.sampler.steps": 51}}), 400, "too-many-steps"),
        (json!({"pipeline": "joint", "rows": 1, "set": {"model": "/etc/passwd"}}), 400, "bad-change"),
        (json!({"pipeline": "joint", "rows": 1, "keep": ["a,b"]}), 400, "bad-columns"),
        (json!({"pipeline": "image-to-audio-text"}), 400, "missing-data"),
        (speak("broken.parquet"), 400, "bad-dataset"),
    ];
    for name in ["", "..", "../data/digits", "/etc/passwd", "out/passwd", &absolute, "digits/../../state", "none"] {
        cases.push((speak(name), 404, "unknown-dataset"));
    }
    let own = place.folder.path().to_str().unwrap();
    for (job, status, code) in &cases {
        let response = server.http.post("/v1/jobs", job);
        assert_eq!(
            (response.status, &response.json()["error"]["code"]),
            (*status, &json!(code)),
            "{job}: {}",
            response.text()
        );
        // What the client itself wrote may come back.
        assert!(job.to_string().contains(own) || !response.text().contains(own), "{}", response.text());
    }
    assert_eq!(server.http.request("POST", "/v1/jobs", "text/plain", b"{}").status, 415);
    assert_eq!((server.http.get("/v1/jobs/none").status, server.http.delete("/v1/jobs/none").status), (404, 404));
    // A column that is missing fails the job, and its message has no path either.
    let job = json!({"pipeline": "image-to-audio-text", "data": "digits", "where": "colour = 'red'"});
    let end = server.wait_job(&server.submit_job(&job), is_over);
    let message = end["error"]["message"].as_str().unwrap();
    assert!(end["state"] == "failed" && message.contains("colour") && !message.contains(own), "{end}");

    // Without --data there are no datasets, but pipelines without inputs run.
    drop(server);
    let server = Server::start(&place.path("other"), &[SPEAK, JOINT], &[]);
    assert_eq!(server.http.post("/v1/jobs", &speak("digits")).json()["error"]["code"], "no-data");
    let path = server.submit_job(&json!({"pipeline": "joint", "rows": 2, "set": {"joint.sampler.steps": 2}}));
    assert_eq!(server.wait_job(&path, is_over)["state"], "done");
}

#[test]
fn an_input_is_left_out_where_the_model_allows_it() {
    let place = Place::new();
    let pipelines =
        [CLASSIFY, "pipelines/codi/text-image-audio-to-image.yaml", "pipelines/diffdis/digits/classify.yaml"];
    let server = place.server(&pipelines, &[]);
    let listed = server.http.get("/v1/pipelines").json();
    let optional = |pipeline: usize| -> Vec<(String, bool)> {
        let inputs = listed["pipelines"][pipeline]["inputs"].as_array().unwrap();
        let of = |input: &Value| (input["name"].as_str().unwrap().to_string(), input["optional"].as_bool().unwrap());
        inputs.iter().map(of).collect()
    };
    let named = |names: &[(&str, bool)]| names.iter().map(|(name, is)| (name.to_string(), *is)).collect::<Vec<_>>();
    assert_eq!(optional(0), named(&[("image", true), ("sound", true)]));
    assert_eq!(optional(1), named(&[("text", true), ("image", true), ("audio", true)]));
    assert_eq!(optional(2), named(&[("image", false)]));

    let request = json!({"pipeline": "image-audio-to-label", "without": ["sound"], "set": {"joint.sampler.steps": 10}, "seed": 5});
    let images: Vec<Vec<u8>> = (0..3).map(|digit| digit_png(digit, 0)).collect();
    let text = request.to_string();
    let parts: Vec<(&str, Option<&str>, &[u8])> = std::iter::once(("run", None, text.as_bytes()))
        .chain(images.iter().map(|image| ("image", Some("a.png"), image.as_slice())))
        .collect();
    let accepted = server.http.post_form("/v1/runs", &parts);
    assert_eq!(accepted.status, 201, "{}", accepted.text());
    let id = accepted.json()["id"].as_str().unwrap().to_string();
    let run = server.end(&id);
    assert_eq!((&run["state"], &run["result"]["rows"]), (&json!("done"), &json!(3)), "{run}");

    // Its YAML, saved beside the pipeline, makes the same rows.
    let beside = place.path("mld");
    std::fs::create_dir(&beside).unwrap();
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld"));
    for name in ["model.yaml", "words.txt", "weights"] {
        std::os::unix::fs::symlink(std::fs::canonicalize(shipped).unwrap().join(name), beside.join(name)).unwrap();
    }
    let save = |path: String, name: &str| {
        let response = server.http.get(&path);
        assert_eq!(response.status, 200, "{}", response.text());
        std::fs::write(place.path(name), response.body).unwrap();
    };
    save(format!("/v1/runs/{id}/pipeline.yaml"), "mld/run.yaml");
    save(format!("/v1/runs/{id}/input.parquet"), "input.parquet");
    save(format!("/v1/runs/{id}/output.parquet"), "ours.parquet");
    let (yaml, input, output) = (place.text("mld/run.yaml"), place.text("input.parquet"), place.text("theirs"));
    anyflow(["run", &yaml, "--input", &input, "--output", &output]).ok();
    let theirs = files_below(&place.path("theirs/data"), "parquet");
    assert_eq!(texts(&[place.path("ours.parquet")], "label"), texts(&theirs, "label"));

    // Without all inputs, rows are counted.
    let all = json!({"pipeline": "text-image-audio-to-image", "without": ["text", "image", "audio"], "rows": 2, "set": {"made.sampler.steps": 2}});
    let run = server.end(&server.submit(&all));
    assert_eq!((&run["state"], &run["result"]["rows"]), (&json!("done"), &json!(2)), "{run}");
    let refused = server.http.post("/v1/runs", &json!({"pipeline": "classify", "without": ["image"]}));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("needed-input")));
    // A job leaves it out as well.
    let job = json!({"pipeline": "image-audio-to-label", "data": "digits", "without": ["image"], "set": {"joint.sampler.steps": 2}});
    let done = server.wait_job(&server.submit_job(&job), is_over);
    assert_eq!((&done["state"], &done["rows"]), (&json!("done"), &json!(12)), "{done}");
}
