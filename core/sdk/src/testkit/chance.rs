//! Pseudo-random numbers, the same in every run.

use super::descriptor::Port;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform between `low` and `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// Random values that a port may carry: within its range, or around zero.
    pub fn values(&mut self, port: &Port, count: usize) -> Vec<f64> {
        let [low, high] = port.bounds();
        let whole = port.dtype != "f32";
        let value = |x: f64| if whole { x.round() } else { x };
        (0..count).map(|_| value(self.uniform(low, high))).collect()
    }
}
