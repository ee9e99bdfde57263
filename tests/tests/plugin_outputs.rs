//! Everything that a plugin returns is validated: pointers, lengths, handles, and the thread and time of reports.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::descriptor::Role;
use anyflow_plan::event::Fault;
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::RunError;
use anyflow_runtime::plugin::{Codec, LoadedPlugins, Module, ModuleOptions};
use anyflow_tests::{compile, compile_with, native_component};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const FAULTS: &str = "tests/native/faults.c";
const GUESTS: &str = "tests/native/guests.c";
const HANDLES: &str = "tests/native/handles.c";

fn numbers() -> Type {
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: vec![1], range: None };
    Type { modality: "number".into(), form }
}

fn codec(library: &Path, name: &str) -> Codec {
    Codec::new(&mut LoadedPlugins::default(), &native_component(library, name, json!({})), &numbers()).unwrap()
}

fn column(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).reshape([-1, 1])
}

/// Three numbers decoded by a codec with a fault in the second.
fn decoded(macros: &str) -> Vec<Result<OwnedCell, String>> {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(FAULTS, &[macros], folder.path());
    codec(&library, "faults/number").decode(&column(&[1.0, 2.0, 3.0]), 1).unwrap()
}

#[test]
fn invalid_lists_and_files_fail_their_row_only() {
    let cases = [
        ("LIST=lengths[0]=list.values_len=(size_t)1<<40", "1099511627776 numbers"),
        ("LIST=list.lengths_len=(size_t)1<<40", "more than the"),
        ("LIST=list.values_len=list.lengths_len=(size_t)-1", "more than the"),
        ("LIST=list.values=NULL", "add up"),
        ("LIST=list.lengths=NULL", "add up"),
        ("LIST=list.values=(double*)((char*)values+1)", "add up"),
        ("LIST=list.values_len=2", "add up"),
        ("LIST=list.depth=0", "add up"),
        ("LIST=list.depth=9", "add up"),
        ("LIST=list.struct_size=8", "add up"),
        ("LIST=cell->bytes.len=8", "add up"),
        ("LIST=cell->bytes.ptr=NULL", "add up"),
        ("LIST=cell->bytes.ptr+=1", "add up"),
        ("FILES=files[0].ptr=NULL", "address null"),
        ("FILES=files[0].len=(size_t)1<<40", "1099511627776 bytes"),
        ("FILES=cell->bytes.len=(size_t)1<<50", "files"),
        ("FILES=cell->bytes.len=24", "add up"),
        ("FILES=cell->bytes.ptr=NULL", "add up"),
        ("FILES=cell->bytes.ptr+=1", "add up"),
        ("CELL_MISALIGNED", "not aligned"),
    ];
    for (fault, words) in cases {
        let cells = decoded(fault);
        assert_eq!((&cells[0], &cells[2]), (&Ok(OwnedCell::F64(1.0)), &Ok(OwnedCell::F64(3.0))), "{fault}");
        assert!(cells[1].as_ref().is_err_and(|text| text.contains(words)), "{fault}: {:?}", cells[1]);
    }
    assert!(matches!(&decoded("LIST=(void)0")[1], Ok(OwnedCell::List(_))), "the test can detect it");
    assert!(matches!(&decoded("FILES=(void)0")[1], Ok(OwnedCell::Files(files)) if files.len() == 2));
}

#[test]
fn exported_structs_are_validated_before_they_are_read() {
    let cases: [(&[&str], &[&str]); 4] = [
        (&["TOLD_NOWHERE"], &["descriptor", "address null", "faults 0.1.0", "rebuild"]),
        (&["TABLE_MISALIGNED"], &["table", "invalid address", "rebuild"]),
        (&["CODE_LIBTORCH=\"2\"", "LIBTORCH_NOWHERE"], &["libtorch", "address null", "rebuild"]),
        (&["CODE_MAGIC=7", "ENTRY_CUT"], &["magic number"]),
    ];
    for (macros, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let library = compile(FAULTS, macros, folder.path());
        let error = LoadedPlugins::default().load(library.to_str().unwrap()).err().unwrap();
        assert_eq!(error.fault(), Fault::Plugin);
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{macros:?}: {text}");
    }
}

#[test]
fn an_error_text_at_a_null_address_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(FAULTS, &["ERROR_NOWHERE"], folder.path());
    let text = codec(&library, "faults/number").decode(&column(&[1.0]), 1).unwrap_err().to_string();
    assert!(text.contains("faults/number") && text.contains("address null"), "{text}");
}

