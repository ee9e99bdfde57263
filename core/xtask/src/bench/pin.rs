//! One core for everything that is timed.

use anyhow::Result;

/// Keeps this process, and what it starts, on the last core it may use; the first is where most else runs. The number
/// of the core, or nothing where a system has no such call.
///
/// # Errors
///
/// The system refuses.
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

/// Other systems move processes as they like.
#[cfg(not(target_os = "linux"))]
pub fn to_one_core() -> Result<Option<usize>> {
    Ok(None)
}
