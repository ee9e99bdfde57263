//! `anyflow serve`: real servers and engines, with shipped pipelines.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyflow_datasets::{Cell, CellColumn, Dataset, OwnedCell};
use anyflow_tests::{Http, Server, anyflow, digit_png, wait_for, write_columns};
use serde_json::{Value, json};

const JOINT: &str = "pipelines/mld/joint.yaml";
const SPEAK: &str = "pipelines/mld/image-to-audio-text.yaml";
/// Pixels of 8 bits as fractions of their range, from f32 values of the same row in another batch.
const PIXEL_TOLERANCE_F32: f64 = 5e-3;
/// Samples of a sound, likewise. Its phases are estimated by iterations that magnify differences.
const SAMPLE_TOLERANCE_F32: f64 = 5e-2;

fn state() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A long run: more rows and steps than any test waits for.
fn long() -> Value {
    json!({"pipeline": "joint", "rows": 64, "set": {"joint.sampler.steps": 1000}, "preview_steps": 0})
}

fn short() -> Value {
    json!({"pipeline": "joint", "rows": 2, "set": {"joint.sampler.steps": 5}})
}

/// The cells of a column of a file or folder.
fn column(path: &Path, name: &str) -> Vec<OwnedCell> {
    let dataset = Dataset::open(&[path.to_path_buf()]).unwrap();
    let mut cells = Vec::new();
    for batch in dataset.read(Some(&[name]), 0..dataset.rows(), 1024).unwrap() {
        let column: CellColumn = dataset.cells(&batch.unwrap().rows, name).unwrap();
        cells.extend((0..column.len()).map(|row| column.get(row).unwrap().map(Cell::into_owned).unwrap()));
    }
    cells
}

/// Numbers that a cell holds: pixels, samples, letters.
fn decoded(cell: &OwnedCell) -> Vec<f64> {
    match cell {
        OwnedCell::Bytes(bytes) if bytes.starts_with(b"RIFF") => {
            let samples = hound::WavReader::new(bytes.as_slice()).unwrap().into_samples::<i16>();
            samples.map(|sample| f64::from(sample.unwrap()) / 32768.0).collect()
        }
        OwnedCell::Bytes(bytes) => {
            image::load_from_memory(bytes).unwrap().to_luma8().iter().map(|pixel| f64::from(*pixel) / 255.0).collect()
        }
        OwnedCell::Utf8(text) => text.bytes().map(f64::from).collect(),
        OwnedCell::I64(number) => vec![*number as f64],
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn same_rows(ours: &Path, theirs: &Path, names: &[&str]) {
    for name in names {
        let (ours, theirs) = (column(ours, name), column(theirs, name));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (row, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let (ours, theirs) = (decoded(ours), decoded(theirs));
            assert_eq!(ours.len(), theirs.len(), "{name} of row {row}");
            let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let tolerance = if *name == "audio" { SAMPLE_TOLERANCE_F32 } else { PIXEL_TOLERANCE_F32 };
            assert!(worst <= tolerance, "{name} of row {row}: {worst}");
        }
    }
}

fn save(server: &Server, path: &str, to: &Path) {
    let response = server.http.get(path);
    assert_eq!(response.status, 200, "{}", response.text());
    std::fs::write(to, response.body).unwrap();
}

#[test]
fn rows_are_those_of_anyflow_run() {
    let folder = state();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let server = Server::start(&path("state"), &[JOINT, SPEAK], &[]);

    // From noise alone, by JSON, while another run shares its batches.
    let other = server.submit(&json!({"pipeline": "joint", "rows": 5, "seed": 1}));
    let id = server.submit(&json!({"pipeline": "joint", "rows": 3, "seed": 7, "set": {"joint.sampler.steps": 20}}));
    let run = server.end(&id);
    assert_eq!((&run["state"], &run["result"]["rows"]), (&json!("done"), &json!(3)), "{run}");
    save(&server, &format!("/v1/runs/{id}/output.parquet"), &path("ours.parquet"));
    let steps = ["--set", "joint.sampler.steps=20"];
    let output = path("theirs");
    let output = output.to_str().unwrap();
    anyflow([&["run", JOINT, "--rows", "3", "--seed", "7", "--output", output][..], &steps].concat()).ok();
    same_rows(&path("ours.parquet"), &path("theirs"), &["image", "audio", "text", "label"]);
    assert_eq!(server.end(&other)["state"], "done");

    // From files, by a form; then by JSON; then by `anyflow run` from the input that the server gives back.
    let digits = [digit_png(3, 0), digit_png(8, 1)];
    let request = json!({"pipeline": "image-to-audio-text"}).to_string();
    let parts =
        [("run", None, request.as_bytes()), ("image", Some("a.png"), &digits[0]), ("image", Some("b"), &digits[1])];
    let accepted = server.http.post_form("/v1/runs", &parts);
    assert_eq!(accepted.status, 201, "{}", accepted.text());
    let form = accepted.json()["id"].as_str().unwrap().to_string();
    assert_eq!(accepted.header("location"), Some(format!("/v1/runs/{form}").as_str()));
    assert_eq!(server.end(&form)["state"], "done");
    save(&server, &format!("/v1/runs/{form}/output.parquet"), &path("form.parquet"));
    let cells: Vec<Value> = digits.iter().map(|png| json!({"image": {"base64": base64(png)}})).collect();
    let by_json = server.submit(&json!({"pipeline": "image-to-audio-text", "rows": cells}));
    assert_eq!(server.end(&by_json)["state"], "done");
    save(&server, &format!("/v1/runs/{by_json}/output.parquet"), &path("json.parquet"));
    same_rows(&path("form.parquet"), &path("json.parquet"), &["audio", "text"]);
    save(&server, &format!("/v1/runs/{form}/input.parquet"), &path("input.parquet"));
    let (input, output) = (path("input.parquet"), path("spoken"));
    anyflow(["run", SPEAK, "--input", input.to_str().unwrap(), "--output", output.to_str().unwrap()]).ok();
    same_rows(&path("form.parquet"), &path("spoken"), &["audio", "text"]);
}

/// Standard base64.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letter = |place: usize| char::from(LETTERS[(word >> (18 - 6 * place) & 63) as usize]);
        text.extend((0..4).map(|place| if place <= chunk.len() { letter(place) } else { '=' }));
    }
    text
}

