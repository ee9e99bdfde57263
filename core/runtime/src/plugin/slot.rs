//! Where plugins report to: tables that are never freed, so that a report that comes late, or from another thread,
//! changes nothing but a mark.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyflow_abi::Report;

use super::report::{Reported, on_cell, on_error};

/// Every slot of this process, by its number less one. There are as many as calls into one plugin at a time, summed.
static SLOTS: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

thread_local! {
    /// The calls under way on this thread, the innermost last, with what they heard.
    static HERE: RefCell<Vec<(usize, Reported)>> = const { RefCell::new(Vec::new()) };
}

/// A table to report to. All calls that it serves, one after another, are of one plugin.
pub(super) struct Slot {
    /// What the plugin gets: its context is the number of the slot, and no address.
    report: Report,
    number: usize,
    plugin: String,
    taken: AtomicBool,
    /// Somebody reported who must not.
    wronged: AtomicBool,
}

// SAFETY: the report holds a number and two functions, and nobody writes to it.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

impl Slot {
    /// A free slot of a plugin, for a call on this thread.
    pub fn take(plugin: &str) -> &'static Slot {
        let mut slots = slots();
        let free = slots.iter().find(|slot| slot.plugin == plugin && !slot.taken.load(Ordering::SeqCst));
        let slot = free.copied().unwrap_or_else(|| {
            let number = slots.len() + 1;
            let slot = Box::leak(Box::new(Slot::new(plugin, number)));
            slots.push(slot);
            slot
        });
        slot.taken.store(true, Ordering::SeqCst);
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
        let (taken, wronged) = (AtomicBool::new(false), AtomicBool::new(false));
        Slot { report, number, plugin: plugin.into(), taken, wronged }
    }

    /// The table to pass.
    pub fn report(&self) -> *const Report {
        &raw const self.report
    }

    /// What the call heard, and whether somebody reported who must not. The slot is free from now on.
    pub fn give_back(&self) -> (Reported, bool) {
        let own = |(number, _): &(usize, Reported)| *number == self.number;
        let heard = HERE.with_borrow_mut(|here| here.iter().rposition(own).map(|at| here.remove(at).1));
        let wronged = self.wronged.swap(false, Ordering::SeqCst);
        self.taken.store(false, Ordering::SeqCst);
        (heard.unwrap_or_default(), wronged)
    }
}

/// Lets `hear` have what the call of `context` heard so far, if that call is under way on this thread.
pub(super) fn heard(context: *mut c_void, hear: impl FnOnce(&mut Reported)) {
    let number = context.addr();
    let taken = HERE.try_with(|here| {
        let Ok(mut here) = here.try_borrow_mut() else { return false };
        let Some((_, reported)) = here.last_mut().filter(|(own, _)| *own == number) else { return false };
        hear(reported);
        true
    });
    if taken != Ok(true) {
        wrong(number);
    }
}

/// Marks a slot that somebody reported to who must not: the call under way, or the next one, says so.
fn wrong(number: usize) {
    let slot = number.checked_sub(1).and_then(|at| slots().get(at).copied());
    let Some(slot) = slot else {
        tracing::error!("a plugin reported with a context that no call has; the report is dropped");
        return;
    };
    if !slot.wronged.swap(true, Ordering::SeqCst) {
        tracing::error!(
            "plugin {} reported from another thread than that of the call, or after the call had returned; such reports \
             are dropped, and its author must correct it",
            slot.plugin
        );
    }
}

fn slots() -> MutexGuard<'static, Vec<&'static Slot>> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}
