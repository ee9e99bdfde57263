//! Fetches libtorch: pip downloads three wheels, their CPU parts are unpacked, a rename publishes the result.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zip::result::ZipError;

use crate::{cache, libtorch, torch_wheel};

/// The wheels by name and hash, so that every machine gets the same bytes. That of torch is for Python 3.11, but the
/// parts that we take do not depend on Python.
const WHEELS: &str = "\
torch==2.11.0 --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
";

/// Makes pip fetch these wheels with any Python. Each platform tag belongs to one of the wheels.
const WHICH_WHEELS: &str = "--no-deps --require-hashes --only-binary :all: --implementation cp --python-version 3.11 \
     --abi cp311 --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
     --platform manylinux_2_17_x86_64";

/// `-ltorch` must find a library, but the one in the wheel pulls in CUDA.
const LIBTORCH_SCRIPT: &str = "INPUT(libtorch_cpu.so libc10.so)\n";

/// The alternative that always works.
const OTHERWISE: &str =
    "Or unpack libtorch 2.11.0 yourself and set LIBTORCH to its folder (the one with lib and include)";

/// Why libtorch could not be fetched. Each text says what the user must do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The wheels exist for one platform only.
    #[error("libtorch is fetched only for Linux on x86-64. {OTHERWISE}.")]
    Platform,
    /// No Python.
    #[error("python3 was not found, but its pip is needed to fetch libtorch. Install Python 3 with pip. {OTHERWISE}.")]
    NoPython,
    /// No pip.
    #[error(
        "python3 has no pip, which is needed to fetch libtorch. Install it (package python3-pip, or `python3 -m ensurepip`). \
         {OTHERWISE}."
    )]
    NoPip,
    /// A wheel has another hash.
    #[error(
        "a wheel has the wrong hash: the server is not PyPI, or the download was cut. Try again; check \
         `python3 -m pip config list` for another index. {OTHERWISE}."
    )]
    Hash,
    /// The disk is full.
    #[error(
        "no space left: libtorch needs 1.2 GB during the download and 0.6 GB afterwards, in {}. Free some, or point \
         XDG_CACHE_HOME at another disk.", .0.display()
    )]
    Disk(PathBuf),
    /// Another error of pip.
    #[error(
        "pip could not download libtorch; see its message above. Check that this machine can reach PyPI. {OTHERWISE}."
    )]
    Pip,
    /// A wheel cannot be read.
    #[error("cannot unpack {}: try again", .wheel.display())]
    Wheel { wheel: PathBuf, source: ZipError },
    /// A wheel lacks a file.
    #[error("the wheels do not contain {0}: please report this")]
    Missing(&'static str),
    /// A folder cannot be written.
    #[error("cannot write {}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The cache folder cannot be written.
    #[error(transparent)]
    Cache(#[from] anyhow::Error),
}

/// Fetches libtorch into a folder of the cache that does not exist yet.
///
/// # Errors
///
/// [`FetchError`], which says what to do.
pub fn into(destination: &Path) -> Result<(), FetchError> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(FetchError::Platform);
    }
    let cache = destination.parent().unwrap_or(destination);
    eprintln!("fetching libtorch {} once from PyPI, about 540 MB, into {}", libtorch::VERSION, cache.display());
    let work = cache::temporary(cache)?;
    let tree = work.path().join("libtorch");
    let filled = download(work.path()).and_then(|()| unpack(work.path(), &tree));
    filled.map_err(|error| if is_disk_full(&error) { FetchError::Disk(cache.into()) } else { error })?;
    publish(&tree, destination)
}

/// Downloads the wheels with pip.
fn download(folder: &Path) -> Result<(), FetchError> {
    let list = folder.join("wheels.txt");
    fs::write(&list, WHEELS).map_err(writing(&list))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir"]);
    pip.args(WHICH_WHEELS.split_whitespace()).arg("--dest").arg(folder).arg("--requirement").arg(&list);
    // The wheel of torch would fill a small /tmp.
    pip.env("TMPDIR", folder);
    let (succeeded, complaints) = run(&mut pip)?;
    if succeeded { Ok(()) } else { Err(judge(&complaints, folder)) }
}

