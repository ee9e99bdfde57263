//! The table of calls in shared memory. The engine's side neither locks nor allocates, so a signal handler can use it.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::{BETWEEN, Call, Cause, Died, Dying};

/// Words of a slot.
const SLOT: usize = 64;
/// Slots; the first one is the head.
pub(super) const SLOTS: usize = 1024;
/// Words of a table.
pub const WORDS: usize = SLOT * SLOTS;

/// Words of the head: cause of death, thread, call, library, and the number of slots ever used.
const CAUSE: usize = 0;
const SENDER: usize = 1;
const CALL: usize = 2;
const CODE: usize = 3;
const THREAD: usize = 4;
const COMPLETE: usize = 6;
const USED: usize = 7;

/// Words of a slot: state, start time of the call or start of the code, end of the code, length of the text, and text.
const STATE: usize = 0;
const BEGIN: usize = 1;
const END: usize = 2;
const LENGTH: usize = 3;
const TEXT: usize = 4;

/// The low bits of a slot's state. The other bits count its uses, so a reader notices a concurrent change.
const FREE: u64 = 0;
const WRITTEN: u64 = 1;
const UNDER_WAY: u64 = 2;
const LIBRARY: u64 = 3;

/// Bytes kept of each part.
const LONGEST_PART: usize = 110;

/// The table, in borrowed memory.
#[derive(Clone, Copy, Debug)]
pub struct CallTable<'a> {
    words: &'a [AtomicU64],
}

