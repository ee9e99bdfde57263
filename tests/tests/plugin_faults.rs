//! Faulty plugins: the host names the fault in one sentence, and nothing else is lost.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};

use anyflow_datasets::{Cell, Dataset, Feature, OwnedCell};
use anyflow_plan::event::Fault;
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::RunError;
use anyflow_runtime::plugin::{Codec, LoadedPlugins};
use anyflow_tests::{Output, anyflow_with, compile, compile_with, leave_out, native_component, target, write_columns};
use serde_json::json;
use tch::Tensor;

const FAULTS: &str = "tests/native/faults.c";

/// The host's error for a library with this fault, checked to be one sentence that blames the plugin.
#[track_caller]
fn refusal(macros: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(FAULTS, macros, folder.path());
    let error = match LoadedPlugins::default().load(library.to_str().unwrap()) {
        Ok(_) => panic!("{macros:?} was loaded"),
        Err(error) => error,
    };
    assert_eq!(error.fault(), Fault::Plugin);
    let text = error.to_string();
    assert!(text.contains("libanyflow_faults.so") && !text.contains('\n'), "{text}");
    text
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// Every refusal names the plugin with its version, the host's version, and the remedy.
const ALWAYS: [&str; 4] = ["faults 0.1.0", "this host", "1.6", "rebuild"];

#[test]
fn a_plugin_without_faults_loads() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(FAULTS, &[], folder.path());
    assert!(LoadedPlugins::default().load(library.to_str().unwrap()).is_ok());
}

#[test]
fn a_library_without_a_descriptor_section_is_refused() {
    says(&refusal(&["SECTION_MISSING"]), &["no section `.anyflow`", "ANYFLOW_DESCRIPTOR", "rebuild"]);
}

#[test]
fn a_descriptor_section_that_is_not_text_is_refused() {
    says(&refusal(&["SECTION_NOT_UTF8"]), &["not UTF-8"]);
}

#[test]
fn a_descriptor_in_code_that_differs_from_the_section_is_refused() {
    let text = refusal(&["CODE_TELLS_OTHERWISE"]);
    says(&text, &ALWAYS);
    says(&text, &["differs from the one in the file"]);
}

#[test]
fn an_entry_without_the_magic_number_is_refused() {
    let text = refusal(&["CODE_MAGIC=7"]);
    says(&text, &ALWAYS);
    says(&text, &["magic number"]);
}

#[test]
fn another_abi_major_in_section_or_code_is_refused() {
    let text = refusal(&["CODE_MAJOR=9"]);
    says(&text, &ALWAYS);
    says(&text, &["ABI 9.6"]);
    let text = refusal(&["SECTION_ABI=\"[9, 0]\""]);
    says(&text, &ALWAYS);
    says(&text, &["ABI 9.0"]);
}

#[test]
fn another_libtorch_in_section_or_code_is_refused() {
    for macros in [["SECTION_LIBTORCH=\"\\\"2.10.0\\\"\""], ["CODE_LIBTORCH=\"2.10.0\""]] {
        let text = refusal(&macros);
        says(&text, &["faults 0.1.0", "libtorch 2.10.0", "2.11.0", "rebuild"]);
    }
}

#[test]
fn a_missing_symbol_is_named() {
    let text = refusal(&["SYMBOL_MISSING"]);
    says(&text, &ALWAYS);
    says(&text, &["no symbol `anyflow_entry`"]);
    let text = refusal(&["FUNCTION_MISSING"]);
    says(&text, &ALWAYS);
    says(&text, &["undefined symbol", "not_there"]);
}

#[test]
fn truncated_structs_are_refused() {
    for (fault, part) in [("ENTRY_CUT", "entry"), ("TABLE_CUT", "anyflow.codec/1")] {
        let text = refusal(&[fault]);
        says(&text, &ALWAYS);
        says(&text, &[part, "truncated"]);
    }
}

#[test]
fn a_plugin_that_refuses_to_start_is_named() {
    says(&refusal(&["INIT_REFUSES"]), &["faults 0.1.0", "refused to start", "status 2"]);
}

fn codec(macros: &[&str], folder: &Path) -> Codec {
    let library = compile(FAULTS, macros, folder);
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: vec![1], range: None };
    let kind = Type { modality: "number".into(), form };
    Codec::new(&mut LoadedPlugins::default(), &native_component(&library, "faults/number", json!({})), &kind).unwrap()
}