#[test]
fn followers_hear_steps_and_see_previews_of_every_output() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT], &[]);
    let id = server
        .submit(&json!({"pipeline": "joint", "rows": 2, "set": {"joint.sampler.steps": 60}, "preview_steps": 10}));
    let mut heard: Vec<(String, Value)> = Vec::new();
    server.http.events(&format!("/v1/runs/{id}/events"), |name, data| {
        heard.push((name.to_string(), data));
        true
    });
    let of = |name: &str| heard.iter().filter(|(found, _)| found == name).map(|(_, data)| data).collect::<Vec<_>>();
    let (last, done) = heard.last().unwrap();
    assert_eq!((last.as_str(), &done["state"], &done["result"]["rows"]), ("done", &json!("done"), &json!(2)));
    assert!(of("node").iter().any(|data| data["node"] == "joint"), "{heard:?}");
    assert!(of("step").iter().all(|data| data["steps"] == 60 && data["rows"] == 2), "{heard:?}");
    let previews = of("preview");
    let preview = previews.first().expect("a preview");
    assert_eq!((&preview["node"], preview["step"].as_u64().unwrap() % 10), (&json!("joint"), 0));
    let outputs = &preview["outputs"];
    assert_eq!(
        (&outputs["image"][1]["media"], &outputs["audio"][0]["media"]),
        (&json!("image/png"), &json!("audio/wav"))
    );
    assert!(outputs["text"][0]["text"].is_string() && outputs["label"][0]["number"].is_u64(), "{preview}");
    // A follower that comes late hears the end alone.
    let mut late = Vec::new();
    server.http.events(&format!("/v1/runs/{id}/events"), |name, _| {
        late.push(name.to_string());
        true
    });
    assert_eq!(late, ["state", "done"]);

    let run = server.run(&id);
    let image = &run["outputs"]["image"][0];
    let cell = server.http.get(image["url"].as_str().unwrap());
    assert_eq!(
        (cell.header("content-type"), cell.body.len() as u64),
        (Some("image/png"), image["bytes"].as_u64().unwrap())
    );
    assert!(cell.header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(server.http.get(&format!("/v1/runs/{id}/outputs/image/2")).status, 404);
}

