//! Front and engine: output, crashes, hangs and kills are reported correctly, and no process is left over.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_plan::protocol::VERSION;
use anyflow_tests::{Output, anyflow, compile, target, write_columns};

const ROWS: usize = 12;

/// A project of one stream. Its codec is from the plugin `ends`, its module from another plugin.
struct Project {
    folder: tempfile::TempDir,
}

/// Commands that run a plugin's code for a job.
const RUN: [&str; 6] = ["run", "pipeline.yaml", "--input", "data", "--output", "out"];
const TRAIN: [&str; 4] = ["train", "train.yaml", "--output", "again"];
const EVAL: [&str; 4] = ["eval", "eval.yaml", "--output", "figures"];

impl Project {
    fn new() -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        let plugins = project.path("plugins");
        std::fs::create_dir(&plugins).unwrap();
        compile("tests/native/ends.c", &[], &plugins);
        compile("tests/native/faults.c", &[], &plugins);
        let numbers = (0..ROWS).map(|n| Some(OwnedCell::F64(n as f64))).collect();
        let classes = vec![Some(OwnedCell::I64(0)); ROWS];
        let columns = vec![
            ("value", Feature::Value("float64".into()), numbers),
            ("class", Feature::Value("int64".into()), classes),
        ];
        write_columns(&project.path("data"), columns);
        project.write(
            "model.yaml",
            "anyflow: 1\nname: m\ncheckpoint: trained/model.safetensors\nstreams:\n  \
             numbers: {codec: ends/number, module: faults/copy, latent: [1]}\ndenoisers:\n  \
             only: {over: [numbers], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}\n",
        );
        project.write(
            "pipeline.yaml",
            "anyflow: 1\nname: p\nmodel: model.yaml\ninputs: {seen: {modality: text, column: value}}\n\
             nodes:\n  within: {encode: faults/copy, from: seen}\n  back: {decode: faults/copy, from: within}\n\
             outputs: {value: back}\n",
        );
        project.write(
            "train.yaml",
            "anyflow: 1\nname: t\nmodel: model.yaml\nsources: {rows: data}\n\
             data: {all: {columns: {numbers: rows.value}}}\nstages:\n  \
             - {name: statistics, objective: {kind: statistics}, data: all}\n",
        );
        project.write(
            "eval.yaml",
            "anyflow: 1\nname: e\nmodel: model.yaml\nsources: {rows: data}\n\
             data: {columns: {numbers: rows.value}, class: rows.class}\njudges: {numbers: {score: ends/number}}\n\
             sampler: {kind: ddim, steps: 2}\nrows: 4\ntasks: {free: {generate: [numbers]}}\n",
        );
        let mut train = TRAIN;
        train[3] = "trained";
        project.call("", &train).ok();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `anyflow` with these arguments in the project's folder; `ends` selects the plugin's behaviour.
    fn command(&self, ends: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(target().join("anyflow"));
        command.args(arguments).args(["--threads", "2"]).current_dir(self.folder.path());
        command.env("ANYFLOW_PLUGINS", self.path("plugins")).env("OMP_NUM_THREADS", "1");
        if !ends.is_empty() {
            command.env("ENDS", ends);
        }
        command
    }

    fn call(&self, ends: &str, arguments: &[&str]) -> Output {
        output(&mut self.command(ends, arguments))
    }

