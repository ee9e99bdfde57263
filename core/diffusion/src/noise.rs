//! Noise that belongs to a row: a counter-based generator keyed by (seed, row key, stream, step).
//!
//! The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). A first call maps
//! (seed; row key, hash of the stream's name) to 128 bits, one to one for a given seed; they key the second call, whose
//! counter is (element block, step). No two elements of one seed share an input, and no order of evaluation matters.
//! The step to normals uses additions, multiplications, divisions and square roots only, which IEEE 754 fixes to the
//! bit, so that every machine draws the same noise.

use tch::{Device, Tensor};

use crate::Result;
use crate::tensor::tensor_from_rows;

/// The step that keys the first state of a row; the noise of the k-th update, counted from 0, has step k + 1.
pub const START_STEP: u32 = 0;

/// Blocks of four normals computed side by side: the functions below have no branches, so that the compiler vectorizes
/// them.
const TOGETHER: usize = 16;

/// The noise of one row in one stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowNoise {
    key: [u32; 2],
    tail: [u32; 2],
}

impl RowNoise {
    /// The generator of row `row_key` in the stream with this name.
    pub fn new(seed: u64, row_key: u64, stream: &str) -> Self {
        let row = halves(row_key);
        let name = halves(fnv1a(stream));
        let [k0, k1, c2, c3] = philox([row[0], row[1], name[0], name[1]], halves(seed));
        RowNoise { key: [k0, k1], tail: [c2, c3] }
    }

    /// Fills `out` with independent standard normals. Element i depends on the step alone, not on the length of `out`.
    pub fn normals(&self, step: u32, out: &mut [f32]) {
        for (group, chunk) in out.chunks_mut(4 * TOGETHER).enumerate() {
            let blocks: [[u32; 4]; TOGETHER] = std::array::from_fn(|block| self.block(step, group * TOGETHER + block));
            let words = [0, 1, 2, 3].map(|word| blocks.map(|block| block[word]));
            let ([a, b], [c, d]) = (normal_pairs(&words[0], &words[1]), normal_pairs(&words[2], &words[3]));
            for (block, values) in chunk.chunks_mut(4).enumerate() {
                values.copy_from_slice(&[a[block], b[block], c[block], d[block]][..values.len()]);
            }
        }
    }

    /// Fills `out` with independent uniforms in (0, 1), 53 bits each.
    pub fn uniforms(&self, step: u32, out: &mut [f64]) {
        for (block, chunk) in out.chunks_mut(2).enumerate() {
            let words = self.block(step, block);
            let pair = [uniform(words[0], words[1]), uniform(words[2], words[3])];
            chunk.copy_from_slice(&pair[..chunk.len()]);
        }
    }

    fn block(&self, step: u32, block: usize) -> [u32; 4] {
        // A row of more than 2^34 elements would repeat itself; no tensor of one row is so large.
        philox([block as u32, step, self.tail[0], self.tail[1]], self.key)
    }
}

/// Fills `out` with the standard normals of one row, stream and step.
pub fn normals(seed: u64, row_key: u64, stream: &str, step: u32, out: &mut [f32]) {
    RowNoise::new(seed, row_key, stream).normals(step, out);
}

/// The noise of several rows of one stream at one step: `[row, shape]`, f32, on `device`.
pub fn normals_tensor(
    seed: u64,
    row_keys: &[u64],
    stream: &str,
    step: u32,
    shape: &[i64],
    device: Device,
) -> Result<Tensor> {
    let elements = shape.iter().product::<i64>() as usize;
    let mut values = vec![0.0; row_keys.len() * elements];
    for (row_key, row) in row_keys.iter().zip(values.chunks_mut(elements.max(1))) {
        normals(seed, *row_key, stream, step, row);
    }
    tensor_from_rows(&values, row_keys.len(), shape, device)
}

fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// FNV-1a, 64 bits: turns a stream's name into a number, the same in every build.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Philox4x32-10.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let low = u64::from(counter[0]) * 0xd251_1f53;
        let high = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

/// A uniform in (0, 1) from the upper 53 of 64 bits; never 0 or 1.
fn uniform(low: u32, high: u32) -> f64 {
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 12;
    (bits as f64 + 0.5) / (1u64 << 52) as f64
}

/// Pairs of independent standard normals: Box and Muller 1958, in f64; at most 6.8 in size. One loop per operation, so
/// that the compiler vectorizes each.
fn normal_pairs(radius_words: &[u32; TOGETHER], angle_words: &[u32; TOGETHER]) -> [[f32; TOGETHER]; 2] {
    let mut radii = [0.0; TOGETHER];
    let mut sines = [0.0; TOGETHER];
    let mut cosines = [0.0; TOGETHER];
    for lane in 0..TOGETHER {
        radii[lane] = (-2.0 * ln_of_uniform(radius_words[lane])).sqrt();
    }
    for lane in 0..TOGETHER {
        (sines[lane], cosines[lane]) = sin_cos_of_turn(angle_words[lane]);
    }
    let mut pairs = [[0.0; TOGETHER]; 2];
    for lane in 0..TOGETHER {
        pairs[0][lane] = (radii[lane] * cosines[lane]) as f32;
        pairs[1][lane] = (radii[lane] * sines[lane]) as f32;
    }
    pairs
}

