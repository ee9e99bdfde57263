//! The process itself: how it ends, and what it notes when something else ends it.
//!
//! A plugin can crash or call `exit` in any thread. Then the dying thread notes in the [table of calls](anyflow_plan::calls)
//! which call it was in. It only stores into memory that the front shares: the heap and every lock may be in any state.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use anyflow_plan::calls::{Cause, Dying, Table, WORDS};
use libc::{c_int, c_void};
use memmap2::MmapRaw;

use crate::plugin::watch;

static TABLE: OnceLock<Table<'static>> = OnceLock::new();
/// This process, and not one that a plugin forked.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// What the fatal signals did before.
static BEFORE: OnceLock<[libc::sigaction; FATAL.len()]> = OnceLock::new();

/// The signals of a crash.
const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// The calls into plugins that are under way in this process.
pub(crate) fn calls() -> Table<'static> {
    *TABLE.get_or_init(Table::own)
}

/// Prepares for the case of a crash. `shared` is the descriptor of a file that holds the table of calls and that belongs
/// to this call.
///
/// # Errors
/// The file is no table, or the system refuses.
pub fn prepare(shared: Option<i32>) -> io::Result<()> {
    PROCESS.store(rustix::process::getpid().as_raw_pid(), Ordering::SeqCst);
    if let Some(descriptor) = shared {
        let table = map(descriptor)?;
        TABLE.get_or_init(|| table);
    }
    calls();
    // SAFETY: the handlers only call what POSIX allows in them.
    unsafe {
        note_signals()?;
        note_exit();
        print_by_lines();
    }
    Ok(())
}

/// Ends this process at once: no destructor of a library runs beside threads that still work.
pub fn end(code: u8) -> ! {
    // SAFETY: it does not return, and runs nothing of this process.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// Ends this process and whatever its plugins have started, if they are a group of their own.
pub fn end_group() -> ! {
    // SAFETY: system calls, none of which touches memory.
    unsafe {
        let process = libc::getpid();
        if libc::getpgrp() == process {
            libc::kill(-process, libc::SIGKILL);
        }
    }
    end(1)
}

/// Lets the system end this process with its group when its parent ends, should it not hear of that itself.
pub(crate) fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the handler only calls what POSIX allows in it.
        let handled = unsafe { handle(libc::SIGHUP, on_hangup as *const () as usize) };
        if handled.is_ok() {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::HUP));
        }
    }
}

/// Notes where the code of a library lies that has something at this address.
pub(crate) fn note_code(plugin: &str, address: *const c_void) {
    let mut found = Found { address: address as u64, code: 0..0 };
    // SAFETY: the callback gets `found`, which lives until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(on_library), (&raw mut found).cast()) };
    if !found.code.is_empty() {
        calls().library(plugin, found.code);
    }
}

/// A library that is looked for.
struct Found {
    address: u64,
    code: std::ops::Range<u64>,
}

unsafe extern "C" fn on_library(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: the loader gives valid information, and `found` is what was passed to it.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's table has as many headers as it says.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let parts = loaded.map(|header| {
        let begin = (info.dlpi_addr as u64).wrapping_add(header.p_vaddr as u64);
        begin..begin.saturating_add(header.p_memsz as u64)
    });
    let whole = parts.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
    if !whole.contains(&found.address) {
        return 0;
    }
    found.code = whole;
    1
}

/// The table in a file of another program's making.
fn map(descriptor: i32) -> io::Result<Table<'static>> {
    // SAFETY: whoever starts this process says that the descriptor is for this; it is used here alone, and closed.
    let file = unsafe { File::from_raw_fd(descriptor) };
    if file.metadata()?.len() != WORDS as u64 * 8 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no table of calls of this release"));
    }
    let memory = std::mem::ManuallyDrop::new(MmapRaw::map_raw(&file)?);
    // SAFETY: the memory is page-aligned, as long as this, and mapped for the life of the process. The front only reads
    // it once this process has ended.
    let words: &'static [AtomicU64] = unsafe { std::slice::from_raw_parts(memory.as_mut_ptr().cast(), WORDS) };
    Table::new(words).ok_or_else(|| io::Error::other("the table of calls has another size"))
}

