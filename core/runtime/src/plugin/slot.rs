//! The tables of callbacks that plugins report to. They are never freed, so that a report that comes late or from another
//! thread only sets a flag.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyflow_abi::{CellView, Report, StrView};

use super::cell;
use super::report::{Reported, RowError, sentence_of};

/// All slots of this process; slot `n` has index `n - 1`. Each plugin has as many as its maximum of simultaneous calls.
static SLOTS: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

thread_local! {
    /// The running calls of this thread, the innermost last, each with its slot's number and its reports.
    static HERE: RefCell<Vec<(usize, Reported)>> = const { RefCell::new(Vec::new()) };
}

/// A table of callbacks. It serves one call at a time, always of the same plugin.
pub(super) struct Slot {
    /// The plugin's view. Its context is the number of the slot, not an address.
    report: Report,
    number: usize,
    plugin: String,
    is_taken: AtomicBool,
    /// A report came late or from another thread.
    is_misused: AtomicBool,
}

// SAFETY: the report holds a number and two functions, and no code writes to it.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

impl Slot {
    /// Takes a free slot of a plugin, for a call on this thread.
    pub fn take(plugin: &str) -> &'static Slot {
        let mut slots = slots();
        let free = slots.iter().find(|slot| slot.plugin == plugin && !slot.is_taken.load(Ordering::SeqCst));
        let slot = free.copied().unwrap_or_else(|| {
            let number = slots.len() + 1;
            let slot = Box::leak(Box::new(Slot::new(plugin, number)));
            slots.push(slot);
            slot
        });
        slot.is_taken.store(true, Ordering::SeqCst);
        drop(slots);
        HERE.with_borrow_mut(|here| here.push((slot.number, Reported::default())));
        slot
    }

    fn new(plugin: &str, number: usize) -> Slot {
        let report = Report {
            struct_size: size_of::<Report>() as u32,
            context: std::ptr::without_provenance_mut(number),
            error: Some(on_error),
            cell: Some(on_cell),
        };
        Slot {
            report,
            number,
            plugin: plugin.into(),
            is_taken: AtomicBool::new(false),
            is_misused: AtomicBool::new(false),
        }
    }

    /// The table to pass to the plugin.
    pub fn report(&self) -> *const Report {
        &raw const self.report
    }

    /// Frees the slot. Returns the reports of the call, and true if a report came late or from another thread.
    pub fn give_back(&self) -> (Reported, bool) {
        let own = |(number, _): &(usize, Reported)| *number == self.number;
        let heard = HERE.with_borrow_mut(|here| here.iter().rposition(own).map(|at| here.remove(at).1));
        let is_misused = self.is_misused.swap(false, Ordering::SeqCst);
        self.is_taken.store(false, Ordering::SeqCst);
        (heard.unwrap_or_default(), is_misused)
    }
}

/// Passes the reports of the call with this context to `hear`, if the call is running on this thread.
pub(super) fn heard(context: *mut c_void, hear: impl FnOnce(&mut Reported)) {
    let number = context.addr();
    let accepted = HERE.try_with(|here| {
        let Ok(mut here) = here.try_borrow_mut() else { return false };
        let Some((_, reported)) = here.last_mut().filter(|(own, _)| *own == number) else { return false };
        hear(reported);
        true
    });
    if accepted != Ok(true) {
        mark_misused(number);
    }
}

unsafe extern "C" fn on_error(context: *mut c_void, row: i64, text: StrView) {
    heard(context, |reported| {
        // SAFETY: the text is readable until this function returns.
        let text = unsafe { sentence_of(text) };
        match usize::try_from(row) {
            Ok(row) => reported.rows.push(RowError { row, text }),
            Err(_) => reported.call = Some(text),
        }
    });
}

unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    heard(context, |reported| {
        let Ok(row) = usize::try_from(row) else { return };
        // SAFETY: the cell is readable until this function returns.
        match unsafe { cell::owned(cell) } {
            Ok(owned) => reported.cells.push((row, owned)),
            Err(text) => reported.rows.push(RowError { row, text }),
        }
    });
}

/// Marks a slot with a late report or one from another thread. The running call, or the next one, fails with it.
fn mark_misused(number: usize) {
    let slot = number.checked_sub(1).and_then(|at| slots().get(at).copied());
    let Some(slot) = slot else {
        tracing::error!("a plugin reported with an unknown context; the report is dropped");
        return;
    };
    if !slot.is_misused.swap(true, Ordering::SeqCst) {
        tracing::error!(
            "plugin {} reported from another thread than the calling one, or after the call had returned; such reports are \
             dropped, and the plugin's author must fix it",
            slot.plugin
        );
    }
}

fn slots() -> MutexGuard<'static, Vec<&'static Slot>> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}