    fn rows(&self) -> u64 {
        Dataset::open(&[self.path("out")]).unwrap().rows()
    }
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// The child processes of a process.
fn children(process: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// True if a process exists and is not a zombie.
fn lives(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}

/// Waits for a condition, for at most a minute.
#[track_caller]
fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn output_of_a_plugin_goes_to_the_log() {
    let project = Project::new();
    let output = project.call("encode spoof", &[&RUN[..], &["--json"]].concat()).ok();
    assert_eq!(output.json()["rows"], ROWS);
    let output =
        project.call("encode spoof-_exit", &["run", "pipeline.yaml", "--input", "data", "--output", "spoofed"]);
    assert_eq!(output.code, 3, "{}", output.err);
    says(&output.err, &["exited with code 9 without a result", "plugin `ends`", "ends/number encode", "1000000"]);
    assert!(!project.path("spoofed/manifest.json").exists());
    project.call("", &["run", "pipeline.yaml", "--input", "data", "--output", "spoofed"]).ok();
}

#[test]
fn a_crash_names_the_plugin_from_any_thread() {
    let project = Project::new();
    // When cells are decoded, the module of another plugin was entered last; when they are encoded, no module was. `exit` runs
    // destructors that libtorch registered late before our handler, and these may crash a thread that computes.
    for (ends, wanted) in [
        ("decode crash", "signal 11"),
        ("decode abort", "signal 6"),
        ("decode divide", "signal 8"),
        ("decode overflow", "signal"),
        ("decode exit", "exited with code 0 without a result, by a call of exit()"),
        ("decode _exit", "exited with code 9"),
        ("encode crash", "signal 11"),
        ("encode exit", "by a call of exit()"),
    ] {
        let output = project.call(ends, &RUN);
        assert_eq!(output.code, 3, "{ends}: {}", output.err);
        let call = format!("ends/number {}", ends.split(' ').next().unwrap());
        let node = if ends.starts_with("decode") { "node `back`" } else { "node `within`" };
        let crashed = ends.ends_with(" exit") && output.err.contains("was killed by signal");
        let wanted = if crashed { "was killed by signal" } else { wanted };
        says(
            &output.err,
            &[wanted, "plugin `ends` (version 0.2.0)", &call, node, "run the same command again to resume"],
        );
    }
    let overflow = project.call("encode overflow", &RUN);
    says(&overflow.err, &["has overflowed its stack", "plugin `ends`"]);
    for ends in ["load crash", "init abort", "interface crash", "create crash", "destroy crash", "destroy exit"] {
        let output = project.call(ends, &RUN);
        assert_eq!(output.code, 3, "{ends}: {}", output.err);
        says(&output.err, &["plugin `ends`", ends.split(' ').next().unwrap()]);
    }
    let thread = project.call("decode thread", &["run", "pipeline.yaml", "--input", "data", "--output", "thread"]);
    assert_eq!(thread.code, 3, "{}", thread.err);
    says(&thread.err, &["plugin `ends`", "in a thread of its own"]);
    for ends in ["encode crash", "destroy crash"] {
        let output = project.call(ends, &TRAIN);
        assert_eq!(output.code, 3, "{ends}: {}", output.err);
        says(&output.err, &["plugin `ends`"]);
    }
}

#[test]
fn an_own_crash_or_an_outside_kill_names_no_plugin() {
    let project = Project::new();
    let output = output(
        project.command("", &[&RUN[..], &["--shard-rows", "4"]].concat()).env("ANYFLOW_FAILPOINT", "committed:1"),
    );
    assert_eq!(output.code, 1, "{}", output.err);
    says(&output.err, &["signal 6", "outside any plugin, in thread `write`"]);

    for signal in ["-SEGV", "-KILL"] {
        let mut front = hanging(&project, "decode hang", &[&RUN[..], &["--shard-rows", "4"]].concat());
        let engine = wait("an engine", || children(front.child.id()).first().copied());
        assert!(Command::new("kill").args([signal, &engine.to_string()]).status().unwrap().success());
        let (code, err) = front.end();
        assert_eq!(code, Some(1), "{err}");
        says(&err, &["was killed by signal", "in progress: ends/number decode"]);
    }
}

/// A front whose engine hangs in a call.
struct Hanging {
    child: Child,
    log: PathBuf,
}

impl Hanging {
    fn end(&mut self) -> (Option<i32>, String) {
        let status = wait("the front ends", || self.child.try_wait().unwrap());
        (status.code(), std::fs::read_to_string(&self.log).unwrap())
    }
}

fn hanging(project: &Project, ends: &str, arguments: &[&str]) -> Hanging {
    let log = project.path("log");
    let mut command = project.command(ends, arguments);
    let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait("it hangs", || std::fs::read_to_string(&log).unwrap().contains("hangs").then_some(()));
    Hanging { child, log }
}

#[test]
fn the_timeout_covers_every_call_from_load_to_destroy() {
    let project = Project::new();
    let begin = Instant::now();
    let limit = ["--timeout", "1"];
    for place in ["load", "init", "interface", "create", "encode", "decode", "destroy"] {
        let output = project.call(&format!("{place} hang"), &[&RUN[..], &limit[..]].concat());
        assert_eq!(output.code, 3, "{place}: {}", output.err);
        says(&output.err, &["ends", "version 0.2.0", place, "--timeout"]);
        if !["encode", "decode"].contains(&place) {
            let output = project.call(&format!("{place} hang"), &[&TRAIN[..], &limit[..]].concat());
            assert_eq!(output.code, 3, "training, {place}: {}", output.err);
        }
        let output = project.call(&format!("{place} hang"), &[&EVAL[..], &limit[..]].concat());
        assert_eq!(output.code, 3, "evaluation, {place}: {}", output.err);
        assert!(!project.path("figures/eval.json").exists(), "{place}");
    }
    project.call("", &EVAL).ok();
    let library = project.path("plugins/libanyflow_ends.so");
    for place in ["load", "init", "create", "decode", "destroy"] {
        let mut check = Command::new(target().join("anyflow"));
        check.args(["plugin", "check"]).arg(&library).args(["--timeout", "1"]).env("ENDS", format!("{place} hang"));
        let output = output(&mut check);
        assert_eq!(output.code, 3, "{place}: {}{}", output.out, output.err);
        says(&output.out, &["still not done after 1 s"]);
    }
    assert!(begin.elapsed() < Duration::from_secs(240), "{:?}", begin.elapsed());
}

#[test]
fn children_of_a_plugin_neither_delay_nor_outlive_the_job() {
    let project = Project::new();
    for (ends, code) in [("decode child-crash", 3), ("encode child", 0)] {
        let begin = Instant::now();
        let output = project.call(ends, &RUN);
        assert_eq!(output.code, code, "{ends}: {}", output.err);
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    }
    assert_eq!(project.rows(), ROWS as u64);
    // The exit status of a plugin's child does not affect the engine.
    project.call("encode crashing-child", &["run", "pipeline.yaml", "--input", "data", "--output", "other"]).ok();
}

#[test]
fn an_engine_and_its_children_end_with_the_front() {
    let project = Project::new();
    for arguments in [&RUN[..], &TRAIN[..]] {
        let ends = if arguments[0] == "run" { "decode child-hang" } else { "create child-hang" };
        let mut front = hanging(&project, ends, arguments);
        let engine = wait("an engine", || children(front.child.id()).first().copied());
        let child = wait("a child of the plugin", || grandchildren(engine).first().copied());
        front.child.kill().unwrap();
        front.child.wait().unwrap();
        let begin = Instant::now();
        wait("the engine ends", || (!lives(engine) && !lives(child)).then_some(()));
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}

/// The child processes of all threads of a process.
fn grandchildren(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

#[test]
fn an_endless_log_line_uses_little_memory() {
    let project = Project::new();
    let log = project.path("log");
    let mut command = project.command("encode flood", &RUN);
    let mut front = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut most = 0;
    let status = wait("the front ends", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", front.id())).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        front.try_wait().unwrap()
    });
    assert!(status.success(), "{}", std::fs::read_to_string(&log).unwrap());
    assert!((1..100_000).contains(&most), "the front took {most} kB");
    let log = std::fs::read(&log).unwrap();
    assert!(log.len() < 1_000_000, "{} bytes of log", log.len());
    says(&String::from_utf8_lossy(&log), &["the line is cut"]);
}

/// True if the text contains control characters, except line feeds and tabs, or characters that change text direction.
#[track_caller]
fn is_harmless(text: &str) {
    let odd = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(odd), "{text:?}");
}

#[test]
fn text_from_data_and_plugins_does_not_control_the_terminal() {
    let project = Project::new();
    let output = project.call("encode steer", &RUN);
    assert_eq!(output.code, 3, "{}", output.err);
    is_harmless(&output.err);
    says(&output.err, &[r"log \u{1b}[2Jand \u{9b}31m", r"why \u{1b}]0;owned\u{7} \u{202e} so"]);

    let name = "col\u{1b}[2Jumn\u{9b}\u{202e}\r";
    let cells = vec![Some(OwnedCell::Utf8("a\u{1b}]0;owned\u{7}\rb\u{2066}".into()))];
    write_columns(&project.path("hostile"), vec![(name, Feature::Value("string".into()), cells)]);
    let hostile = project.path("hostile");
    for command in ["head", "inspect"] {
        let shown = anyflow(["data".as_ref(), command.as_ref(), hostile.as_os_str()]).ok().out;
        is_harmless(&shown);
        says(&shown, &[r"col\u{1b}[2Jumn"]);
        let json = anyflow(["data".as_ref(), command.as_ref(), hostile.as_os_str(), "--json".as_ref()]).ok();
        is_harmless(&json.out);
        assert!(json.json().to_string().contains("col\\u001b[2Jumn"), "{}", json.out);
    }
    let output = anyflow(["check", "--\u{1b}[2J", "a"]);
    assert_eq!(output.code, 2);
    is_harmless(&output.err);
    project.write(
        "odd.yaml",
        "anyflow: 1\nname: p\nmodel: model.yaml\n\"\\e[31mkey\\u202e\": 1\nnodes: {}\noutputs: {}\n",
    );
    let output = anyflow(["check".as_ref(), project.path("odd.yaml").as_os_str()]);
    assert_eq!(output.code, 2);
    is_harmless(&output.err);
    says(&output.err, &[r"\u{1b}[31mkey"]);
}

#[test]
fn a_non_utf8_path_is_refused() {
    let project = Project::new();
    let odd = OsStr::from_bytes(b"out\xff");
    let before = std::fs::read_dir(project.folder.path()).unwrap().count();
    let run = |output: &OsStr, input: &OsStr| {
        let mut command = project.command("", &["run", "pipeline.yaml"]);
        command.arg("--output").arg(output).arg("--input").arg(input);
        self::output(&mut command)
    };
    for refused in [run(odd, "data".as_ref()), {
        let mut train = project.command("", &["train", "train.yaml"]);
        self::output(train.arg("--output").arg(odd))
    }] {
        assert_eq!(refused.code, 2, "{}", refused.err);
        says(&refused.err, &["out\\xff: is not UTF-8"]);
    }
    assert_eq!(std::fs::read_dir(project.folder.path()).unwrap().count(), before);
    let folder = project.path("in").with_file_name(odd);
    std::fs::rename(project.path("data"), &folder).unwrap();
    let refused = run("out".as_ref(), odd);
    assert_eq!(refused.code, 2, "{}", refused.err);
    says(&refused.err, &["is not UTF-8"]);
    assert!(!project.path("out").exists());
}

#[test]
fn an_evaluation_name_cannot_escape_its_folder() {
    let project = Project::new();
    for name in ["../../escaped", "/escaped", "..", ".hidden", "a\\\\b", ""] {
        project.write("eval.yaml", &format!("anyflow: 1\nname: \"{name}\"\nmodel: model.yaml\ntasks: {{}}\n"));
        let output = project.call("", &["eval", "eval.yaml"]);
        assert_eq!(output.code, 2, "{name}: {}", output.err);
        says(&output.err, &["eval.yaml:2:7", "cannot be a name"]);
    }
}

/// An engine started by hand: events on its standard output, output of plugins on standard error.
#[test]
fn an_engine_without_a_front_runs_the_order() {
    let project = Project::new();
    project.call("", &RUN).ok();
    let order = project.path("out/order.json");
    let mut command = Command::new(target().join("anyflow-engine"));
    command.arg(&order).env("ENDS", "create spoof").process_group(0);
    let output = output(&mut command);
    assert_eq!(output.code, 0, "{}", output.err);
    assert!(output.out.contains("{\"event\":\"done\"") && !output.out.contains("1000000"), "{}", output.out);
    says(&output.err, &["1000000"]);
}

/// The first frame of a program whose protocol has this version.
fn frame(version: u32, json: &[u8]) -> Vec<u8> {
    [&(json.len() as u32).to_le_bytes(), &version.to_le_bytes(), &0u64.to_le_bytes()[..], json].concat()
}

#[test]
fn a_front_refuses_the_engine_of_another_release() {
    let project = Project::new();
    let done = br#"{"event":"done","result":1}"#;
    // Before version 3, frames had no version, and the number followed the length.
    let old = [&(done.len() as u32).to_le_bytes(), &0u64.to_le_bytes()[..], done].concat();
    for (version, frame) in [(VERSION + 1, frame(VERSION + 1, done)), (0, old)] {
        std::fs::write(project.path("frame"), frame).unwrap();
        let engine = project.path("engine");
        std::fs::write(&engine, format!("#!/bin/sh\ncat {}\nsleep 60\n", project.path("frame").display())).unwrap();
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        let begin = Instant::now();
        let refused = output(project.command("", &RUN).env("ANYFLOW_ENGINE", &engine));
        assert_eq!(refused.code, 1, "{}", refused.err);
        let found = format!("`anyflow-engine` has version {version} of the protocol, `anyflow` has version {VERSION}");
        says(&refused.err, &[&found, "use both programs of the same release"]);
        assert!(begin.elapsed() < Duration::from_secs(30), "the engine is not waited for");
    }
}

#[test]
fn an_engine_refuses_the_order_of_another_release() {
    let project = Project::new();
    project.call("", &RUN).ok();
    let order = std::fs::read(project.path("out/order.json")).unwrap();
    let mut command = Command::new(target().join("anyflow-engine"));
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut engine = command.spawn().unwrap();
    engine.stdin.take().unwrap().write_all(&frame(VERSION - 1, &order)).unwrap();
    let told = String::from_utf8_lossy(&engine.wait_with_output().unwrap().stdout).into_owned();
    let wanted = format!("has version {} of the protocol, but this engine has version {VERSION}", VERSION - 1);
    says(&told, &["\"event\":\"failed\",\"fault\":\"user\"", &wanted, "of the same release"]);
    // An order in a file has its version as well; the rest of it need not be readable.
    let file = project.path("order.json");
    std::fs::write(&file, format!("{{\"format\": {}, \"unheard-of\": 1}}", VERSION - 1)).unwrap();
    let refused = output(Command::new(target().join("anyflow-engine")).arg(&file).process_group(0));
    assert_eq!(refused.code, 2, "{}", refused.out);
    says(&refused.out, &[&wanted]);
}
