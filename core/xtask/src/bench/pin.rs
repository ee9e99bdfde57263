//! Pins all measured processes to one core.

use anyhow::Result;

/// Pins this process and its children to the last allowed core, since other processes mostly use the first. Returns the
/// core's number; `None` on systems without such a call.
///
/// # Errors
///
/// The system call fails.
#[cfg(target_os = "linux")]
pub fn to_one_core() -> Result<Option<usize>> {
    use anyhow::Context;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).context("cannot ask which cores may be used")?;
    let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)) else { return Ok(None) };
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).with_context(|| format!("cannot keep to core {last}"))?;
    Ok(Some(last))
}

/// Other systems cannot pin processes.
#[cfg(not(target_os = "linux"))]
pub fn to_one_core() -> Result<Option<usize>> {
    Ok(None)
}