/// # Safety
/// `handler` is a function that POSIX allows as a handler of signals, of the kind that `SA_SIGINFO` means.
unsafe fn handle(signal: c_int, handler: usize) -> io::Result<libc::sigaction> {
    // SAFETY: zeros are a valid `sigaction`; both live until the call returns.
    unsafe {
        let (mut ours, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        ours.sa_sigaction = handler;
        // On the stack that Rust gives each of its threads for this: the thread's own may have overflowed.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut ours.sa_mask);
        match libc::sigaction(signal, &raw const ours, &raw mut before) {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// # Safety
/// As [`handle`]; called once.
unsafe fn note_signals() -> io::Result<()> {
    // SAFETY: zeros are a valid `sigaction`.
    let mut before: [libc::sigaction; FATAL.len()] = unsafe { std::mem::zeroed() };
    for (signal, before) in FATAL.into_iter().zip(&mut before) {
        // SAFETY: the handler keeps to what POSIX allows.
        *before = unsafe { handle(signal, on_fatal as *const () as usize)? };
    }
    let _ = BEFORE.set(before);
    Ok(())
}

/// Notes where this thread was, then lets the signal do what it did before: Rust's own handler tells of an overflow of the
/// stack, and the default ends the process.
unsafe extern "C" fn on_fatal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives valid information and context.
    let (code, sender, address) = unsafe { ((*info).si_code, (*info).si_pid(), address(context)) };
    // What a process sends has a code of at most 0, and is not sent again by what caused it.
    let is_sent = code <= 0;
    // SAFETY: a system call.
    let process = unsafe { libc::getpid() };
    if PROCESS.load(Ordering::Relaxed) == process {
        let sender = u32::try_from(sender).ok().filter(|_| is_sent && sender != process);
        note(Cause::Signal(signal.unsigned_abs()), sender, address);
    }
    let before = FATAL.iter().position(|known| *known == signal).and_then(|index| BEFORE.get()?.get(index));
    // SAFETY: both are actions as the system gave them, or the default; the signal is blocked until this returns.
    unsafe {
        match before {
            Some(before) if !is_sent => drop(libc::sigaction(signal, before, std::ptr::null_mut())),
            _ => drop(libc::signal(signal, libc::SIG_DFL)),
        }
        if is_sent {
            libc::raise(signal);
        }
    }
}

#[cfg(target_os = "linux")]
unsafe extern "C" fn on_hangup(_signal: c_int, _info: *mut libc::siginfo_t, _context: *mut c_void) {
    end_group();
}

fn note(cause: Cause, sender: Option<u32>, address: u64) {
    if let Some(table) = TABLE.get() {
        table.died(&Dying { cause, sender, slot: watch::current(), address, thread: thread_name() });
    }
}

/// Where the code was that a signal interrupted; 0 where that is not known.
///
/// # Safety
/// `context` is that of a handler.
unsafe fn address(context: *mut c_void) -> u64 {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    // SAFETY: as promised, it is what the system made for this handler.
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

/// Notes a call of `exit`, which is never ours, and ends the process there: the destructors of libtorch must not run beside
/// threads that use it.
///
/// # Safety
/// Called once.
unsafe fn note_exit() {
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

/// Lets C's `stdout` write every line as it ends: nothing flushes it when this process ends, or crashes.
///
/// # Safety
/// Called before anything prints.
unsafe fn print_by_lines() {
    #[cfg(target_os = "linux")]
    // SAFETY: the stream is C's own, and nobody uses it yet.
    unsafe {
        unsafe extern "C" {
            static stdout: *mut libc::FILE;
        }
        libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 0);
    }
}
