//! Lets tests find libtorch wherever the target folder is. The plugin itself uses the libtorch of the engine.

fn main() {
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}/.libtorch/lib", env!("CARGO_MANIFEST_DIR"));
}
