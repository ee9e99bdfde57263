//! Rows of one job that move through the batch together.

use crate::noise::{RowNoise, START_STEP};

/// Rows of one job that were admitted together: at the same step, adjacent in the batch.
pub(crate) struct Group {
    /// The job's key in the lane.
    pub job: u64,
    /// The index of the first row in the job.
    pub first: usize,
    /// The number of rows.
    pub rows: usize,
    /// The current step, from 0.
    pub step: usize,
    /// The index of the first row in the lane's tensors.
    pub offset: usize,
    /// The noise generators, per stream and row.
    pub noise: Vec<Vec<RowNoise>>,
}

impl Group {
    /// Fills `out`, row after row, with this step's noise of one stream.
    pub fn fill_noise(&self, stream: usize, out: &mut [f32]) {
        self.fill(stream, START_STEP + 1 + self.step as u32, out);
    }

    /// Fills `out`, row after row, with the initial noise of one stream.
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
