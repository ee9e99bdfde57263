//! The exported static: versions, descriptor and tables.

use super::descriptor::{self, Plugin};
use super::outcome::{Protocol, Verdict};
use crate::abi::array::{self, ArrayInterface};
use crate::abi::codec::{self, CodecInterface};
use crate::abi::{ABI_MAJOR, ABI_MINOR, Entry, Host, MAGIC, StrView, status};

/// Checks the entry itself. Returns the descriptor if the other checks can run.
pub(super) fn check(entry: &'static Entry, protocol: &mut Protocol<'_>) -> Option<Plugin> {
    if !protocol.check("entry", || fields(entry)) {
        return None;
    }
    let mut plugin = None;
    protocol.check("descriptor", || {
        // SAFETY: the descriptor of an entry is static text.
        let text = unsafe { entry.descriptor.bytes() }.map_err(|why| format!("it {why}"))?;
        let text = std::str::from_utf8(text).map_err(|e| format!("not UTF-8: {e}"))?;
        let read: Plugin = serde_json::from_str(text).map_err(|e| format!("not understood: {e}"))?;
        let verdict = descriptor::check(&read);
        plugin = Some(read);
        verdict
    });
    plugin
}

fn fields(entry: &'static Entry) -> Verdict {
    if entry.magic != MAGIC {
        return Err("it does not start with the magic number".into());
    }
    if entry.abi_major != ABI_MAJOR {
        let major = entry.abi_major;
        let minor = entry.abi_minor;
        return Err(format!("it has ABI {major}.{minor}, but this test kit checks {ABI_MAJOR}.{ABI_MINOR}").into());
    }
    if (entry.struct_size as usize) < size_of::<Entry>() {
        return Err(
            format!("its struct_size is {}; it must be at least {}", entry.struct_size, size_of::<Entry>()).into()
        );
    }
    if entry.interface.is_none() {
        return Err("`interface` is missing".into());
    }
    for call in 1..=2 {
        // SAFETY: the host table is static.
        let code = entry.init.map_or(status::OK, |init| unsafe { init(&HOST) });
        if code != status::OK {
            return Err(
                format!("call {call} of `init` returned status {code}; any number of calls must succeed").into()
            );
        }
    }
    if !table(entry, "anyflow.nothing/1").is_null() {
        return Err("it offers an interface that does not exist".into());
    }
    Ok(format!("ABI {}.{}", entry.abi_major, entry.abi_minor))
}

/// The table of codecs.
pub(super) fn codecs(entry: &'static Entry) -> Option<&'static CodecInterface> {
    // SAFETY: the table of an interface is static and of the type that its id names, or null.
    unsafe { table(entry, codec::ID).cast::<CodecInterface>().as_ref() }
}

/// The table of array modules.
pub(super) fn arrays(entry: &'static Entry) -> Option<&'static ArrayInterface> {
    // SAFETY: as above.
    unsafe { table(entry, array::ID).cast::<ArrayInterface>().as_ref() }
}

/// The table of modules.
#[cfg(feature = "torch")]
pub(super) fn modules(entry: &'static Entry) -> Option<&'static crate::abi::torch::TorchInterface> {
    // SAFETY: as above.
    unsafe { table(entry, crate::abi::torch::ID).cast::<crate::abi::torch::TorchInterface>().as_ref() }
}

/// The table of modules without memory.
#[cfg(feature = "torch")]
pub(super) fn dry(entry: &'static Entry) -> Option<&'static crate::abi::dry::DryInterface> {
    // SAFETY: as above.
    unsafe { table(entry, crate::abi::dry::ID).cast::<crate::abi::dry::DryInterface>().as_ref() }
}

fn table(entry: &'static Entry, id: &str) -> *const std::ffi::c_void {
    // SAFETY: the id is readable during the call.
    entry.interface.map_or(std::ptr::null(), |interface| unsafe { interface(StrView::new(id.as_bytes())) })
}

/// A host without a log.
static HOST: Host = Host { struct_size: size_of::<Host>() as u32, abi_minor: ABI_MINOR as u32, log: None };
