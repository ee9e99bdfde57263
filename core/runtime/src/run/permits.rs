//! A counting semaphore: it bounds the number of micro-batches in memory.

use crossbeam::channel::{Receiver, Sender, bounded};

/// A fixed number of permits. A micro-batch needs one from before it is read until its rows are written.
pub struct Permits {
    count: usize,
    acquired: Sender<()>,
    released: Receiver<()>,
}

/// An acquired permit. Dropping it releases it.
pub struct Permit(Receiver<()>);

impl Permits {
    /// Makes `count` permits, at least one.
    pub fn new(count: usize) -> Permits {
        let count = count.max(1);
        let (acquired, released) = bounded(count);
        Permits { count, acquired, released }
    }

    /// Number of permits, acquired or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits for a free permit.
    pub fn acquire(&self) -> Permit {
        // The channel cannot be closed, because this struct owns the other end.
        let _ = self.acquired.send(());
        Permit(self.released.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_is_free_again() {
        let permits = Permits::new(2);
        let first = permits.acquire();
        let _second = permits.acquire();
        assert!(permits.acquired.is_full());
        drop(first);
        let _third = permits.acquire();
        assert!(permits.acquired.is_full());
    }

    #[test]
    fn there_is_at_least_one_permit() {
        assert_eq!(Permits::new(0).count(), 1);
    }
}