#[test]
fn a_cancelled_run_leaves_the_engine_within_a_step() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT], &["--max-running", "1"]);
    let running = server.submit(&long());
    let waiting = server.submit(&short());
    let row_steps = || {
        let text = server.http.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with("anyflow_row_steps_total"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).unwrap_or(0)
    };
    wait_for("the first steps", || row_steps() > 64);
    assert_eq!(server.run(&waiting)["place"], 1);
    assert_eq!(server.http.delete(&format!("/v1/runs/{waiting}")).json()["state"], "cancelled");
    let cancelled = Instant::now();
    let answer = server.http.delete(&format!("/v1/runs/{running}"));
    // The engine may be quicker than the answer.
    let expected = if answer.json()["state"] == "cancelled" { 200 } else { 202 };
    assert_eq!(answer.status, expected);
    assert_eq!(server.end(&running)["state"], "cancelled");
    assert!(cancelled.elapsed() < Duration::from_secs(10));
    let at_end = row_steps();
    std::thread::sleep(Duration::from_millis(300));
    // The step that was under way, with its guidance branches, may have been counted meanwhile.
    assert!(row_steps() - at_end <= 64 * 5 && at_end < 64 * 1000, "{at_end}");
    // Nothing changes a run that is over.
    assert_eq!(server.http.delete(&format!("/v1/runs/{running}")).status, 200);
    let after = server.submit(&short());
    assert_eq!(server.end(&after)["state"], "done");
}

#[test]
fn a_run_survives_the_death_of_the_engine_once_and_is_quarantined_the_second_time() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT], &["--max-running", "2"]);
    let poison = server.submit(&long());
    let innocent = server.submit(&json!({"pipeline": "joint", "rows": 1, "set": {"joint.sampler.steps": 400}}));
    let begun = |attempts: u64| move |run: &Value| run["state"] == "running" && run["attempts"] == attempts;
    server.wait(&poison, begun(1));
    Server::kill(server.engine());
    // Suspected runs run alone: the first one first.
    server.wait(&poison, begun(2));
    let engine = server.engine();
    wait_for("the second engine to run it", || {
        let text = server.http.get("/metrics").text();
        text.lines().any(|line| line.starts_with("anyflow_network_calls_total") && !line.ends_with(" 0"))
    });
    Server::kill(engine);
    let end = server.end(&poison);
    assert_eq!(
        (&end["state"], &end["attempts"], &end["error"]["code"]),
        (&json!("quarantined"), &json!(2), &json!("quarantined"))
    );
    assert!(end["error"]["message"].as_str().unwrap().contains("signal 9"), "{end}");
    assert_eq!(server.end(&innocent)["state"], "done");
    let next = server.submit(&short());
    assert_eq!(server.end(&next)["state"], "done");
    assert_eq!(server.run(&poison)["state"], "quarantined");
    let metrics = server.http.get("/metrics").text();
    for line in
        ["anyflow_engine_ends_total 2", "anyflow_runs{state=\"quarantined\"} 1", "anyflow_runs{state=\"done\"} 2"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in:\n{metrics}");
    }
}

#[test]
fn queue_and_history_survive_the_death_of_the_server() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT], &["--max-running", "1"]);
    let done = server.submit(&short());
    let before = server.end(&done);
    let running = server.submit(&json!({"pipeline": "joint", "rows": 32, "set": {"joint.sampler.steps": 600}}));
    let waiting = server.submit(&short());
    server.wait(&running, |run| run["state"] == "running");
    let engine = server.engine();
    Server::kill(server.id());
    wait_for("the engine to end with its server", || !Path::new(&format!("/proc/{engine}/exe")).exists());
    drop(server);
    let server = Server::start(folder.path(), &[JOINT], &["--max-running", "1"]);
    let after = server.run(&done);
    assert_eq!((&after["state"], &after["outputs"]["label"]), (&json!("done"), &before["outputs"]["label"]));
    let [first, second] = [&running, &waiting].map(|id| server.end(id));
    assert_eq!(
        (&first["state"], &first["attempts"], &first["result"]["rows"]),
        (&json!("done"), &json!(2), &json!(32))
    );
    assert_eq!((&second["state"], &second["attempts"]), (&json!("done"), &json!(1)));
    // A second server may not use the same queue.
    let state = folder.path().to_str().unwrap();
    let refused = anyflow(["serve", JOINT, "--port", "0", "--state", state]);
    assert!(refused.code != 0 && !refused.err.contains("panicked"), "{}", refused.err);
}

