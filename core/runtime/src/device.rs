//! Devices by name. The program is linked to the CPU libraries; CUDA's are opened when they are asked for.

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::Device;

use crate::{Result, RunError};

/// `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`RunError::Data`] when there is no such device, with what to do.
pub fn open(name: &str) -> Result<Device> {
    let ordinal = match name.split_once(':') {
        _ if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => 0,
        Some(("cuda", n)) => n.parse().map_err(|_| unknown(name))?,
        _ => return Err(unknown(name)),
    };
    if !cuda_libraries() {
        return Err(RunError::Data(format!(
            "device {name}: the libtorch found has no libtorch_cuda.so; set LIBTORCH to a CUDA build of libtorch \
             {}, or use --device cpu",
            crate::LIBTORCH
        )));
    }
    match usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
        count if ordinal < count => Ok(Device::Cuda(ordinal)),
        count => Err(RunError::Data(format!("device {name}: libtorch sees {count} CUDA devices; use --device cpu"))),
    }
}

/// Whether libtorch's CUDA libraries could be opened. Must come before libtorch's first CUDA query, which remembers
/// its answer.
pub fn cuda_libraries() -> bool {
    // SAFETY: the library is libtorch's own; its constructors register kernels and nothing else. It is never closed.
    match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// What results depend on of a device: which one of several it is does not count.
pub fn kind(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Mps => "mps",
        Device::Vulkan => "vulkan",
    }
}

fn unknown(name: &str) -> RunError {
    RunError::Data(format!("device {name:?} is not known; use cpu, cuda or cuda:N"))
}