#[test]
fn invalid_cells_fail_their_row_only() {
    let cases = [
        ("CELL_HUGE", "1099511627776 bytes"),
        ("CELL_NOWHERE", "address null"),
        ("CELL_UNKNOWN", "kind 77"),
        ("CELL_FORGOTTEN", "no cell"),
        ("CELL_NULL", "no cell"),
    ];
    for (fault, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        let cells = codec(&[fault], folder.path()).decode(&Tensor::from_slice(&[1.0f32, 2.0, 3.0]).reshape([3, 1]), 1);
        let cells = cells.unwrap();
        assert_eq!((&cells[0], &cells[2]), (&Ok(OwnedCell::F64(1.0)), &Ok(OwnedCell::F64(3.0))), "{fault}");
        assert!(cells[1].as_ref().is_err_and(|text| text.contains(wanted)), "{fault}: {:?}", cells[1]);
    }
}

#[test]
fn errors_for_unknown_rows_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let cells = codec(&["ROW_UNKNOWN"], folder.path()).decode(&Tensor::from_slice(&[1.0f32, 2.0]).reshape([2, 1]), 1);
    assert_eq!(cells.unwrap(), [Ok(OwnedCell::F64(1.0)), Ok(OwnedCell::F64(2.0))]);
}

#[test]
fn an_error_with_an_unusual_text_is_reported() {
    let told = |fault: &str| {
        let folder = tempfile::tempdir().unwrap();
        let array = Tensor::from_slice(&[1.0f32]).reshape([1, 1]);
        let error = codec(&[fault], folder.path()).decode(&array, 1).unwrap_err();
        assert!(matches!(error, RunError::Plugin { .. }) && error.fault() == Fault::Plugin);
        let text = error.to_string();
        says(&text, &["faults/number", "version 0.1.0", "decode", "failed"]);
        text
    };
    says(&told("ERROR_NOT_UTF8"), &["broken \u{fffd}\u{fffd} text"]);
    says(&told("ERROR_SILENT"), &["no reason given"]);
    assert!(told("ERROR_HUGE").len() < 70_000);
}

#[test]
fn a_missing_function_in_a_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = codec(&["FUNCTION_NULL"], folder.path()).encode(&[Some(Cell::F64(1.0))], 1).unwrap_err();
    says(&error.to_string(), &["faults/number", "encode", "is missing in the plugin's table"]);
}

/// A project of one stream: six numbers through the codec in C and a module.
struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, std::ffi::OsString)>,
}

impl Project {
    fn new(module: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        compile(FAULTS, &[], &plugins);
        let project = Project { folder, variables: vec![("ANYFLOW_PLUGINS", plugins.into())] };
        let numbers = (0..6).map(|n| Some(OwnedCell::F64(f64::from(n)))).collect();
        write_columns(&project.path("data"), vec![("value", Feature::Value("float64".into()), numbers)]);
        project.write(module);
        let training = "anyflow: 1\nname: t\nmodel: model.yaml\nsources: {rows: data}\n\
                        data: {all: {columns: {numbers: rows.value}}}\nstages:\n  \
                        - {name: statistics, objective: {kind: statistics}, data: all}\n";
        std::fs::write(project.path("train.yaml"), training).unwrap();
        project
    }