#[test]
fn bad_requests_are_refused_with_a_code_and_no_path() {
    let folder = state();
    let limits = ["--max-rows", "4", "--max-steps", "50", "--max-upload", "64K"];
    let server = Server::start(folder.path(), &[JOINT, SPEAK], &limits);
    let png = base64(&digit_png(1, 0));
    let image = |cell: Value| json!({"pipeline": "image-to-audio-text", "rows": [{"image": cell}]});
    let joint = |more: Value| {
        let mut run = json!({"pipeline": "joint"});
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run
    };
    let cases = [
        (json!({"pipeline": "none"}), 404, "unknown-pipeline"),
        (json!({}), 400, "json"),
        (json!([]), 400, "json"),
        (joint(json!({"rows": 0})), 400, "no-rows"),
        (joint(json!({"rows": 5})), 400, "too-many-rows"),
        (joint(json!({"rows": -1})), 400, "json"),
        (joint(json!({"rowz": 1})), 400, "json"),
        (joint(json!({"seed": "a"})), 400, "json"),
        (joint(json!({"rows": [{"image": null}]})), 400, "unknown-input"),
        (joint(json!({"set": {"joint.sampler.steps": 51}})), 400, "too-many-steps"),
        (joint(json!({"set": {"model": "/etc/passwd"}})), 400, "bad-change"),
        (joint(json!({"set": {"image.decode": "a/b"}})), 400, "bad-change"),
        (joint(json!({"set": {"joint.observe": {}}})), 400, "bad-change"),
        (joint(json!({"set": {"joint.sampler.kind": "x".repeat(2000)}})), 400, "bad-change"),
        (image(json!("text")), 400, "bad-cell"),
        (image(json!({"base64": "!"})), 400, "bad-cell"),
        (json!({"pipeline": "image-to-audio-text"}), 400, "missing-input"),
        (json!({"pipeline": "image-to-audio-text", "rows": [{}]}), 400, "bad-cell"),
        (
            json!({"pipeline": "image-to-audio-text", "rows": [{"image": {"base64": png}, "b": 1}]}),
            400,
            "unknown-input",
        ),
    ];
    for (run, status, code) in &cases {
        let response = server.http.post("/v1/runs", run);
        assert_eq!(
            (response.status, &response.json()["error"]["code"]),
            (*status, &json!(code)),
            "{run}: {}",
            response.text()
        );
        assert!(!response.text().contains("/work") && !response.text().contains("pipelines/"), "{}", response.text());
    }
    let unknown = server.http.post("/v1/runs", &joint(json!({"set": {"joint.sampler.kind": "dimm"}})));
    assert!(unknown.status == 400 && unknown.text().contains("ddim"), "{}", unknown.text());
    // Requests that are no JSON of a run at all.
    let request =
        |method: &str, path: &str, media: &str, body: &[u8]| server.http.request(method, path, media, body).status;
    assert_eq!(request("POST", "/v1/runs", "text/plain", b"{}"), 415);
    assert_eq!(request("POST", "/v1/runs", "application/json", b"{"), 400);
    assert_eq!(request("POST", "/v1/runs", "application/json", b"\xff\xfe"), 400);
    assert_eq!(request("POST", "/v1/runs", "application/json", &vec![b' '; 100_000]), 413);
    assert_eq!(request("POST", "/v1/runs", "multipart/form-data", b""), 400);
    assert_eq!(request("POST", "/v1/runs", "multipart/form-data; boundary=x", b"--x\r\n\r\nno end"), 400);
    assert_eq!(server.http.post_form("/v1/runs", &[("image", None, b"x")]).json()["error"]["code"], "form");
    assert_eq!(
        server
            .http
            .post_form(
                "/v1/runs",
                &[("run", None, b"{\"pipeline\": \"image-to-audio-text\"}"), ("image", None, &[0; 100_000])]
            )
            .status,
        413
    );
    assert_eq!((request("PUT", "/v1/runs", "", b""), request("GET", "/none", "", b"")), (405, 404));
    assert_eq!((server.http.get("/v1/runs/none").status, server.http.delete("/v1/runs/none").status), (404, 404));
    assert_eq!(server.http.get("/v1/pipelines/..%2f..%2fetc/graph.svg").status, 404);
    // Broken HTTP ends its connection and nothing else.
    for bytes in [&b"\r\n\r\n"[..], b"GET\r\n\r\n", b"\0\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        server.http.raw(bytes);
    }
    // A broken image costs its row.
    let id = server.submit(&json!({
        "pipeline": "image-to-audio-text",
        "rows": [{"image": {"base64": png}}, {"image": {"base64": base64(b"no image")}}, {"image": null}],
    }));
    let run = server.end(&id);
    assert_eq!(
        (&run["state"], &run["result"]["rows"], &run["result"]["failed"]),
        (&json!("done"), &json!(1), &json!(2))
    );
    let failed: Vec<_> = run["result"]["failures"].as_array().unwrap().iter().map(|failure| &failure["row"]).collect();
    assert_eq!(failed, [1, 2]);
    assert_eq!(server.end(&server.submit(&short()))["state"], "done");
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT], &["--max-running", "1", "--max-queue", "2"]);
    let first = server.submit(&long());
    server.wait(&first, |run| run["state"] == "running");
    let waiting = [server.submit(&short()), server.submit(&short())];
    let refused = server.http.post("/v1/runs", &short());
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("queue-full")));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    server.http.delete(&format!("/v1/runs/{first}"));
    for id in waiting {
        assert_eq!(server.end(&id)["state"], "done");
    }
}

