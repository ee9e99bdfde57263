//! The Python package with the built programs. Its own tests are in `core/python/tests`.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyflow_tests::{Numbers, Output, compile, files_below, leave_out, python, target};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/python");

/// Runs the tests of the package, with the project of numbers and two plugins that can crash.
#[test]
fn the_tests_of_the_package_pass() {
    let Some(python) = python() else { return };
    let numbers = Numbers::new();
    let plugins = numbers.path("plugins");
    for source in ["tests/native/ends.c", "tests/native/faults.c"] {
        compile(source, &[], &plugins);
    }
    let mut command = Command::new(python);
    command.args(["-m", "unittest", "discover", "--start-directory", "tests"]).current_dir(PACKAGE);
    command.envs([("PYTHONPATH", OsStr::new(PACKAGE)), ("PYTHONDONTWRITEBYTECODE", OsStr::new("yes"))]);
    command.env("ANYFLOW_PROGRAM", target().join("anyflow")).env("ANYFLOW_PLUGINS", plugins);
    command.env("ANYFLOW_TEST_PROJECT", numbers.path(""));
    let output = Output::of(command).ok();
    eprintln!("{}", output.err);
    assert!(!output.err.contains("Ran 0 tests"));
}

/// A new virtual environment gets the wheel, and sees the torch of this Python. Nothing but the wheel is installed, and
/// no index is asked, as on a machine without internet.
#[test]
fn an_installed_wheel_generates_with_the_installed_torch() {
    let Some(python) = python() else { return };
    let given = "import importlib.metadata, sys\n\
                 assert importlib.metadata.version('torch').startswith('2.11.')\n\
                 print(*filter(None, sys.path), sep=chr(10))";
    let packages = Output::of(command(&python, &["-c", given]));
    if packages.code != 0 {
        return leave_out("torch", "ANYFLOW_PYTHON names no Python with torch 2.11");
    }
    let folder = tempfile::tempdir().unwrap();
    let wheel = build_wheel(folder.path());
    let environment = folder.path().join("venv");
    let bin = environment.join("bin");
    Output::of(command(&python, &["-m", "venv", "--without-pip", text(&environment)])).ok();
    let site = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let site = Output::of(command(bin.join("python"), &["-c", site])).ok();
    std::fs::write(Path::new(site.out.trim()).join("given.pth"), packages.out).unwrap();

    let begin = Instant::now();
    let install = ["-m", "pip", "--python", text(&environment), "install", "--no-index", "--no-deps", text(&wheel)];
    Output::of(command(&python, &install)).ok();
    eprintln!("installed after {:.1} s", begin.elapsed().as_secs_f64());
    let doctor = Output::of(command(bin.join("anyflow"), &["doctor", "--json"])).ok().json();
    assert!(doctor["libtorch"]["detail"]["path"].as_str().unwrap().ends_with("/torch"), "{doctor}");
    let script = "import anyflow\nmade = anyflow.run(anyflow.PIPELINES / 'mld/joint.yaml', rows=1)\n\
                  print(made[0]['image'].mime_type)";
    let made = Output::of(command(bin.join("python"), &["-c", script])).ok();
    assert_eq!(made.out.trim(), "image/png");
    eprintln!("first image after {:.1} s", begin.elapsed().as_secs_f64());
}

/// A wheel of the built programs.
fn build_wheel(folder: &Path) -> PathBuf {
    let mut xtask = Command::new(target().join("xtask"));
    xtask.args(["wheel", "--profile", "dev", "--output"]).arg(folder).current_dir(Path::new(PACKAGE));
    Output::of(xtask).ok();
    files_below(folder, "whl").remove(0)
}

/// A command that knows nothing of this checkout.
fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["ANYFLOW_", "LIBTORCH", "LD_LIBRARY_PATH", "PYTHONPATH"].iter().any(|ours| name.starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
