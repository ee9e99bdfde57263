//! Draws the rows of each step: a new permutation per epoch, and new partners per step. All draws are functions of
//! (seed, step), so that a resumed training gets the same rows as an uninterrupted one.

use anyflow_diffusion::noise::RowNoise;

use crate::table::{Selection, Tuples};

const ORDER: &str = "\0training/order";
const PARTNERS: &str = "\0training/partners";

/// Draws the rows of steps.
pub struct BatchDraws {
    seed: u64,
    /// Number of tuples per epoch.
    rows: usize,
    batch: usize,
    /// The current epoch.
    epoch: Option<Epoch>,
}

/// The order of the rows in one epoch.
struct Epoch {
    number: u64,
    order: Vec<u32>,
}

impl BatchDraws {
    /// Draws steps of `batch` tuples from a selection of `rows` rows.
    pub fn new(rows: usize, batch: u64, seed: u64) -> Self {
        BatchDraws { seed, rows, batch: batch as usize, epoch: None }
    }

    /// Draws the tuples of a step.
    pub fn step(&mut self, selection: &Selection, step: u64) -> Tuples {
        let first = step * self.batch as u64;
        let picks: Vec<usize> = (first..first + self.batch as u64).map(|i| self.pick(i)).collect();
        let mut uniforms = vec![0.0; self.batch * 8];
        RowNoise::new(self.seed, step, PARTNERS).uniforms(0, &mut uniforms);
        selection.tuples(&picks, |tuple, source| uniforms[tuple * 8 + source % 8])
    }

    fn pick(&mut self, i: u64) -> usize {
        let number = i / self.rows as u64;
        let at = (i % self.rows as u64) as usize;
        if self.epoch.as_ref().is_none_or(|current| current.number != number) {
            self.epoch = Some(Epoch { number, order: self.permutation(number) });
        }
        self.epoch.as_ref().map_or(at, |epoch| epoch.order[at] as usize)
    }

    /// A random permutation of the rows (Fisher-Yates).
    fn permutation(&self, epoch: u64) -> Vec<u32> {
        let mut uniforms = vec![0.0; self.rows];
        RowNoise::new(self.seed, epoch, ORDER).uniforms(0, &mut uniforms);
        let mut order: Vec<u32> = (0..self.rows as u32).collect();
        for i in (1..self.rows).rev() {
            order.swap(i, (uniforms[i] * (i + 1) as f64) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(draws: &mut BatchDraws, range: std::ops::Range<u64>) -> Vec<usize> {
        range.map(|i| draws.pick(i)).collect()
    }

    #[test]
    fn each_epoch_has_every_row_once_in_a_new_order() {
        let mut draws = BatchDraws::new(101, 8, 3);
        let first = picks(&mut draws, 0..101);
        let second = picks(&mut draws, 101..202);
        for epoch in [&first, &second] {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..101).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
    }

    #[test]
    fn a_resumed_training_draws_the_same_rows_as_an_uninterrupted_one() {
        let whole = picks(&mut BatchDraws::new(50, 8, 3), 0..400);
        assert_eq!(picks(&mut BatchDraws::new(50, 8, 3), 180..400), whole[180..]);
        assert_ne!(picks(&mut BatchDraws::new(50, 8, 4), 0..400), whole);
    }
}
