//! A column of arrays in a mapped file.

use std::cell::{Cell, RefCell};

use arrow::buffer::Buffer;
use memmap2::Advice;
use tch::{Device, Kind, Tensor};

use super::Map;
use crate::{Result, RunError};

/// Bytes of the file that may be in the memory of this process before they are released, at least.
const RESIDENT: usize = 256 << 20;
/// A read of one byte makes this many bytes around it resident, if the kernel has them in memory.
const AROUND: usize = 64 << 10;

/// A column of arrays. Reading it does not fill the memory.
pub struct MappedColumn {
    map: Map,
    content: String,
    /// The elements of each record batch.
    parts: Vec<Buffer>,
    /// The first row of each record batch.
    starts: Vec<usize>,
    rows: usize,
    shape: Vec<i64>,
    kind: Kind,
    /// Bytes of a row.
    width: usize,
    /// The buffer of [`MappedColumn::gather`], on the CPU. It grows to the largest batch.
    staging: RefCell<Tensor>,
    /// Bytes that became resident since the last release, at most.
    resident: Cell<usize>,
}

impl MappedColumn {
    /// The column of these parts; each holds whole rows.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn new(map: Map, content: &str, parts: Vec<Buffer>, shape: Vec<i64>, kind: Kind) -> Result<Self> {
        let elements = shape.iter().product::<i64>();
        let width = elements as usize * kind.elt_size_in_bytes();
        let mut starts = Vec::with_capacity(parts.len());
        let mut rows = 0;
        for part in &parts {
            starts.push(rows);
            rows += part.len() / width.max(1);
        }
        let staging = RefCell::new(Tensor::f_empty([0, elements], (kind, Device::Cpu))?);
        let resident = Cell::new(0);
        Ok(MappedColumn { map, content: content.into(), parts, starts, rows, shape, kind, width, staging, resident })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of elements of all rows.
    pub fn elements(&self) -> usize {
        self.rows * self.shape.iter().product::<i64>() as usize
    }

    /// The hash of the file.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Returns these rows in this order: `[row, shape]`, on the CPU. The next call overwrites their memory.
    ///
    /// # Errors
    /// A row is out of range; out of memory.
    pub fn gather(&self, rows: &[u32]) -> Result<Tensor> {
        let mut staging = self.staging.borrow_mut();
        if (staging.size()[0] as usize) < rows.len() {
            *staging = self.empty(rows.len())?;
        }
        self.fill(&staging, rows)
    }

    /// Returns these rows in memory of their own: see [`MappedColumn::gather`].
    ///
    /// # Errors
    /// A row is out of range; out of memory.
    pub fn copy(&self, rows: &[u32]) -> Result<Tensor> {
        self.fill(&self.empty(rows.len())?, rows)
    }

    fn empty(&self, rows: usize) -> Result<Tensor> {
        let elements = self.shape.iter().product::<i64>();
        Ok(Tensor::f_empty([rows as i64, elements], (self.kind, Device::Cpu))?)
    }

    /// Copies rows to the front of `into`, `[row, element]`, which has at least as many, and returns a view of them.
    fn fill(&self, into: &Tensor, rows: &[u32]) -> Result<Tensor> {
        if let Some(row) = rows.iter().find(|row| **row as usize >= self.rows) {
            return Err(RunError::Internal(format!("row {row} is out of range, there are {}", self.rows)));
        }
        let count = rows.len();
        let target: &mut [u8] = if count * self.width == 0 {
            &mut []
        } else {
            // SAFETY: the tensor is contiguous in host memory with at least `count` rows of `width` bytes, which nothing
            // else reads or writes during this call.
            unsafe { std::slice::from_raw_parts_mut(into.data_ptr().cast(), count * self.width) }
        };
        for (row, target) in rows.iter().zip(target.chunks_exact_mut(self.width.max(1))) {
            target.copy_from_slice(self.row(*row as usize));
        }
        self.count(count * self.width.max(AROUND));
        let size: Vec<i64> = std::iter::once(count as i64).chain(self.shape.iter().copied()).collect();
        Ok(into.f_narrow(0, 0, count as i64)?.f_view(size.as_slice())?)
    }

    /// All rows in order, in chunks of `rows`: see [`MappedColumn::gather`].
    pub fn chunks(&self, rows: usize) -> impl Iterator<Item = Result<Tensor>> + '_ {
        self.map.advise(Advice::Sequential);
        let all: Vec<usize> = (0..self.rows).step_by(rows).collect();
        all.into_iter().map(move |first| {
            let last = (first + rows).min(self.rows);
            let chunk = self.gather(&(first as u32..last as u32).collect::<Vec<_>>());
            if last == self.rows {
                self.map.advise(Advice::Random);
            }
            chunk
        })
    }

    fn row(&self, row: usize) -> &[u8] {
        let part = self.starts.partition_point(|start| *start <= row) - 1;
        let first = (row - self.starts[part]) * self.width;
        &self.parts[part][first..first + self.width]
    }

    /// Releases the pages of a large file once many may be resident.
    fn count(&self, bytes: usize) {
        let resident = self.resident.get() + bytes;
        let is_much = resident > RESIDENT && self.map.as_ref().len() > RESIDENT;
        self.resident.set(if is_much { 0 } else { resident });
        if is_much {
            self.map.release();
        }
    }
}