#[test]
fn a_server_for_others_needs_a_token_and_one_for_this_machine_its_name() {
    let folder = state();
    let token = folder.path().join("token");
    std::fs::write(&token, "a secret of the test\n").unwrap();
    let refused = anyflow(["serve", JOINT, "--host", "0.0.0.0", "--port", "0", "--state", "/nowhere"]);
    assert!(refused.code == 2 && refused.err.contains("--token-file"), "{}", refused.err);

    let state = folder.path().join("state");
    let server = Server::start(&state, &[JOINT], &["--token-file", token.to_str().unwrap()]);
    let with = |value: &str| Http { headers: vec![("Authorization".into(), value.into())], ..server.http.clone() };
    for client in [server.http.clone(), with("Bearer wrong"), with("a secret of the test"), with("Bearer ")] {
        assert_eq!(client.get("/v1/pipelines").status, 401);
        assert_eq!(client.post("/v1/runs", &short()).status, 401);
        assert_eq!((client.get("/").status, client.get("/healthz").status), (200, 200));
    }
    assert_eq!(with("Bearer a secret of the test").get("/v1/pipelines").status, 200);
    drop(server);

    let server = Server::start(&state, &[JOINT], &[]);
    let as_host = |host: &str, more: &[(&str, &str)]| {
        let more = more.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Http { headers: std::iter::once(("Host".into(), host.into())).chain(more).collect(), ..server.http.clone() }
    };
    let own = server.http.address.to_string();
    assert_eq!(as_host("example.org", &[]).get("/v1/runs").status, 403, "a name that points here");
    assert_eq!(as_host(&own, &[("Origin", "http://example.org")]).post("/v1/runs", &short()).status, 403);
    let same = format!("http://{own}");
    assert_eq!(as_host(&own, &[("Origin", &same)]).post("/v1/runs", &short()).status, 201);
    let page = server.http.get("/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn what_a_server_offers_is_described() {
    let folder = state();
    let server = Server::start(folder.path(), &[JOINT, SPEAK], &[]);
    let pipelines = server.http.get("/v1/pipelines").json();
    let [joint, speak] = [0, 1].map(|index| &pipelines["pipelines"][index]);
    assert_eq!((&joint["name"], &joint["file"]), (&json!("joint"), &json!("joint.yaml")));
    assert_eq!((&joint["nodes"][0]["key"], &joint["nodes"][0]["sampler"]["steps"]), (&json!("joint"), &json!(50)));
    assert!(joint["samplers"].as_array().unwrap().contains(&json!("ddim")));
    let input = &speak["inputs"][0];
    assert_eq!(
        (&input["name"], &input["modality"], &input["cell"]),
        (&json!("image"), &json!("image"), &json!("bytes"))
    );
    assert!(server.http.get("/v1/pipelines/joint/graph.svg").text().starts_with("<svg"));
    assert!(
        server.http.get("/v1/pipelines/joint/pipeline.yaml").text().contains("diffuse: [image, audio, text, label]")
    );
    assert_eq!(server.http.get("/v1/openapi.json").json()["openapi"], "3.1.0");
    assert_eq!(server.http.get("/healthz").json()["engine"], "ready");
}

#[test]
fn strokes_and_classes_are_cells_as_well() {
    let folder = state();
    let pipelines = ["pipelines/mld/trajectory/trajectory-to-image.yaml", "pipelines/mld/label-to-image-audio.yaml"];
    let server = Server::start(folder.path(), &pipelines, &[]);
    let names: Vec<String> = server.http.get("/v1/pipelines").json()["pipelines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pipeline| pipeline["name"].as_str().unwrap().to_string())
        .collect();
    let points: Vec<[f64; 2]> = (0..20).map(|n| [10.0, f64::from(n)]).collect();
    let id = server.submit(&json!({"pipeline": names[0], "rows": [{"drawing": [points]}]}));
    let run = server.end(&id);
    assert_eq!((&run["state"], &run["outputs"]["painted"][0]["media"]), (&json!("done"), &json!("image/png")), "{run}");
    let id = server.submit(&json!({"pipeline": names[1], "rows": [{"digit": 4}, {"digit": 4}]}));
    let run = server.end(&id);
    assert_eq!((&run["state"], &run["result"]["rows"]), (&json!("done"), &json!(2)), "{run}");
}

#[test]
fn pipelines_of_one_model_share_it_and_the_oldest_model_leaves() {
    let folder = state();
    // The models have 5.5 and 3.3 MB of weights.
    let pipelines = [JOINT, SPEAK, "pipelines/mld/trajectory/joint.yaml"];
    let data = folder.path().join("rows");
    write_columns(
        &data,
        vec![("label", anyflow_datasets::Feature::Value("int64".into()), vec![Some(OwnedCell::I64(1))])],
    );
    let named = folder.path().join("pen.yaml");
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/trajectory/joint.yaml"))
        .unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/trajectory/model.yaml");
    std::fs::write(
        &named,
        text.replace("name: joint", "name: pen").replace("model: model.yaml", &format!("model: {root}")),
    )
    .unwrap();
    let pipelines = [pipelines[0], pipelines[1], named.to_str().unwrap()];
    let server = Server::start(&folder.path().join("state"), &pipelines, &["--memory", "7M"]);
    let models = || -> Vec<String> {
        let text = server.http.get("/metrics").text();
        let lines = text.lines().filter(|line| line.starts_with("anyflow_model_bytes{"));
        lines.map(|line| line.split('"').nth(1).unwrap().to_string()).collect()
    };
    assert_eq!(server.end(&server.submit(&short()))["state"], "done");
    let image = json!({"image": {"base64": base64(&digit_png(2, 0))}});
    let spoken = server.submit(&json!({"pipeline": "image-to-audio-text", "rows": [image]}));
    assert_eq!(server.end(&spoken)["state"], "done");
    // A busy engine may leave a scrape of the metrics without its figures.
    wait_for("one model of two pipelines", || models() == ["digits-mld"]);
    let pen = server.submit(&json!({"pipeline": "pen", "rows": 1, "set": {"joint.sampler.steps": 5}}));
    assert_eq!(server.end(&pen)["state"], "done");
    wait_for("the newer model alone, since there is no room for both", || models() == ["pen-mld"]);
}
