//! The memory that a job may use.

use std::sync::atomic::{AtomicU64, Ordering};

/// A job uses one in this many parts of the machine's memory by default.
const SHARE: u64 = 4;
/// The assumed memory of the machine if the system does not report it.
const UNKNOWN: u64 = 4 << 30;

/// The value of [`use_memory`]; 0 if it was not called.
static SET: AtomicU64 = AtomicU64::new(0);

/// Sets how many bytes the job of this process may use.
pub fn use_memory(bytes: u64) {
    SET.store(bytes, Ordering::Relaxed);
}

/// Bytes that the job of this process may use: set by [`use_memory`], else [`default_memory`].
pub fn memory() -> u64 {
    match SET.load(Ordering::Relaxed) {
        0 => default_memory(),
        said => said,
    }
}

/// Bytes that a job may use by default: a quarter of the machine's memory, or of the limit of the process or its
/// control group if that is less.
pub fn default_memory() -> u64 {
    let limits = [machine(), control_group(), process()];
    limits.into_iter().flatten().min().unwrap_or(UNKNOWN) / SHARE
}

fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of the process's control group and its parents, in either version.
fn control_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next().unwrap_or_default();
        let path = parts.next().unwrap_or_default();
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // Inside a container, the group's path may be that of the host; the container's own group is then the root.
        let around = std::path::Path::new(path).ancestors();
        let files = around.map(|group| format!("{root}{}/{file}", group.display().to_string().trim_end_matches('/')));
        files.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()).collect()
    });
    limits.min()
}

/// The lower one of the limits of `ulimit -v` and `ulimit -d`.
fn process() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let limit = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ["Max address space", "Max data size"].into_iter().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_share_of_the_memory() {
        let memory = default_memory();
        assert!(memory > 1 << 20, "{memory}");
        assert!(machine().is_none_or(|machine| memory <= machine / SHARE));
    }
}
