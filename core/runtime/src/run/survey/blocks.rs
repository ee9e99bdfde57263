//! A sample of rows, and how sure a share of it is.

use std::ops::Range;

/// Consecutive rows that are read together. Few, because neighbouring rows often share a fault.
const BLOCK_ROWS: u64 = 4;
/// Standard deviations in half of a 95 % interval.
const WIDTH: f64 = 1.96;
/// Without a single failure among n rows, at most 3 / n of all rows fail, with 95 % confidence.
const NONE_SEEN: f64 = 3.0;

/// Blocks of about `sample` rows in all, one at a random place in each of equal parts of the dataset, so that no period
/// of the data can agree with it. The places are the same in each survey.
pub fn blocks(rows: u64, sample: u64) -> Vec<Range<u64>> {
    if sample >= rows {
        return std::iter::once(0..rows).collect();
    }
    let count = sample.div_ceil(BLOCK_ROWS).max(1);
    let border = |part: u64| (u128::from(rows) * u128::from(part) / u128::from(count)) as u64;
    let block = |part: u64| {
        let (first, end) = (border(part), border(part + 1));
        let length = BLOCK_ROWS.min(end - first);
        let start = first + number(part) % (end - first - length + 1);
        start..start + length
    };
    (0..count).map(block).collect()
}

/// A random number that depends on `part` alone.
fn number(part: u64) -> u64 {
    let digest = blake3::hash(&part.to_le_bytes());
    digest.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Rows of a block.
#[derive(Clone, Copy, Default)]
pub struct BlockCount {
    /// Rows that were read.
    pub read: u64,
    /// Rows among them that fail.
    pub failing: u64,
}

/// Half the width of the 95 % interval of the share of failing rows, from the differences between blocks.
pub fn margin(blocks: &[BlockCount], rows: u64) -> f64 {
    let read: u64 = blocks.iter().map(|block| block.read).sum();
    if read >= rows || blocks.len() < 2 {
        return 0.0;
    }
    let share = |block: &BlockCount| block.failing as f64 / block.read.max(1) as f64;
    let count = blocks.len() as f64;
    let mean = blocks.iter().map(share).sum::<f64>() / count;
    let variance = blocks.iter().map(|block| (share(block) - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let unread = 1.0 - read as f64 / rows as f64;
    (WIDTH * (variance / count * unread).sqrt()).max(NONE_SEEN / read as f64 * unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_spread_over_all_rows() {
        for (rows, sample) in [(10, 10), (10, 99), (1, 1), (5000, 2048), (2049, 2048), (u64::MAX, 64)] {
            let blocks = blocks(rows, sample);
            assert!(blocks.windows(2).all(|pair| pair[0].end <= pair[1].start), "{rows} {sample}");
            assert!(blocks.iter().all(|block| !block.is_empty() && block.end <= rows), "{rows} {sample}");
            let read: u64 = blocks.iter().map(|block| block.end - block.start).sum();
            assert!(read <= rows && (read >= sample.min(rows) - sample.min(rows) / 4), "{rows} {sample}: {read}");
        }
        assert_eq!(blocks(10, 10).first(), Some(&(0..10)));
        let starts: Vec<u64> = blocks(1 << 20, 1024).iter().map(|block| block.start % 4096).collect();
        assert!(starts.windows(2).any(|pair| pair[0] != pair[1]), "no period");
    }

    #[test]
    fn the_interval_holds_the_share_in_nineteen_of_twenty_surveys() {
        let failing = |row: u64, seed: u64| number(seed << 32 | row).is_multiple_of(10);
        let rows = 100_000;
        let held = (0..200).filter(|seed| {
            let counts: Vec<BlockCount> = blocks(rows, 800)
                .into_iter()
                .map(|block| BlockCount {
                    read: block.end - block.start,
                    failing: block.filter(|row| failing(*row, *seed)).count() as u64,
                })
                .collect();
            let share = counts.iter().map(|block| block.failing).sum::<u64>() as f64 / 800.0;
            (share - 0.1).abs() <= margin(&counts, rows)
        });
        let held = held.count();
        assert!((180..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn a_survey_of_all_rows_is_sure_and_one_without_failures_is_not() {
        let none = vec![BlockCount { read: 4, failing: 0 }; 100];
        assert_eq!(margin(&none, 400), 0.0);
        assert!((margin(&none, 40_000) - 3.0 / 400.0 * 0.99).abs() < 1e-12);
    }
}