/// ln((word + 1/2) / 2^32), to about 1e-15: splits exponent and mantissa, then sums the series of artanh.
fn ln_of_uniform(word: u32) -> f64 {
    let bits = ((f64::from(word) + 0.5) / 4_294_967_296.0).to_bits();
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    let large = mantissa > std::f64::consts::SQRT_2;
    let exponent = (bits >> 52) as i32 - 1023 + i32::from(large);
    let mantissa = if large { mantissa * 0.5 } else { mantissa };
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..10).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * z * series
}

/// Sine and cosine of 2 pi (word + 1/2) / 2^32, to about 1e-15: an eighth of a turn by Taylor, the rest by symmetry.
fn sin_cos_of_turn(word: u32) -> (f64, f64) {
    let quadrant = word >> 30;
    // From -1/8 to 1/8 of a turn around the middle of the quadrant.
    let offset = (f64::from(word & 0x3fff_ffff) + 0.5) / 4_294_967_296.0 - 0.125;
    let angle = 2.0 * std::f64::consts::PI * offset;
    let square = -angle * angle;
    let mut sin = 0.0;
    let mut cos = 0.0;
    for k in (0..9).rev() {
        sin = 1.0 + sin * square / f64::from((2 * k + 2) * (2 * k + 3));
        cos = 1.0 + cos * square / f64::from((2 * k + 1) * (2 * k + 2));
    }
    sin *= angle;
    // Rotated by an eighth of a turn, into the first quadrant.
    let (sin, cos) = ((sin + cos) * std::f64::consts::FRAC_1_SQRT_2, (cos - sin) * std::f64::consts::FRAC_1_SQRT_2);
    let (sin, cos) = if quadrant & 1 == 1 { (cos, -sin) } else { (sin, cos) };
    if quadrant & 2 == 2 { (-sin, -cos) } else { (sin, cos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        assert_eq!(
            philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn logarithm_and_sine_agree_with_the_standard_library() {
        let edges =
            [0, 1, 2, u32::MAX, u32::MAX - 1, 1 << 30, (1 << 30) - 1, 1 << 31, 3 << 30, 0x5a82_7999, 0xb504_f333];
        for word in edges.into_iter().chain((0..10_000).map(|k| k * 429_497)) {
            let share = (f64::from(word) + 0.5) / 4_294_967_296.0;
            assert!((ln_of_uniform(word) - share.ln()).abs() <= 4e-15 * share.ln().abs().max(1e-9), "ln {word}");
            let (sin, cos) = sin_cos_of_turn(word);
            let angle = 2.0 * std::f64::consts::PI * share;
            assert!((sin - angle.sin()).abs() < 2e-15 && (cos - angle.cos()).abs() < 2e-15, "turn {word}");
        }
    }

    #[test]
    fn a_rows_noise_is_the_same_in_every_batch_and_order() {
        let draw = |rows: &[u64]| {
            let tensor = normals_tensor(5, rows, "a", 3, &[2, 3], Device::Cpu).unwrap();
            Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap()
        };
        let together = draw(&[10, 11, 12, 13, 14, 15, 16]);
        let reversed = draw(&[16, 15, 14, 13, 12, 11, 10]);
        for (index, row) in (10..17).enumerate() {
            let alone = draw(&[row]);
            assert_eq!(alone, together[index * 6..index * 6 + 6]);
            assert_eq!(alone, reversed[(6 - index) * 6..(6 - index) * 6 + 6]);
        }
    }

    #[test]
    fn every_part_of_the_key_matters_and_the_length_does_not() {
        let draw = |seed, row, stream: &str, step| {
            let mut out = [0.0; 6];
            normals(seed, row, stream, step, &mut out);
            out
        };
        let base = draw(1, 2, "a", 3);
        for other in [draw(2, 2, "a", 3), draw(1 << 40, 2, "a", 3), draw(1, 3, "a", 3), draw(1, 2 | 1 << 40, "a", 3)] {
            assert_ne!(base, other);
        }
        assert_ne!(base, draw(1, 2, "b", 3));
        assert_ne!(base, draw(1, 2, "a", 4));
        let mut short = [0.0; 3];
        normals(1, 2, "a", 3, &mut short);
        assert_eq!(short, base[..3]);
    }

    #[test]
    fn moments_are_those_of_a_standard_normal() {
        let mut values = vec![0.0f32; 400_000];
        normals(1, 1, "a", 0, &mut values);
        let moment = |power| values.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / 400_000.0;
        // Four standard errors of each moment: sqrt(1, 2, 15, 96) / sqrt(n).
        for (power, expected, std) in [(1, 0.0, 1.0), (2, 1.0, 2.0f64), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let bound = 4.0 * std.sqrt() / 400_000f64.sqrt();
            assert!((moment(power) - expected).abs() < bound, "moment {power}: {}", moment(power));
        }
        let lagged = values.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / 400_000.0;
        assert!(lagged.abs() < 4.0 / 400_000f64.sqrt(), "{lagged}");
    }

    #[test]
    fn uniforms_stay_inside_and_are_uniform() {
        let mut values = vec![0.0; 100_001];
        RowNoise::new(3, 4, "a").uniforms(9, &mut values);
        assert!(values.iter().all(|value| *value > 0.0 && *value < 1.0));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        assert!((mean - 0.5).abs() < 4e-3 && (square - 1.0 / 3.0).abs() < 4e-3, "{mean} {square}");
        assert!(uniform(u32::MAX, u32::MAX) < 1.0 && uniform(0, 0) > 0.0);
    }
}
