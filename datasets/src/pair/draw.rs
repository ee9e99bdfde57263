//! Random permutations that are the same on every machine and in every release.

/// A stream of random numbers, named by what it is for: blake3 of the name, read on as long as needed.
pub(super) struct Draws {
    reader: blake3::OutputReader,
}

impl Draws {
    /// The stream for a seed and a purpose; distinct purposes give independent streams.
    pub(super) fn new(seed: u64, purpose: &str, index: u64) -> Draws {
        let mut hasher = blake3::Hasher::new_derive_key("anyflow-datasets pair 1");
        hasher.update(&seed.to_le_bytes()).update(&index.to_le_bytes()).update(purpose.as_bytes());
        Draws { reader: hasher.finalize_xof() }
    }

    /// Fisher-Yates.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Uniform in `0..bound`: the top part of the range that would favour small numbers is drawn again.
    fn below(&mut self, bound: u64) -> u64 {
        let usable = u64::MAX - u64::MAX % bound;
        loop {
            let mut bytes = [0; 8];
            self.reader.fill(&mut bytes);
            let number = u64::from_le_bytes(bytes);
            if number < usable {
                return number % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permutation_is_about_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let mut draws = Draws::new(1, "test", 0);
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
        Draws::new(7, "a/cat", 0).shuffle(&mut items);
        let mut again: Vec<u8> = (0..8).collect();
        Draws::new(7, "a/cat", 0).shuffle(&mut again);
        assert_eq!(items, again);
        assert_eq!(items, PINNED, "changing the stream changes everyone's pairs");
    }

    const PINNED: [u8; 8] = [1, 7, 4, 5, 3, 0, 2, 6];
}
