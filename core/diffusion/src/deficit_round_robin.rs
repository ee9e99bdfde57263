//! Deficit round robin (Shreedhar and Varghese 1996) with a quantum of one.
//!
//! Every queued key earns credit at the same pace and is served as soon as its credit covers its cost; then it moves to
//! the end of the queue. All keys get the same share of the total cost, however many there are and however large their
//! requests. Only the order of calls matters.

use std::collections::VecDeque;

/// A queue of keys with their credit.
#[derive(Debug)]
pub(crate) struct DeficitRoundRobin<K> {
    queue: VecDeque<(K, usize)>,
}

impl<K> Default for DeficitRoundRobin<K> {
    fn default() -> Self {
        DeficitRoundRobin { queue: VecDeque::new() }
    }
}

impl<K: Copy + PartialEq> DeficitRoundRobin<K> {
    /// Adds a key, which must not be queued already, at the end of the queue and without credit.
    pub fn join(&mut self, key: K) {
        self.queue.push_back((key, 0));
    }

    /// Removes a key; its credit is lost.
    pub fn leave(&mut self, key: K) {
        // Usually the key that was just charged.
        if self.queue.back().is_some_and(|(last, _)| *last == key) {
            self.queue.pop_back();
        } else {
            self.queue.retain(|(known, _)| *known != key);
        }
    }

    /// The next key to serve at these costs; the same one again until it is charged.
    pub fn next(&mut self, cost: impl Fn(K) -> usize) -> Option<K> {
        // A shortcut: the code below would return the same key.
        if let Some((key, _)) = self.queue.front().filter(|(key, credit)| *credit >= cost(*key)) {
            return Some(*key);
        }
        let wait = self.queue.iter().map(|(key, credit)| cost(*key).saturating_sub(*credit)).min()?;
        self.queue.iter_mut().for_each(|(_, credit)| *credit += wait);
        let first = self.queue.iter().position(|(key, credit)| *credit >= cost(*key))?;
        self.queue.rotate_left(first);
        self.queue.front().map(|(key, _)| *key)
    }

    /// Charges the next key and moves it to the end.
    pub fn charge(&mut self, cost: usize) {
        if let Some((key, credit)) = self.queue.pop_front() {
            self.queue.push_back((key, credit.saturating_sub(cost)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serve(turns: &mut DeficitRoundRobin<usize>, costs: &[usize]) -> usize {
        let key = turns.next(|key| costs[key]).unwrap();
        turns.charge(costs[key]);
        key
    }

    #[test]
    fn cheap_keys_are_served_more_often() {
        let mut turns = DeficitRoundRobin::default();
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
        fn shares_differ_by_at_most_the_sum_of_costs(costs in prop::collection::vec(1usize..40, 1..6)) {
            let mut turns = DeficitRoundRobin::default();
            (0..costs.len()).for_each(|key| turns.join(key));
            let mut got = vec![0; costs.len()];
            for _ in 0..500 {
                let key = serve(&mut turns, &costs);
                got[key] += costs[key];
                let least = got.iter().min().unwrap();
                let most = got.iter().max().unwrap();
                prop_assert!(most - least <= costs.iter().sum(), "{got:?}");
            }
        }
    }
}
