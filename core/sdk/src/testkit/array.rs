//! Arrays that plugins read and write, with guard elements at both ends.

use std::ffi::c_void;

use crate::Element;
use crate::abi::{ArrayView, Device};

/// Number of guard elements before and behind an array. Nobody may write to them.
const GUARD: usize = 64;

/// The elements, including the guards.
#[derive(Clone, Debug, PartialEq)]
enum Elements {
    F32(Vec<f32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

/// `[row, axes of the port]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    elements: Elements,
    shape: Vec<i64>,
}

impl Array {
    /// An array of zeros; `None` for an unknown dtype.
    pub fn zeros(dtype: &str, rows: usize, sizes: &[i64]) -> Option<Self> {
        let shape: Vec<i64> = std::iter::once(rows as i64).chain(sizes.iter().copied()).collect();
        let count = shape.iter().product::<i64>() as usize;
        let elements = match dtype {
            f32::NAME => Elements::F32(guarded(count, 0.0, 12_345.0)),
            i64::NAME => Elements::I64(guarded(count, 0, 0x5a5a_5a5a)),
            u8::NAME => Elements::U8(guarded(count, 0, 0x5a)),
            _ => return None,
        };
        Some(Array { elements, shape })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape[0] as usize
    }

    /// Elements of a row.
    pub fn row_size(&self) -> usize {
        self.shape[1..].iter().product::<i64>() as usize
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        let element = match self.elements {
            Elements::F32(_) => 4,
            Elements::I64(_) => 8,
            Elements::U8(_) => 1,
        };
        element * self.rows() * self.row_size()
    }

    /// A row as real numbers.
    pub fn row(&self, row: usize) -> Vec<f64> {
        let range = self.range(row);
        match &self.elements {
            Elements::F32(all) => all[range].iter().map(|x| f64::from(*x)).collect(),
            Elements::I64(all) => all[range].iter().map(|x| *x as f64).collect(),
            Elements::U8(all) => all[range].iter().map(|x| f64::from(*x)).collect(),
        }
    }

    /// Writes a row of real numbers, rounded to the dtype.
    pub fn set_row(&mut self, row: usize, values: &[f64]) {
        let range = self.range(row);
        match &mut self.elements {
            Elements::F32(all) => all[range].iter_mut().zip(values).for_each(|(to, x)| *to = *x as f32),
            Elements::I64(all) => all[range].iter_mut().zip(values).for_each(|(to, x)| *to = *x as i64),
            Elements::U8(all) => all[range].iter_mut().zip(values).for_each(|(to, x)| *to = *x as u8),
        }
    }

    /// The ABI's view of it. The array must outlive every use of the view.
    pub fn view(&mut self) -> ArrayView {
        let (data, dtype): (*mut c_void, _) = match &mut self.elements {
            Elements::F32(all) => (all[GUARD..].as_mut_ptr().cast(), f32::DATA_TYPE),
            Elements::I64(all) => (all[GUARD..].as_mut_ptr().cast(), i64::DATA_TYPE),
            Elements::U8(all) => (all[GUARD..].as_mut_ptr().cast(), u8::DATA_TYPE),
        };
        ArrayView {
            data,
            device: Device { kind: 1, id: 0 },
            ndim: self.shape.len() as i32,
            dtype,
            shape: self.shape.as_ptr(),
            strides: std::ptr::null(),
            byte_offset: 0,
        }
    }

    /// True if nobody wrote to the guards.
    pub fn is_guarded(&self) -> bool {
        match &self.elements {
            Elements::F32(all) => intact(all),
            Elements::I64(all) => intact(all),
            Elements::U8(all) => intact(all),
        }
    }

    /// Equality to the bit: NaN equals itself.
    pub fn same_bits(&self, other: &Array) -> bool {
        match (&self.elements, &other.elements) {
            (Elements::F32(a), Elements::F32(b)) => a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())),
            (a, b) => a == b,
        }
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let size = self.row_size();
        GUARD + row * size..GUARD + (row + 1) * size
    }
}

fn guarded<T: Copy>(count: usize, zero: T, guard: T) -> Vec<T> {
    let mut all = vec![guard; count + 2 * GUARD];
    all[GUARD..GUARD + count].fill(zero);
    all
}

fn intact<T: Copy + PartialEq>(all: &[T]) -> bool {
    // All guards were equal, and no plausible bug overwrites both ends with the same value.
    let first = all[0];
    all[..GUARD].iter().chain(&all[all.len() - GUARD..]).all(|x| *x == first)
}