impl<'a> CallTable<'a> {
    /// The table in these [`WORDS`] words, which must be zero at first.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        (words.len() == WORDS).then_some(CallTable { words })
    }

    /// A private table that lives as long as the process.
    pub fn own() -> CallTable<'static> {
        CallTable { words: Vec::leak((0..WORDS).map(|_| AtomicU64::new(0)).collect()) }
    }

    /// Records the start of a call at `now`, in nanoseconds. The search for a free slot starts at `near`. Returns the slot of
    /// the call, never 0.
    pub fn begin(self, call: &Call<&str>, now: u64, near: usize) -> usize {
        let slot = self.claim(near);
        self.word(slot, BEGIN).store(now, Ordering::Relaxed);
        self.write(slot, &[call.node.unwrap_or_default(), call.component, call.version, call.call]);
        self.change(slot, UNDER_WAY);
        slot
    }

    /// Records that the call of a slot returned.
    pub fn end(self, slot: usize) {
        let count = self.word(slot, STATE).load(Ordering::Relaxed) >> 2;
        self.word(slot, STATE).store((count + 1) << 2, Ordering::Release);
    }

    /// Records the address range of the code of a plugin.
    pub fn library(self, plugin: &str, code: std::ops::Range<u64>) {
        let slot = self.claim(1);
        self.word(slot, BEGIN).store(code.start, Ordering::Relaxed);
        self.word(slot, END).store(code.end, Ordering::Relaxed);
        self.write(slot, &[plugin]);
        self.change(slot, LIBRARY);
    }

    /// Records the death of the process; only the first record counts. It only stores.
    pub fn died(self, dying: &Dying) {
        let cause = match dying.cause {
            Cause::Signal(signal) => 1 << 32 | u64::from(signal),
            Cause::Exit => 2 << 32,
        };
        if self.head(CAUSE).compare_exchange(0, cause, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // The process ends with the first thread that dies, so let that thread finish its record.
            for _ in 0..1_000_000 {
                if self.head(COMPLETE).load(Ordering::Acquire) != 0 {
                    return;
                }
                std::hint::spin_loop();
            }
            return;
        }
        self.head(SENDER).store(dying.sender.map_or(0, u64::from), Ordering::Relaxed);
        self.head(CALL).store(dying.slot as u64, Ordering::Relaxed);
        let code = self.slots(LIBRARY).find(|slot| {
            let [begin, end] = [BEGIN, END].map(|word| self.word(*slot, word).load(Ordering::Relaxed));
            (begin..end).contains(&dying.address)
        });
        self.head(CODE).store(code.unwrap_or(0) as u64, Ordering::Relaxed);
        for (index, bytes) in dying.thread.chunks_exact(8).enumerate() {
            let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.head(THREAD + index).store(word, Ordering::Relaxed);
        }
        self.head(COMPLETE).store(1, Ordering::Release);
    }

    /// The running calls, with their start times.
    pub fn under_way(self) -> impl Iterator<Item = (u64, Call)> + use<'a> {
        self.slots(UNDER_WAY).filter_map(move |slot| {
            let state = self.word(slot, STATE).load(Ordering::Acquire);
            let begin = self.word(slot, BEGIN).load(Ordering::Relaxed);
            let text = self.read(slot);
            fence(Ordering::Acquire);
            let unchanged = state & 3 == UNDER_WAY && self.word(slot, STATE).load(Ordering::Relaxed) == state;
            Some((begin, Call::of_text(&text)?)).filter(|_| unchanged)
        })
    }

    /// The death of the process, if it was recorded.
    pub fn death(self) -> Option<Died> {
        let number = |word| self.head(word).load(Ordering::Acquire);
        let cause = match (number(CAUSE) >> 32, number(CAUSE) as u32) {
            (1, signal) => Cause::Signal(signal),
            (2, _) => Cause::Exit,
            _ => return None,
        };
        let text = |word| match number(word) as usize {
            slot @ 1..SLOTS => Some(self.read(slot)),
            _ => None,
        };
        let thread: Vec<u8> = [THREAD, THREAD + 1].into_iter().flat_map(|word| number(word).to_le_bytes()).collect();
        let thread = String::from_utf8_lossy(&thread).trim_end_matches('\0').to_string();
        let sender = Some(number(SENDER) as u32).filter(|sender| *sender != 0);
        Some(Died { cause, sender, call: text(CALL).and_then(|text| Call::of_text(&text)), code: text(CODE), thread })
    }

    /// Reserves a slot. There are more slots than threads; otherwise the caller waits.
    fn claim(self, near: usize) -> usize {
        let near = near.clamp(1, SLOTS - 1);
        loop {
            for slot in (near..SLOTS).chain(1..near) {
                let state = self.word(slot, STATE);
                let found = state.load(Ordering::Relaxed);
                let free = found & 3 == FREE;
                if free && state.compare_exchange(found, found | WRITTEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    self.head(USED).fetch_max(slot as u64, Ordering::AcqRel);
                    // A reader that sees later writes also sees that the slot is being written.
                    fence(Ordering::Release);
                    return slot;
                }
            }
            std::thread::yield_now();
        }
    }

    /// Sets the state of a reserved slot.
    fn change(self, slot: usize, state: u64) {
        let found = self.word(slot, STATE).load(Ordering::Relaxed);
        self.word(slot, STATE).store(found & !3 | state, Ordering::Release);
    }

    /// The slots in a state.
    fn slots(self, state: u64) -> impl Iterator<Item = usize> + use<'a> {
        let used = (self.head(USED).load(Ordering::Acquire) as usize).min(SLOTS - 1);
        (1..=used).filter(move |slot| self.word(*slot, STATE).load(Ordering::Acquire) & 3 == state)
    }

    fn write(self, slot: usize, parts: &[&str]) {
        let mut bytes = [0; (SLOT - TEXT) * 8];
        let mut length = 0;
        for (index, part) in parts.iter().enumerate() {
            let between = if index == 0 { "" } else { BETWEEN };
            for text in [between.as_bytes(), part.as_bytes()] {
                let text = &text[..text.len().min(LONGEST_PART)];
                bytes[length..length + text.len()].copy_from_slice(text);
                length += text.len();
            }
        }
        for (index, part) in bytes[..length].chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(slot, TEXT + index).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.word(slot, LENGTH).store(length as u64, Ordering::Relaxed);
    }

    fn read(self, slot: usize) -> String {
        let length = (self.word(slot, LENGTH).load(Ordering::Relaxed) as usize).min((SLOT - TEXT) * 8);
        let words = (TEXT..SLOT).flat_map(|word| self.word(slot, word).load(Ordering::Relaxed).to_le_bytes());
        String::from_utf8_lossy(&words.take(length).collect::<Vec<u8>>()).into_owned()
    }

    fn head(self, word: usize) -> &'a AtomicU64 {
        self.word(0, word)
    }

    fn word(self, slot: usize, word: usize) -> &'a AtomicU64 {
        &self.words[slot * SLOT + word]
    }
}
