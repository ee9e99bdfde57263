//! Ctrl-C: the first asks the engine to end, the second kills it. The end of standard input may count as one.

use std::io::{ErrorKind, Read};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// Process groups of the running engines.
static ENGINES: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// Number of interrupts since the first of them started.
static COUNT: AtomicU32 = AtomicU32::new(0);
static HANDLER: Once = Once::new();

/// While this value lives, interrupts go to the engine instead of ending this program.
pub(super) struct Guard(u32);

impl Guard {
    /// True if the user pressed Ctrl-C.
    pub(super) fn interrupted(&self) -> bool {
        COUNT.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut engines = engines();
        engines.retain(|engine| *engine != self.0);
        if engines.is_empty() {
            COUNT.store(0, Ordering::SeqCst);
        }
    }
}

/// Sends interrupts to the process group of an engine.
pub(super) fn watch(process: u32) -> Guard {
    engines().push(process);
    HANDLER.call_once(|| {
        // Fails only if the process has another handler. Then Ctrl-C ends this program.
        let _ = ctrlc::set_handler(interrupt);
    });
    Guard(process)
}

/// Interrupts when standard input ends: the program that holds its other end is gone, or wants the job to stop.
///
/// # Errors
/// No thread can be started.
pub fn at_end_of_input() -> std::io::Result<()> {
    let wait = || {
        let mut ignored = [0; 64];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut ignored) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return interrupt(),
            }
        }
    };
    std::thread::Builder::new().name("input-end".into()).spawn(wait).map(drop)
}

/// Acts as a press of Ctrl-C.
pub fn interrupt() {
    let engines = engines().clone();
    if engines.is_empty() {
        std::process::exit(1);
    }
    let again = COUNT.fetch_add(1, Ordering::SeqCst) > 0;
    engines.into_iter().for_each(|engine| signal(engine, again));
}

fn engines() -> MutexGuard<'static, Vec<u32>> {
    ENGINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the engine into its own process group, since the terminal sends Ctrl-C to the foreground group.
pub(super) fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Kills a process group. Its first process must not have been waited for: until then, its id cannot be reused.
pub(super) fn kill_group(group: u32) {
    signal(group, true);
}

fn signal(group: u32, hard: bool) {
    let signal = if hard { Signal::KILL } else { Signal::TERM };
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group may be gone already.
        let _ = kill_process_group(group, signal);
    }
}
