//! Handlers of fatal signals and of `exit`: they record which plugin call the dying thread was in.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use anyflow_plan::calls::{Cause, Dying};
use libc::{c_int, c_void};

use super::{PROCESS, table};

/// The signals that a crash raises.
const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// The actions of the fatal signals before ours.
static BEFORE: OnceLock<[libc::sigaction; FATAL.len()]> = OnceLock::new();

/// Sets the handler of a signal and returns the action before.
///
/// # Safety
/// `handler` is an async-signal-safe function with the signature that `SA_SIGINFO` requires.
pub(super) unsafe fn handle(signal: c_int, handler: usize) -> io::Result<libc::sigaction> {
    // SAFETY: zeros are a valid `sigaction`; both live until the call returns.
    unsafe {
        let mut ours: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = handler;
        // Use the signal stack that Rust gives each of its threads, because the thread's own stack may have overflowed.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut ours.sa_mask);
        match libc::sigaction(signal, &raw const ours, &raw mut before) {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Installs the handler of the fatal signals.
///
/// # Safety
/// Must be called only once.
pub(super) unsafe fn note_signals() -> io::Result<()> {
    // SAFETY: zeros are a valid `sigaction`.
    let mut before: [libc::sigaction; FATAL.len()] = unsafe { std::mem::zeroed() };
    for (signal, before) in FATAL.into_iter().zip(&mut before) {
        // SAFETY: the handler only calls async-signal-safe functions.
        *before = unsafe { handle(signal, on_fatal as *const () as usize)? };
    }
    let _ = BEFORE.set(before);
    Ok(())
}

/// Records the plugin call of this thread, then restores the action before ours: Rust's handler reports a stack overflow,
/// and the default action ends the process.
unsafe extern "C" fn on_fatal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes valid information and context.
    let (code, sender, address) = unsafe { ((*info).si_code, (*info).si_pid(), address(context)) };
    // Signals sent by a process have a code of at most 0. They are not raised again when this handler returns.
    let is_sent = code <= 0;
    // SAFETY: a system call.
    let process = unsafe { libc::getpid() };
    if PROCESS.load(Ordering::Relaxed) == process {
        let sender = u32::try_from(sender).ok().filter(|_| is_sent && sender != process);
        note(Cause::Signal(signal.unsigned_abs()), sender, address);
    }
    let before = FATAL.iter().position(|known| *known == signal).and_then(|index| BEFORE.get()?.get(index));
    // SAFETY: the action came from the system, or is the default; the signal is blocked until this function returns.
    unsafe {
        match before {
            Some(before) if !is_sent => {
                libc::sigaction(signal, before, std::ptr::null_mut());
            }
            _ => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        if is_sent {
            libc::raise(signal);
        }
    }
}

fn note(cause: Cause, sender: Option<u32>, address: u64) {
    if let Some(calls) = table::existing() {
        calls.died(&Dying { cause, sender, slot: table::current(), address, thread: thread_name() });
    }
}

/// The address of the instruction that a signal interrupted; 0 if it is not known.
///
/// # Safety
/// `context` is the context of a signal handler.
unsafe fn address(context: *mut c_void) -> u64 {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    // SAFETY: as the caller promises, the system made it for this handler.
    return unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] as u64 };
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    // SAFETY: as above.
    return unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc };
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let _ = context;
        0
    }
}

fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    #[cfg(target_os = "linux")]
    // SAFETY: the system writes at most 16 bytes.
    unsafe {
        libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
    }
    name
}

/// Records a call of `exit`, which only a plugin makes, and ends the process at once: the destructors of libtorch must not
/// run while other threads use it.
///
/// # Safety
/// Must be called only once.
pub(super) unsafe fn note_exit() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function is glibc's, and the handler stays.
    unsafe {
        unsafe extern "C" {
            fn on_exit(handler: extern "C" fn(c_int, *mut c_void), context: *mut c_void) -> c_int;
        }
        extern "C" fn exits(code: c_int, _context: *mut c_void) {
            // SAFETY: system calls.
            unsafe {
                if PROCESS.load(Ordering::Relaxed) == libc::getpid() {
                    note(Cause::Exit, None, 0);
                    libc::_exit(code);
                }
            }
        }
        on_exit(exits, std::ptr::null_mut());
    }
}
