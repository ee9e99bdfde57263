//! Plugins in C and C++, compiled by the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_plan::plan::Component;
use serde_json::Value;

/// Compiles a source of this repository, given by its path from the root, into a library in `folder`, with these macros
/// (`NAME` or `NAME=VALUE`). A file `anyflow.h` next to the source takes precedence over the current one.
///
/// # Panics
/// If it does not compile without warnings.
pub fn compile(source: &str, macros: &[&str], folder: &Path) -> PathBuf {
    compile_with(source, macros, &[], folder)
}

/// As [`compile`], with more options for the compiler.
///
/// # Panics
/// If it does not compile without warnings.
pub fn compile_with(source: &str, macros: &[&str], options: &[&str], folder: &Path) -> PathBuf {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let source = root.join(source);
    let name = source.file_stem().and_then(|stem| stem.to_str()).expect("a source has a name");
    let library = folder.join(format!("libanyflow_{name}.so"));
    let is_cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let (compiler, standard) = if is_cpp { ("c++", "-std=c++17") } else { ("cc", "-std=c11") };
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"])
        .args(options)
        .args(macros.iter().map(|name| format!("-D{name}")))
        .arg("-I")
        .arg(root.join("core/abi/include"))
        .arg(&source)
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C compiler, which is needed to build Anyflow");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// A component of a library, given as `plugin/component`.
///
/// # Panics
/// If `name` has no slash.
pub fn native_component(library: &Path, name: &str, parameters: Value) -> Component {
    let (plugin, id) = name.split_once('/').expect("plugin/component");
    Component { plugin: plugin.into(), id: id.into(), library: library.display().to_string(), parameters }
}
