//! The holder of a lock, stored in the lock file for the next process.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::regular::open_regular;

/// The most bytes that are read of a lock file; no holder writes more.
const MOST_BYTES: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    pid: u32,
    host: String,
    /// Time of the lock, in seconds since 1970.
    since: u64,
    /// Start of the process in ticks since boot, which distinguishes it from a later process with the same number.
    process_start: Option<u64>,
}

impl Holder {
    /// This process, now.
    pub(super) fn this() -> Holder {
        Holder {
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            since: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            process_start: start_of(std::process::id()),
        }
    }

    pub(super) fn write(&self, mut file: &File) -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// The holder in a lock file, as a phrase.
    pub(super) fn describe(file: &File) -> String {
        let mut text = String::new();
        // The holder may not have written it yet.
        let read = file.take(MOST_BYTES).read_to_string(&mut text).ok();
        match read.and_then(|_| serde_json::from_str::<Holder>(&text).ok()) {
            Some(holder) => holder.phrase(),
            None => "another process".into(),
        }
    }

    /// The holder in a lock file, as a phrase, unless it is a process of this machine that has ended.
    pub(super) fn running(lock: &Path) -> Option<String> {
        let mut text = String::new();
        open_regular(lock).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        let holder: Holder = serde_json::from_str(&text).ok()?;
        let has_ended = holder.host == Holder::this().host && start_of(holder.pid) != holder.process_start;
        (!has_ended).then(|| holder.phrase())
    }

    pub(super) fn phrase(&self) -> String {
        let in_a_name = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
        let host: String = self.host.chars().filter(in_a_name).take(64).collect();
        format!("process {} on host {host}, since {}", self.pid, utc(self.since))
    }
}

/// Field 22 of `/proc/PID/stat`, if it exists. The name in field 2 may hold spaces and brackets.
fn start_of(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Formats seconds since 1970 as date and time, with Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let second = seconds % 86_400;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00 UTC");
        assert_eq!(utc(13_574_649_599), "2400-02-29 23:59:59 UTC");
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let this = Holder::this();
        let running = |holder: &Holder| {
            holder.write(file.as_file()).unwrap();
            Holder::running(file.path())
        };
        assert!(running(&this).unwrap().starts_with(&format!("process {}", std::process::id())));
        let earlier = Holder { process_start: this.process_start.map(|start| start + 1), ..Holder::this() };
        assert_eq!(running(&earlier), None);
        let elsewhere = Holder { host: "another".into(), process_start: Some(1), ..this };
        assert!(running(&elsewhere).unwrap().contains("another"));
        assert_eq!(Holder::running(std::path::Path::new("/nothing/here")), None);
    }

    #[test]
    fn a_host_name_cannot_send_control_characters() {
        let holder = Holder { pid: 7, host: "a\u{1b}[2Jb".into(), since: 0, process_start: None };
        assert_eq!(holder.phrase(), "process 7 on host a2Jb, since 1970-01-01 00:00:00 UTC");
    }
}