#[test]
fn reports_with_a_foreign_context_are_dropped() {
    let cells = decoded("CONTEXT_WRONG");
    assert_eq!(cells, [1.0, 2.0, 3.0].map(|value| Ok(OwnedCell::F64(value))));
}

#[test]
fn a_report_from_another_thread_is_an_error_of_the_call_that_names_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(GUESTS, &["ELSEWHERE"], folder.path());
    let codec = codec(&library, "guests/number");
    for threads in [1, 4] {
        let error = codec.decode(&column(&[1.0; 64]), threads).unwrap_err();
        assert!(matches!(error, RunError::Plugin { .. }) && error.fault() == Fault::Plugin);
        let text = error.to_string();
        assert!(
            ["guests/number", "0.1.0", "decode", "another thread"].iter().all(|word| text.contains(word)),
            "{text}"
        );
    }
}

#[test]
fn a_late_report_is_an_error_of_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(GUESTS, &["LATE"], folder.path());
    let codec = codec(&library, "guests/number");
    assert_eq!(codec.decode(&column(&[5.0]), 1).unwrap(), [Ok(OwnedCell::F64(5.0))]);
    // The thread reports a tenth of a second after the call.
    let late = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        codec.encode(&[Some(Cell::F64(1.0))], 1).err()
    });
    let text = late.expect("the report is noticed").to_string();
    assert!(text.contains("guests/number") && text.contains("after a call had returned"), "{text}");
}

/// Half of the smallest normal number, which a thread that flushes to zero cannot represent.
fn subnormal() -> f32 {
    std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5)
}

#[test]
fn plugins_do_not_change_the_floating_point_environment() {
    let folder = tempfile::tempdir().unwrap();
    let fast = compile_with(GUESTS, &[], &["-ffast-math", "-fno-finite-math-only"], folder.path());
    let plugin = LoadedPlugins::default().load(fast.to_str().unwrap()).unwrap();
    assert!(subnormal() > 0.0, "after loading what was built with -ffast-math");
    eprintln!("loading kept the environment: {}", plugin.keeps_floats);
    let other = tempfile::tempdir().unwrap();
    let library = compile(GUESTS, &["FLUSHES"], other.path());
    let codec = codec(&library, "guests/number");
    for threads in [1, 2] {
        codec.decode(&column(&[1.0, 2.0]), threads).unwrap();
        assert!(subnormal() > 0.0, "after a call that flushes");
    }
}

fn module(macros: &[&str], folder: &Path) -> Module {
    let library = compile(HANDLES, macros, folder);
    let component = native_component(&library, "handles/same", json!({}));
    Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 0)).unwrap()
}

#[test]
fn invalid_handles_are_errors_that_name_the_plugin() {
    let input = Tensor::rand([3, 2], (Kind::Float, Device::Cpu));
    let cases = [
        ("OUTPUT_IS_INPUT", "its input's handle"),
        ("OUTPUT_NULL", "no tensor"),
        ("OUTPUT_MISALIGNED", "invalid handle"),
        ("OUTPUT_UNDEFINED", "undefined tensor"),
    ];
    for (fault, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = module(&[fault], folder.path()).forward(Role::Encode, &input, &[2], false).unwrap_err();
        assert_eq!(error.fault(), Fault::Plugin, "{fault}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("handles/same"), "{fault}: {text}");
    }
    assert_eq!(input.size(), [3, 2], "the input is whole");
    let cases =
        [("PARAMETER_NULL", "`weight`"), ("PARAMETER_MISALIGNED", "`weight`"), ("PARAMETER_UNDEFINED", "undefined")];
    for (fault, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let text = module(&[fault], folder.path()).parameters().unwrap_err().to_string();
        assert!(text.contains(words) && text.contains("handles/same"), "{fault}: {text}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(module(&["CONTEXT_WRONG"], folder.path()).parameters().unwrap().is_empty());
}

#[test]
fn a_module_that_changes_libtorch_modes_is_named_and_they_are_restored() {
    let input = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    for (fault, words) in [("no-grad", "the grad mode"), ("threads", "the number of threads")] {
        let parameters = json!({"n": 3, "latent": 2, "fault": fault, "seconds": 0.0, "after": 0});
        let component = anyflow_tests::component("faulty/network", parameters);
        let module =
            Module::new(&mut LoadedPlugins::default(), &component, ModuleOptions::drawn(Device::Cpu, 0)).unwrap();
        let threads = tch::get_num_threads();
        let text = module.forward(Role::Encode, &input, &[2], false).unwrap_err().to_string();
        assert!(text.contains(words) && text.contains("faulty/network"), "{fault}: {text}");
        let probe = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert!((probe * 2.0).requires_grad() && tch::get_num_threads() == threads, "{fault}");
    }
}
