//! Selects the files of the Python wheels that make up libtorch.
//!
//! The torch wheel on PyPI is the CUDA build of 530 MB. The CPU needs three of its libraries and the headers.
//! `libtorch_cpu` still links to two small CUDA libraries, which come from separate wheels.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

/// The libraries to take, by their names in the wheels.
pub const LIBRARIES: [&str; 5] = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// The place of a wheel's file in our folder; `None` if it is not needed.
pub fn place(entry: &str) -> Option<PathBuf> {
    if LIBRARIES.contains(&entry) {
        return Some(Path::new("lib").join(Path::new(entry).file_name()?));
    }
    let header = Path::new(entry.strip_prefix("torch/include/")?);
    let inside = header.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && !entry.ends_with('/')).then(|| Path::new("include").join(header))
}

/// Unpacks the needed files of a wheel into a folder. Verifies the archive's checksums.
///
/// # Errors
///
/// The wheel cannot be read, or the folder cannot be written.
pub fn unpack(wheel: &Path, folder: &Path) -> Result<(), ZipError> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(place) = place(entry.name()) else { continue };
        let path = folder.join(place);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut File::create(path)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(entry: &str, expected: Option<&str>) {
        assert_eq!(place(entry), expected.map(PathBuf::from), "{entry}");
    }

    #[test]
    fn the_cpu_libraries_are_taken() {
        check("torch/lib/libtorch_cpu.so", Some("lib/libtorch_cpu.so"));
        check("torch/lib/libgomp.so.1", Some("lib/libgomp.so.1"));
        check("nvidia/cu13/lib/libcudart.so.13", Some("lib/libcudart.so.13"));
        check("nvidia/cu13/lib/libcupti.so.13", Some("lib/libcupti.so.13"));
    }

    #[test]
    fn the_headers_are_taken() {
        check("torch/include/ATen/ATen.h", Some("include/ATen/ATen.h"));
        check(
            "torch/include/torch/csrc/api/include/torch/torch.h",
            Some("include/torch/csrc/api/include/torch/torch.h"),
        );
    }

    #[test]
    fn the_rest_is_left_out() {
        for entry in [
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch.so",
            "torch/lib/libtorch_python.so",
            "torch/nn/functional.py",
            "torch/include/",
            "torch/include/ATen/",
            "nvidia/cu13/include/cupti.h",
            "nvidia/cu13/lib/libnvperf_host.so",
        ] {
            check(entry, None);
        }
    }

    #[test]
    fn nothing_is_written_outside_the_folder() {
        check("torch/include/../../../.bashrc", None);
        check("torch/include//etc/passwd", None);
    }

    #[test]
    fn unpacking_takes_those_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("some.whl");
        let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
        for entry in ["torch/lib/libc10.so", "torch/include/c10/macros.h", "torch/__init__.py"] {
            archive.start_file(entry, zip::write::FileOptions::default()).unwrap();
            archive.write_all(entry.as_bytes()).unwrap();
        }
        archive.finish().unwrap();

        let tree = folder.path().join("tree");
        unpack(&wheel, &tree).unwrap();
        assert_eq!(fs::read_to_string(tree.join("lib/libc10.so")).unwrap(), "torch/lib/libc10.so");
        assert!(tree.join("include/c10/macros.h").is_file());
        assert_eq!(fs::read_dir(&tree).unwrap().count(), 2);
    }
}
