//! Deficit round robin (Shreedhar and Varghese 1996) with a quantum of one.
//!
//! Every queued key earns credit at the same pace and is served as soon as its credit covers its cost; then it moves to
//! the end of the queue. All keys get the same share of the total cost, however many there are and however large their
//! requests. Only the order of calls matters.

use std::collections::VecDeque;

/// A queue of keys with their credit.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    line: VecDeque<(K, usize)>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Turns { line: VecDeque::new() }
    }
}

impl<K: Copy + PartialEq> Turns<K> {
    /// Adds a key, which must not be queued already, at the end of the queue and without credit.
    pub fn join(&mut self, key: K) {
        self.line.push_back((key, 0));
    }

    /// Removes a key; its credit is lost.
    pub fn leave(&mut self, key: K) {
        // Usually the key that was just charged.
        match self.line.back() {
            Some((last, _)) if *last == key => drop(self.line.pop_back()),
            _ => self.line.retain(|(known, _)| *known != key),
        }
    }

    /// The next key to serve at these costs; the same one again until it is charged.
    pub fn next(&mut self, price: impl Fn(K) -> usize) -> Option<K> {
        // A shortcut: the code below would return the same key.
        if let Some((key, _)) = self.line.front().filter(|(key, saved)| *saved >= price(*key)) {
            return Some(*key);
        }
        let wait = self.line.iter().map(|(key, saved)| price(*key).saturating_sub(*saved)).min()?;
        self.line.iter_mut().for_each(|(_, saved)| *saved += wait);
        let first = self.line.iter().position(|(key, saved)| *saved >= price(*key))?;
        self.line.rotate_left(first);
        self.line.front().map(|(key, _)| *key)
    }

    /// Charges the next key and moves it to the end.
    pub fn pay(&mut self, price: usize) {
        if let Some((key, saved)) = self.line.pop_front() {
            self.line.push_back((key, saved.saturating_sub(price)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serve(turns: &mut Turns<usize>, prices: &[usize]) -> usize {
        let key = turns.next(|key| prices[key]).unwrap();
        turns.pay(prices[key]);
        key
    }

    #[test]
    fn cheap_keys_are_served_more_often() {
        let mut turns = Turns::default();
        [0, 1].into_iter().for_each(|key| turns.join(key));
        let served: Vec<usize> = (0..10).map(|_| serve(&mut turns, &[8, 2])).collect();
        assert_eq!(served, [1, 1, 1, 0, 1, 1, 1, 1, 0, 1]);
        turns.leave(1);
        assert_eq!(serve(&mut turns, &[8, 2]), 0);
        turns.leave(0);
        assert_eq!(turns.next(|_| 1), None);
    }

    proptest! {
        #[test]
        fn shares_differ_by_at_most_the_sum_of_costs(prices in prop::collection::vec(1usize..40, 1..6)) {
            let mut turns = Turns::default();
            (0..prices.len()).for_each(|key| turns.join(key));
            let mut got = vec![0; prices.len()];
            for _ in 0..500 {
                let key = serve(&mut turns, &prices);
                got[key] += prices[key];
                let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
                prop_assert!(most - least <= prices.iter().sum(), "{got:?}");
            }
        }
    }
}
