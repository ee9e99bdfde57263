//! Rows of one job that go through the batch together.

use crate::noise::{RowNoise, START_STEP};

/// Rows of one job that were admitted together: they are at the same step, next to one another in the batch.
pub(crate) struct Group {
    /// The job's key in the lane.
    pub job: u64,
    /// The first of them, as the job counts.
    pub first: usize,
    /// The number of rows.
    pub rows: usize,
    /// The step they are at, from 0.
    pub step: usize,
    /// Where the first of them lies in the lane's tensors.
    pub offset: usize,
    /// Per stream and row.
    pub noise: Vec<Vec<RowNoise>>,
}

impl Group {
    /// Fills `out`, row after row, with the noise of this step in one stream.
    pub fn fill_noise(&self, stream: usize, out: &mut [f32]) {
        self.fill(stream, START_STEP + 1 + self.step as u32, out);
    }

    /// Fills `out`, row after row, with the noise that the stream starts from.
    pub fn fill_start(&self, stream: usize, out: &mut [f32]) {
        self.fill(stream, START_STEP, out);
    }

    fn fill(&self, stream: usize, step: u32, out: &mut [f32]) {
        let elements = out.len() / self.rows.max(1);
        for (noise, row) in self.noise[stream].iter().zip(out.chunks_mut(elements.max(1))) {
            noise.normals(step, row);
        }
    }
}
