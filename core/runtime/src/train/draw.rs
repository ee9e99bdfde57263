//! Which rows a step sees: a fresh permutation each pass, partners drawn anew at each step, all of it a function of
//! (seed, step), so that a resumed training sees what the uninterrupted one would have seen.

use anyflow_diffusion::noise::RowNoise;

use super::data::{TableData, Tuples};

const ORDER: &str = "\0training/order";
const PARTNERS: &str = "\0training/partners";

/// Draws the rows of steps; keeps the permutation of the pass under way.
pub struct Draws {
    seed: u64,
    rows: usize,
    batch: usize,
    pass: Option<(u64, Vec<u32>)>,
}

impl Draws {
    /// Steps of `batch` tuples over a table of `rows`.
    pub fn new(rows: usize, batch: u64, seed: u64) -> Self {
        Draws { seed, rows, batch: batch as usize, pass: None }
    }

    /// The tuples of a step.
    pub fn step(&mut self, data: &TableData, step: u64) -> Tuples {
        let first = step * self.batch as u64;
        let picks: Vec<usize> = (first..first + self.batch as u64).map(|i| self.pick(i)).collect();
        let mut uniforms = vec![0.0; self.batch * 8];
        RowNoise::new(self.seed, step, PARTNERS).uniforms(0, &mut uniforms);
        data.tuples(&picks, |tuple, source| uniforms[tuple * 8 + source % 8])
    }

    fn pick(&mut self, i: u64) -> usize {
        let (pass, at) = (i / self.rows as u64, (i % self.rows as u64) as usize);
        if self.pass.as_ref().is_none_or(|(current, _)| *current != pass) {
            self.pass = Some((pass, self.permutation(pass)));
        }
        self.pass.as_ref().map_or(at, |(_, order)| order[at] as usize)
    }

    /// Fisher-Yates.
    fn permutation(&self, pass: u64) -> Vec<u32> {
        let mut uniforms = vec![0.0; self.rows];
        RowNoise::new(self.seed, pass, ORDER).uniforms(0, &mut uniforms);
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

    fn picks(draws: &mut Draws, range: std::ops::Range<u64>) -> Vec<usize> {
        range.map(|i| draws.pick(i)).collect()
    }

    #[test]
    fn each_pass_has_every_row_once_in_an_order_of_its_own() {
        let mut draws = Draws::new(101, 8, 3);
        let (first, second) = (picks(&mut draws, 0..101), picks(&mut draws, 101..202));
        for pass in [&first, &second] {
            let mut sorted = pass.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..101).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
    }

    #[test]
    fn a_resumed_training_sees_what_the_uninterrupted_one_saw() {
        let whole = picks(&mut Draws::new(50, 8, 3), 0..400);
        assert_eq!(picks(&mut Draws::new(50, 8, 3), 180..400), whole[180..]);
        assert_ne!(picks(&mut Draws::new(50, 8, 4), 0..400), whole);
    }
}
