//! How much memory there is to use.

use std::sync::atomic::{AtomicU64, Ordering};

/// Part of the machine's memory that a job uses unless it is told otherwise.
const SHARE: u64 = 4;
/// Taken for the machine's memory where the system does not tell.
const UNKNOWN: u64 = 4 << 30;

/// What was said by [`use_memory`]; 0 for nothing.
static SAID: AtomicU64 = AtomicU64::new(0);

/// Says how many bytes the job of this process may use.
pub fn use_memory(bytes: u64) {
    SAID.store(bytes, Ordering::Relaxed);
}

/// Bytes that the job of this process may use: what [`use_memory`] said, else [`default_memory`].
pub fn memory() -> u64 {
    match SAID.load(Ordering::Relaxed) {
        0 => default_memory(),
        said => said,
    }
}

/// Bytes that a job may use unless it is told otherwise: a quarter of what the machine has, or of what the process or its
/// control group is limited to, if that is less.
pub fn default_memory() -> u64 {
    let limits = [machine(), control_group(), address_space()];
    limits.into_iter().flatten().min().unwrap_or(UNKNOWN) / SHARE
}

fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limit of the process's own control group and of those around it, in either version.
fn control_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // Inside a container the group's path may be that of the outside; its own group is then the root.
        let around = std::path::Path::new(path).ancestors();
        let files = around.map(|group| format!("{root}{}/{file}", group.display().to_string().trim_end_matches('/')));
        files.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()).collect()
    });
    limits.min()
}

/// `ulimit -v`.
fn address_space() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_there_is() {
        let memory = default_memory();
        assert!(memory > 1 << 20, "{memory}");
        assert!(machine().is_none_or(|machine| memory <= machine / SHARE));
    }
}
