//! The table of calls in shared memory. Nothing here locks or allocates on the engine's side, so that a signal handler can
//! use it.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::{BETWEEN, Call, Cause, Died, Dying};

/// Words of a slot.
const SLOT: usize = 64;
/// Slots, of which the first is the head.
pub(super) const SLOTS: usize = 1024;
/// Words of a table.
pub const WORDS: usize = SLOT * SLOTS;

/// Words of the head: how the process died, which thread, in which call, in the code of which library, and how many slots
/// were ever used.
const CAUSE: usize = 0;
const SENDER: usize = 1;
const CALL: usize = 2;
const CODE: usize = 3;
const THREAD: usize = 4;
const COMPLETE: usize = 6;
const USED: usize = 7;

/// Words of a slot: its state, when the call began or where the code begins, where the code ends, the text's length, and
/// the text.
const STATE: usize = 0;
const BEGIN: usize = 1;
const END: usize = 2;
const LENGTH: usize = 3;
const TEXT: usize = 4;

/// The low bits of a slot's state; the others count its uses, so that a reader sees that a slot changed under it.
const FREE: u64 = 0;
const WRITTEN: u64 = 1;
const UNDER_WAY: u64 = 2;
const LIBRARY: u64 = 3;

/// Bytes that are kept of each part.
const LONGEST_PART: usize = 110;

/// The table, in memory that somebody else holds.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Table<'a> {
    /// The table in these words, which are [`WORDS`] and were all zero at first.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        (words.len() == WORDS).then_some(Table { words })
    }

    /// A table that nobody shares, for as long as the process lives.
    pub fn own() -> Table<'static> {
        Table { words: Vec::leak((0..WORDS).map(|_| AtomicU64::new(0)).collect()) }
    }

    /// Notes that a call begins, `now` being a time in nanoseconds. The search for a free slot begins at `near`. The value
    /// is the call's slot, never 0.
    pub fn begin(self, call: &Call<&str>, now: u64, near: usize) -> usize {
        let slot = self.claim(near);
        self.word(slot, BEGIN).store(now, Ordering::Relaxed);
        self.write(slot, &[call.node.unwrap_or_default(), call.component, call.version, call.call]);
        self.change(slot, UNDER_WAY);
        slot
    }

    /// Notes that the call of a slot returned.
    pub fn end(self, slot: usize) {
        let count = self.word(slot, STATE).load(Ordering::Relaxed) >> 2;
        self.word(slot, STATE).store((count + 1) << 2, Ordering::Release);
    }

    /// Notes where the code of a plugin lies, for good.
    pub fn library(self, plugin: &str, code: std::ops::Range<u64>) {
        let slot = self.claim(1);
        self.word(slot, BEGIN).store(code.start, Ordering::Relaxed);
        self.word(slot, END).store(code.end, Ordering::Relaxed);
        self.write(slot, &[plugin]);
        self.change(slot, LIBRARY);
    }

    /// Notes how the process dies; the first note holds. It only stores.
    pub fn died(self, dying: &Dying) {
        let cause = match dying.cause {
            Cause::Signal(signal) => 1 << 32 | u64::from(signal),
            Cause::Exit => 2 << 32,
        };
        if self.head(CAUSE).compare_exchange(0, cause, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // The process ends with the first thread that dies: let it end its note.
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

    /// The calls under way, each with the time that it began at.
    pub fn under_way(self) -> impl Iterator<Item = (u64, Call)> + use<'a> {
        self.slots(UNDER_WAY).filter_map(move |slot| {
            let state = self.word(slot, STATE).load(Ordering::Acquire);
            let (begin, text) = (self.word(slot, BEGIN).load(Ordering::Relaxed), self.read(slot));
            fence(Ordering::Acquire);
            let unchanged = state & 3 == UNDER_WAY && self.word(slot, STATE).load(Ordering::Relaxed) == state;
            Some((begin, Call::of_text(&text)?)).filter(|_| unchanged)
        })
    }

    /// How the process died, if it could note it.
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

    /// A slot of the caller's own. There are more than a process has threads; if not, the caller waits for one.
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
                    // Whoever sees what is written from now on sees that the slot is being written.
                    fence(Ordering::Release);
                    return slot;
                }
            }
            std::thread::yield_now();
        }
    }

    /// Puts a slot of the caller's own into a state.
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
