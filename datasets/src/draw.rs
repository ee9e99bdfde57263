//! Random numbers and permutations, equal on every machine and in every release.

/// A stream of random numbers: the extended blake3 output of a name that states its purpose.
pub(crate) struct Draws {
    reader: blake3::OutputReader,
}

impl Draws {
    /// The stream for a seed and a purpose. Different contexts, purposes and indices give independent streams. The
    /// context is a constant of the code, with a version that changes with the draws.
    pub(crate) fn new(context: &'static str, seed: u64, purpose: &str, index: u64) -> Draws {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&seed.to_le_bytes()).update(&index.to_le_bytes()).update(purpose.as_bytes());
        Draws { reader: hasher.finalize_xof() }
    }

    /// Shuffles (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Uniform in `0..bound`. Rejects the top part of the range, which would favour small numbers.
    fn below(&mut self, bound: u64) -> u64 {
        let usable = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.number();
            if number < usable {
                return number % bound;
            }
        }
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        // The 53 bits that an f64 holds.
        low + (high - low) * (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Chooses an item uniformly.
    pub(crate) fn choose<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len() as u64) as usize]
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.reader.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = "anyflow-datasets pair 1";

    #[test]
    fn every_permutation_is_about_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let mut draws = Draws::new(PAIR, 1, "test", 0);
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            draws.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_numbers_are_pinned() {
        let mut items: Vec<u8> = (0..8).collect();
        Draws::new(PAIR, 7, "a/cat", 0).shuffle(&mut items);
        let mut again: Vec<u8> = (0..8).collect();
        Draws::new(PAIR, 7, "a/cat", 0).shuffle(&mut again);
        assert_eq!(items, again);
        assert_eq!(items, PINNED, "changing the stream changes all users' pairs");
    }

    const PINNED: [u8; 8] = [1, 7, 4, 5, 3, 0, 2, 6];
}
