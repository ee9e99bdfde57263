//! Places for micro-batches: what bounds the memory of a run.

use crossbeam::channel::{Receiver, Sender, bounded};

/// A fixed number of places. A batch takes one before it is read, and gives it back when its rows are written.
pub struct Places {
    number: usize,
    taken: Sender<()>,
    given_back: Receiver<()>,
}

/// A place that is taken; dropping it gives it back.
pub struct Place(Receiver<()>);

impl Places {
    /// So many places, at least one.
    pub fn new(number: usize) -> Places {
        let number = number.max(1);
        let (taken, given_back) = bounded(number);
        Places { number, taken, given_back }
    }

    /// How many there are.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Waits until a place is free.
    pub fn take(&self) -> Place {
        // It cannot be closed: the other end is a field of ours.
        let _ = self.taken.send(());
        Place(self.given_back.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(2);
        let (first, _second) = (places.take(), places.take());
        assert!(places.taken.is_full());
        drop(first);
        let _third = places.take();
        assert!(places.taken.is_full());
    }

    #[test]
    fn there_is_always_one() {
        assert_eq!(Places::new(0).number(), 1);
    }
}
