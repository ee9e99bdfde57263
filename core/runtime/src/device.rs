//! Devices by name. The program is linked to the CPU libraries. It opens the CUDA libraries on demand, from the same
//! folder.

use std::path::PathBuf;
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::Device;

use crate::{Result, RunError};

/// Opens `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`RunError::Data`]: the device does not exist; the text says what to do.
pub fn open(name: &str) -> Result<Device> {
    let ordinal = match name.split_once(':') {
        _ if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => 0,
        Some(("cuda", n)) => n.parse().map_err(|_| unknown(name))?,
        _ => return Err(unknown(name)),
    };
    if !cuda_libraries() {
        return Err(RunError::Data(format!(
            "device {name}: this libtorch has no libtorch_cuda.so; set LIBTORCH to a CUDA build of libtorch {}, or use \
             --device cpu",
            crate::LIBTORCH
        )));
    }
    match usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
        count if ordinal < count => Ok(Device::Cuda(ordinal)),
        count => Err(RunError::Data(format!(
            "device {name}: libtorch finds {count} CUDA devices, numbered from 0; use one of them or --device cpu"
        ))),
    }
}

/// Opens libtorch's CUDA libraries; false if that fails. Must run before libtorch's first CUDA query, because libtorch
/// caches the answer.
pub fn cuda_libraries() -> bool {
    let Some(path) = libtorch().map(|folder| folder.join("libtorch_cuda.so")).filter(|path| path.is_file()) else {
        return false;
    };
    // SAFETY: the library belongs to the loaded libtorch and is in the same folder; its constructors only register
    // kernels. It is never closed.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(error) => {
            tracing::warn!("libtorch_cuda.so cannot be loaded: {error}");
            false
        }
    }
}

/// The kind of a device. Results depend on it, but not on the device's index.
pub fn kind(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Mps => "mps",
        Device::Vulkan => "vulkan",
    }
}

/// The folder of the libtorch that this process has loaded, absolute.
pub fn libtorch() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| folder_of("libtorch_cpu.so", &std::fs::read_to_string("/proc/self/maps").ok()?)).as_ref()
}

/// The folder of a library among the mappings of a process.
fn folder_of(library: &str, maps: &str) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let path = paths.into_iter().find(|path| path.file_name().is_some_and(|name| name == library))?;
    path.parent().map(PathBuf::from)
}

fn unknown(name: &str) -> RunError {
    RunError::Data(format!("unknown device {name:?}; use cpu, cuda or cuda:N"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorchs_folder_is_found_in_the_memory_map() {
        let maps = "55d0-55d1 r-xp 00000000 fe:00 12 /opt/bin/anyflow-engine\n\
                    7f00-7f01 rw-p 00000000 00:00 0 \n\
                    7f01-7f02 r-xp 00000000 fe:00 13 /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_of("libtorch_cpu.so", maps), Some("/opt/my torch/lib".into()));
        assert_eq!(folder_of("libtorch_cuda.so", maps), None);
        let folder = libtorch().unwrap();
        assert!(folder.is_absolute() && folder.join("libtorch_cpu.so").is_file());
    }
}
