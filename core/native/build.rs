//! Compiles the shim against the libtorch that torch-sys found, with the same flags.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=shim/native.cpp");
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let include = include_dir();
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_string());
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false)
        // The norm of a gradient is a loop in the shim, which is fast only if vectorized.
        .opt_level(3)
        .includes([include.clone(), include.join("torch/csrc/api/include")])
        .flag("-std=c++17")
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        .file("shim/native.cpp")
        .compile("anyflow_native_shim");
}

/// The include folder: `LIBTORCH_INCLUDE` as in torch-sys; otherwise the headers next to the libraries that torch-sys
/// links.
fn include_dir() -> PathBuf {
    let root = env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from).or_else(|| {
        let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB")?;
        Path::new(&libraries).parent().map(Path::to_path_buf)
    });
    match root {
        Some(root) => root.join("include"),
        None => {
            println!("cargo:error=torch-sys did not report the folder of libtorch; set LIBTORCH_INCLUDE to its folder");
            std::process::exit(1);
        }
    }
}
