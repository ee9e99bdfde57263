//! Whose turn it is: deficit round robin (Shreedhar and Varghese 1996) with a quantum of one.
//!
//! Everyone in line saves at the same pace, and is served as soon as the savings cover the price; then it goes to the
//! end of the line. So all get the same share of what the price counts, however many are in line and however large their
//! orders are. Nothing but the order of calls decides.

use std::collections::VecDeque;

/// A line of keys.
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
    /// Joins the line, at its end and without savings, unless it stands there.
    pub fn join(&mut self, key: K) {
        if self.keys().all(|known| known != key) {
            self.line.push_back((key, 0));
        }
    }

    /// Leaves the line; the savings are lost.
    pub fn leave(&mut self, key: K) {
        self.line.retain(|(known, _)| *known != key);
    }

    /// Everyone in line, the next first.
    pub fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.line.iter().map(|(key, _)| *key)
    }

    /// Who is served next, at these prices; the same one again until it has paid.
    pub fn next(&mut self, price: impl Fn(K) -> usize) -> Option<K> {
        let wait = self.line.iter().map(|(key, saved)| price(*key).saturating_sub(*saved)).min()?;
        self.line.iter_mut().for_each(|(_, saved)| *saved += wait);
        let first = self.line.iter().position(|(key, saved)| *saved >= price(*key))?;
        self.line.rotate_left(first);
        self.line.front().map(|(key, _)| *key)
    }

    /// The next one pays and goes to the end.
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
    fn a_cheap_one_is_served_as_often_as_it_is_cheap() {
        let mut turns = Turns::default();
        [0, 1].into_iter().for_each(|key| turns.join(key));
        let served: Vec<usize> = (0..10).map(|_| serve(&mut turns, &[8, 2])).collect();
        assert_eq!(served, [1, 1, 1, 0, 1, 1, 1, 1, 0, 1]);
        turns.leave(1);
        assert_eq!(serve(&mut turns, &[8, 2]), 0);
        assert_eq!(turns.keys().collect::<Vec<_>>(), [0]);
    }

    proptest! {
        #[test]
        fn what_everyone_gets_differs_by_a_price_at_most(prices in prop::collection::vec(1usize..40, 1..6)) {
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
