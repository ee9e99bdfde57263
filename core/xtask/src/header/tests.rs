//! The committed header is up to date, compiles in C and C++, and asserts the promised layouts.

use std::process::{Command, Output};

use super::read::Form;
use super::*;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn committed() -> String {
    fs::read_to_string(root().join(HEADER)).unwrap()
}

/// A minimal plugin: the two macros, and a constant of each form.
const PLUGIN: &str = r#"
#include "anyflow.h"
ANYFLOW_DESCRIPTOR(descriptor, "{\"plugin\": \"empty\"}");
static const void *interface_of(AnyflowStrView id) { (void)id; return NULL; }
ANYFLOW_PLUGIN(descriptor, NULL, interface_of);
AnyflowDataType element(void);
AnyflowDataType element(void) { return ANYFLOW_DTYPE_F32; }
static const AnyflowStrView codecs = ANYFLOW_TEXT(ANYFLOW_CODEC_ID);
size_t length(void);
size_t length(void) { return codecs.len + ANYFLOW_STATUS_OK + ANYFLOW_ROLE_ENCODE + ANYFLOW_CELL_KIND_NULL; }
"#;

fn compile(compiler: &str, standard: &str, extension: &str, header: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("anyflow.h"), header).unwrap();
    let source = folder.path().join(format!("plugin.{extension}"));
    fs::write(&source, PLUGIN).unwrap();
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fPIC", "-c", "-o"];
    Command::new(compiler).arg(standard).args(strict).arg(folder.path().join("plugin.o")).arg(source).output().unwrap()
}

#[test]
fn the_committed_header_is_up_to_date() {
    let stale = generate(&root().join(SOURCES)).unwrap() != committed();
    assert!(!stale, "{HEADER} is stale: run cargo xtask header, and commit it");
}

#[test]
fn c_and_cpp_compile_the_header_without_warnings() {
    for (compiler, standard, extension) in [("cc", "-std=c11", "c"), ("c++", "-std=c++17", "cpp")] {
        let output = compile(compiler, standard, extension, &committed());
        assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_header_that_breaks_a_promised_layout_does_not_compile() {
    let field = "    uint16_t abi_minor;";
    let broken = committed().replacen(field, "    uint64_t abi_minor;", 1);
    assert_ne!(broken, committed());
    for (compiler, standard, extension) in [("cc", "-std=c11", "c"), ("c++", "-std=c++17", "cpp")] {
        let output = compile(compiler, standard, extension, &broken);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("offset of ABI 1.0"), "{compiler}: {said}");
    }
}

#[test]
fn every_field_has_an_asserted_offset() {
    let interface = read::interface(&root().join(SOURCES)).unwrap();
    for declared in &interface.items {
        let Form::Struct(item) = &declared.form else { continue };
        let promised = interface.layouts.iter().rfind(|layout| item.ident == layout.name);
        let promised = promised.unwrap_or_else(|| panic!("{} has no line in the table of layouts", item.ident));
        let fields: Vec<String> = item.fields.iter().map(|field| field.ident.as_ref().unwrap().to_string()).collect();
        let named: Vec<String> = promised.fields.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(fields, named, "{}", item.ident);
        assert_eq!(promised.relation, "==", "the last line of {} has its whole size", item.ident);
    }
}

#[test]
fn the_border_has_fewer_than_twenty_functions() {
    let interface = read::interface(&root().join(SOURCES)).unwrap();
    let count: usize = interface
        .items
        .iter()
        .map(|declared| match &declared.form {
            Form::Struct(item) => item.fields.iter().filter(|field| types::function(&field.ty).is_some()).count(),
            Form::Alias(item) => usize::from(types::function(&item.ty).is_some()),
            Form::Group | Form::Constant(_) => 0,
        })
        .sum();
    assert!((10..20).contains(&count), "{count} functions");
}

#[test]
fn a_function_without_a_role_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = "//! Docs.\n\n/// A table.\n#[repr(C)]\npub struct Table {\n    /// Does it.\n    \
                  pub act: Option<unsafe extern \"C\" fn(row: i64)>,\n}\n";
    fs::write(folder.path().join("lib.rs"), source).unwrap();
    let error = format!("{:#}", generate(folder.path()).unwrap_err());
    assert!(error.contains("struct Table") && error.contains("act") && error.contains("role"), "{error}");
    fs::write(folder.path().join("lib.rs"), source.replace("Does it.", "`[any]` Does it.")).unwrap();
    let header = generate(folder.path()).unwrap();
    assert!(header.contains("    /* `[any]` Does it. */\n    void (*act)(int64_t row);\n"), "{header}");
}