/// Runs pip, showing and keeping its error output.
fn run(pip: &mut Command) -> Result<(bool, String), FetchError> {
    let mut running = pip.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|_| FetchError::NoPython)?;
    let mut complaints = String::new();
    for line in
        running.stderr.take().into_iter().flat_map(|stream| BufReader::new(stream).lines()).map_while(Result::ok)
    {
        eprintln!("{line}");
        complaints.extend([&line, "\n"]);
    }
    let status = running.wait().map_err(|_| FetchError::Pip)?;
    Ok((status.success(), complaints))
}

/// Maps pip's error output to an error.
fn judge(complaints: &str, folder: &Path) -> FetchError {
    let says = |words: &str| complaints.contains(words);
    if says("No module named pip") {
        FetchError::NoPip
    } else if says("DO NOT MATCH THE HASHES") {
        FetchError::Hash
    } else if says("No space left on device") {
        FetchError::Disk(folder.parent().unwrap_or(folder).into())
    } else {
        FetchError::Pip
    }
}

/// Unpacks all wheels of a folder and adds the missing files.
fn unpack(folder: &Path, tree: &Path) -> Result<(), FetchError> {
    let entries = fs::read_dir(folder).map_err(writing(folder))?;
    for wheel in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "whl"))
    {
        torch_wheel::unpack(&wheel, tree).map_err(|source| FetchError::Wheel { wheel: wheel.clone(), source })?;
    }
    for (file, text) in [("lib/libtorch.so", LIBTORCH_SCRIPT), ("build-version", libtorch::VERSION)] {
        let path = tree.join(file);
        fs::write(&path, text).map_err(writing(&path))?;
    }
    let is_missing = |entry: &&str| !torch_wheel::place(entry).is_some_and(|place| tree.join(place).is_file());
    torch_wheel::LIBRARIES.into_iter().find(is_missing).map_or(Ok(()), |entry| Err(FetchError::Missing(entry)))
}

/// If a concurrent run was faster, its copy stays.
fn publish(tree: &Path, destination: &Path) -> Result<(), FetchError> {
    match fs::rename(tree, destination) {
        Err(error) if !destination.exists() => Err(writing(destination)(error)),
        _ => Ok(()),
    }
}

fn writing(path: &Path) -> impl Fn(io::Error) -> FetchError {
    move |source| FetchError::Write { path: path.into(), source }
}

fn is_disk_full(error: &FetchError) -> bool {
    match error {
        FetchError::Write { source, .. } | FetchError::Wheel { source: ZipError::Io(source), .. } => {
            source.kind() == io::ErrorKind::StorageFull
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(complaints: &str, expected: fn(&FetchError) -> bool) {
        let error = judge(complaints, Path::new("/cache/anyflow/temporary-1"));
        assert!(expected(&error), "{complaints}: {error:?}");
    }

    #[test]
    fn pip_errors_are_recognized() {
        check("/usr/bin/python3: No module named pip\n", |error| matches!(error, FetchError::NoPip));
        check("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", |error| {
            matches!(error, FetchError::Hash)
        });
        check(
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            |error| matches!(error, FetchError::Disk(cache) if cache == Path::new("/cache/anyflow")),
        );
        check("ERROR: No matching distribution found for torch==2.11.0", |error| matches!(error, FetchError::Pip));
    }

    #[test]
    fn a_full_disk_is_recognized() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_disk_full(&writing(Path::new("/cache"))(full())));
        assert!(is_disk_full(&FetchError::Wheel { wheel: "a.whl".into(), source: ZipError::Io(full()) }));
        assert!(!is_disk_full(&FetchError::Pip));
    }

    #[test]
    fn the_faster_run_wins() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        let theirs = folder.path().join("theirs");
        fs::create_dir(&ours).unwrap();
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("build-version"), "theirs").unwrap();
        publish(&ours, &theirs).unwrap();
        assert_eq!(fs::read_to_string(theirs.join("build-version")).unwrap(), "theirs");
        publish(&theirs, &folder.path().join("published")).unwrap();
        assert!(publish(&folder.path().join("nothing"), &folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn the_wheel_and_tch_are_of_one_version() {
        assert!(WHEELS.starts_with(&format!("torch=={} ", libtorch::VERSION)));
    }
}