    /// As [`Project::new`], and trained enough for a run.
    fn trained(module: &str) -> Project {
        let project = Project::new(module);
        project.train().ok();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The model and a pipeline that encodes and decodes values with the module.
    fn write(&self, module: &str) {
        let model = format!(
            "anyflow: 1\nname: m\ncheckpoint: trained/model.safetensors\nstreams:\n  \
             numbers: {{codec: faults/number, module: {module}, latent: [1]}}\ndenoisers:\n  \
             only: {{over: [numbers], network: {{kind: residual-mlp, width: 8, blocks: 1}}, predict: x0}}\n"
        );
        let name = module.trim_start_matches("{use: ").split([',', '}']).next().unwrap();
        let pipeline = format!(
            "anyflow: 1\nname: p\nmodel: model.yaml\ninputs: {{seen: {{modality: text, column: value}}}}\n\
             nodes:\n  within: {{encode: {name}, from: seen}}\n  back: {{decode: {name}, from: within}}\n\
             outputs: {{value: back}}\n"
        );
        std::fs::write(self.path("model.yaml"), model).unwrap();
        std::fs::write(self.path("pipeline.yaml"), pipeline).unwrap();
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        anyflow_with(&variables, arguments)
    }

    fn train(&self) -> Output {
        let yaml = self.path("train.yaml");
        let output = self.path("trained");
        self.call(&["train", yaml.to_str().unwrap(), "--output", output.to_str().unwrap(), "--threads", "1"])
    }

    fn run(&self, output: &str, more: &[&str]) -> Output {
        let [yaml, data, output] = ["pipeline.yaml", "data", output].map(|name| self.path(name));
        let yaml = yaml.to_str().unwrap();
        let data = data.to_str().unwrap();
        let arguments = ["run", yaml, "--input", data, "--output", output.to_str().unwrap(), "--threads", "1"];
        self.call(&[&arguments, more].concat())
    }
}

fn faulty(fault: &str, seconds: f64) -> String {
    format!("{{use: faulty/network, fault: {fault}, seconds: {seconds}}}")
}

#[test]
fn a_failing_module_ends_the_run_and_is_named() {
    let project = Project::trained("faulty/network");
    let cases = [
        ("panic", "panicked"),
        ("throw", "panicked"),
        ("wrong-shape", "promises"),
        ("wrong-type", "Double"),
        ("huge", "promises"),
        ("memory", "libtorch"),
        ("error", "asked to fail"),
    ];
    for (fault, wanted) in cases {
        project.write(&faulty(fault, 0.0));
        let output = project.run(fault, &[]);
        assert_eq!(output.code, 3, "{fault}: {}", output.err);
        says(&output.err, &["faulty/network", "plugin version", wanted]);
    }
}

#[test]
fn a_failing_array_module_is_named() {
    let project = Project::trained("faulty/plain");
    project.run("fine", &[]).ok();
    for (fault, wanted) in [("panic", "panicked"), ("error", "asked to fail")] {
        project.write(&format!("{{use: faulty/plain, fault: {fault}}}"));
        let output = project.run(fault, &[]);
        assert_eq!(output.code, 3, "{fault}: {}", output.err);
        says(&output.err, &["faulty/plain", "plugin version", wanted]);
    }
    project.write("{use: faulty/plain, fault: nan}");
    let nothing = project.run("nan", &[]);
    assert_eq!(nothing.code, 1, "{}", nothing.err);
    says(&nothing.err, &["none of the 6 rows succeeded"]);
}

/// The module refuses calls on another thread than the one that created it, and kills the process if another thread
/// destroys it.
#[test]
fn a_module_lives_on_one_thread() {
    let project = Project::trained("faults/copy");
    compile("tests/native/guests.c", &[], &project.path("plugins"));
    project.write("guests/copy");
    project.run("out", &[]).ok();
    assert_eq!(Dataset::open(&[project.path("out")]).unwrap().rows(), 6);
}

#[test]
fn rows_that_are_not_finite_fail_and_the_others_are_written() {
    let project = Project::trained("faulty/network");
    project.write(&faulty("nan-row", 0.0));
    project.run("out", &[]).ok();
    assert_eq!(Dataset::open(&[project.path("out")]).unwrap().rows(), 5);
    let failures = Dataset::open(&[project.path("out/failures.parquet")]).unwrap();
    let rows = failures.read(None, 0..1, 4).unwrap().next().unwrap().unwrap();
    let cell = |column: &str| format!("{:?}", failures.cells(&rows, column).unwrap().get(0).unwrap());
    says(&cell("text"), &["network", "not finite"]);
    says(&cell("node"), &["within"]);
}

#[test]
fn a_call_that_does_not_return_is_named_and_ends_the_run() {
    let project = Project::trained("faulty/network");
    project.run("fine", &["--timeout", "60"]).ok();
    project.write(&faulty("sleep", 3600.0));
    let begin = std::time::Instant::now();
    let output = project.run("stuck", &["--timeout", "2"]);
    assert_eq!(output.code, 3, "{}", output.err);
    says(&output.err, &["node `within`", "faulty/network", "plugin version", "encode", "2 s", "--timeout"]);
    assert!(begin.elapsed().as_secs() < 120, "{:?}", begin.elapsed());
    let wrong = project.run("wrong", &["--timeout", "0"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
}

#[test]
fn an_exception_that_leaves_a_plugin_ends_the_engine_and_the_front_names_it() {
    let project = Project::trained("faults/copy");
    compile("tests/native/throws.cpp", &[], &project.path("plugins"));
    project.run("fine", &[]).ok();
    project.write("throws/thrower");
    let output = project.run("thrown", &[]);
    assert_eq!(output.code, 3, "{}", output.err);
    says(&output.err, &["`within`", "plugin `throws`"]);
}

/// A codec that keeps the host's pointers reads freed memory, which the address sanitizer detects.
#[test]
fn a_codec_that_keeps_pointers_is_caught_by_the_address_sanitiser() {
    let found = std::process::Command::new("cc").arg("-print-file-name=libasan.so").output().unwrap();
    let sanitiser = String::from_utf8(found.stdout).unwrap().trim().to_string();
    if !Path::new(&sanitiser).is_absolute() {
        return leave_out("libasan", "the C compiler has no libasan.so");
    }
    let mut project = Project::trained("faults/copy");
    // Two shards are two calls of the codec; the second call reads the cells of the first.
    let run = |project: &Project, macros: &[&str], output: &str| {
        compile_with(FAULTS, macros, &["-fsanitize=address"], &project.path("plugins"));
        project.run(output, &["--shard-rows", "3"])
    };
    let options = "detect_leaks=0:alloc_dealloc_mismatch=0:detect_odr_violation=0";
    project.variables.extend([("LD_PRELOAD", sanitiser.into()), ("ASAN_OPTIONS", options.into())]);
    run(&project, &[], "fine").ok();
    let output = run(&project, &["KEEPS_CELLS"], "kept");
    assert_ne!(output.code, 0, "{}", output.err);
    says(&format!("{}{}", output.out, output.err), &["AddressSanitizer: heap-use-after-free", "encode"]);
}

#[test]
fn an_allow_list_excludes_all_other_files() {
    let mut project = Project::new("faults/copy");
    let list = project.path("allowed");
    let trace = project.path("loaded");
    project.variables.push(("FAULTS_TRACE", trace.clone().into()));
    let listed = project.call(&["plugin", "list", "--json"]).ok().json();
    let hash = |name: &str| {
        let plugins = listed["plugins"].as_array().unwrap();
        let found = plugins.iter().find(|plugin| plugin["descriptor"]["plugin"] == name).unwrap();
        found["hash"].as_str().unwrap().to_string()
    };
    assert!(!trace.exists(), "listing runs no code");
    std::fs::write(&list, format!("# what I trust\n{}  libanyflow_label.so\n", hash("label"))).unwrap();

    let allow = ["--plugins-allow", list.to_str().unwrap()];
    let output = project.call(&[&["check", project.path("pipeline.yaml").to_str().unwrap()], &allow[..]].concat());
    assert_eq!(output.code, 3, "{}", output.err);
    says(&output.err, &["plugin `faults`", "not on the list", &hash("faults")]);
    // The environment can name the list too.
    project.variables.push(("ANYFLOW_PLUGINS_ALLOW", list.clone().into()));
    let output = project.train();
    assert_eq!(output.code, 3, "{}", output.err);
    assert!(!trace.exists(), "a plugin that is not allowed runs no code");
    let state = project.call(&["plugin", "list"]).ok().out;
    says(&state, &["refused: it is not on the list", &hash("faults"), &hash("label")]);

    std::fs::write(&list, format!("{}\n", hash("faults"))).unwrap();
    project.train().ok();
    assert!(trace.exists(), "the test can detect it");

    // The engine checks the list itself, since the file may have changed.
    std::fs::remove_file(&trace).unwrap();
    let order = project.path("trained/order.json");
    let mut written: serde_json::Value = serde_json::from_slice(&std::fs::read(&order).unwrap()).unwrap();
    assert_eq!(written["plugins_allowed"], json!([hash("faults")]));
    written["plugins_allowed"] = json!([hash("label")]);
    std::fs::write(&order, written.to_string()).unwrap();
    let engine = std::process::Command::new(target().join("anyflow-engine")).arg(&order).output().unwrap();
    assert_eq!(engine.status.code(), Some(3));
    says(&String::from_utf8_lossy(&engine.stdout), &["not on the list", &hash("faults"), "libanyflow_faults.so"]);

    std::fs::write(&list, "faults\n").unwrap();
    let output = project.call(&["plugin", "list"]);
    assert_eq!(output.code, 2, "{}", output.err);
    says(&output.err, &["allowed:1", "`faults`", "blake3"]);
}
