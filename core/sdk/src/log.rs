//! Messages for the host's log.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::abi::{Host, StrView, status};

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// The severity of a message.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something looks wrong.
    Warning = 2,
    /// Worth knowing.
    Info = 3,
    /// For the plugin's author.
    Debug = 4,
}

/// Writes a line to the host's log. Does nothing without a host.
pub fn log(level: Level, text: &str) {
    let host = HOST.load(Ordering::Acquire);
    if host.is_null() {
        return;
    }
    // SAFETY: the host table that `init` received is static.
    if let Some(write) = unsafe { (*host).log } {
        // SAFETY: the text is readable until the call returns.
        unsafe { write(level as u32, StrView::new(text.as_bytes())) };
    }
}

/// Counts the cells that a codec cut, and says so once, when the codec is dropped.
#[derive(Debug)]
pub struct CutCount {
    codec: String,
    cells: &'static str,
    left: String,
    all: AtomicU64,
    cut: AtomicU64,
}

impl CutCount {
    /// For a codec such as `text/bytes`, its `cells` such as `texts`, and what is left of one, such as `64 bytes`.
    pub fn new(codec: impl Into<String>, cells: &'static str, left: impl Into<String>) -> Self {
        CutCount { codec: codec.into(), cells, left: left.into(), all: AtomicU64::new(0), cut: AtomicU64::new(0) }
    }

    /// Counts a cell.
    pub fn add(&self, is_cut: bool) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.cut.fetch_add(u64::from(is_cut), Ordering::Relaxed);
    }

    /// How many cells were cut, of how many.
    pub fn counted(&self) -> (u64, u64) {
        (self.cut.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }
}

impl Drop for CutCount {
    fn drop(&mut self) {
        let (cut, all) = self.counted();
        if cut > 0 {
            let CutCount { codec, cells, left, .. } = self;
            log(Level::Warning, &format!("{codec}: {cut} of {all} {cells} were cut to {left}"));
        }
    }
}

#[doc(hidden)]
pub fn init(host: *const Host) -> u32 {
    HOST.store(host.cast_mut(), Ordering::Release);
    status::OK
}
