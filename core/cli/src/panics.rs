//! How panics of this program's own threads are printed.

use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

use crate::escape;

/// Prints each panic as one line, without a backtrace, whatever `RUST_BACKTRACE` says. The standard library prints backtraces
/// under a lock that it takes again when an allocation fails: a panic in a process without memory would never end.
pub fn print_briefly() {
    set_hook(Box::new(print));
}

fn print(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let words = escape::line(panic.payload_as_str().unwrap_or("no reason given"));
    let mut out = std::io::stderr().lock();
    // If standard error is closed, the panic cannot be reported.
    let _ = match panic.location() {
        Some(place) => writeln!(out, "thread '{thread}' panicked at {place}: {words}"),
        None => writeln!(out, "thread '{thread}' panicked: {words}"),
    };
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    const CHILD: &str = "ANYFLOW_PANIC_WITHOUT_MEMORY";

    /// Not a test by itself: the other test starts it as a process.
    #[test]
    fn a_process_without_memory() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        print_briefly();
        let mut taken: Vec<Vec<u8>> = Vec::new();
        let mut size = 64 << 20;
        while size > 1 << 12 {
            let mut more = Vec::new();
            match more.try_reserve_exact(size) {
                Ok(()) => taken.push(more),
                Err(_) => size /= 2,
            }
        }
        panic!("no memory is left");
    }

    #[test]
    fn a_panic_without_memory_ends() {
        let script = "ulimit -v 1000000; exec \"$0\" --exact panics::tests::a_process_without_memory --nocapture";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let has_ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(has_ended && !output.status.success(), "{text}");
        assert!(text.contains("panicked at") && text.contains("no memory is left"), "{text}");
        assert!(!text.contains("stack backtrace"), "{text}");
    }
}
