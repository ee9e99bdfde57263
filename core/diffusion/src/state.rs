//! The state of a stream in a row: observed, generated or absent. All masks derive from it.

use anyflow_config::State;

/// The states of a batch: `[row, stream]`.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    streams: usize,
    states: Vec<State>,
}

impl States {
    /// All streams of all rows in one state.
    pub fn filled(rows: usize, streams: usize, state: State) -> Self {
        States { streams, states: vec![state; rows * streams] }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.states.len() / self.streams.max(1)
    }

    /// The number of streams.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// The states of one row, stream by stream.
    pub fn row(&self, row: usize) -> &[State] {
        &self.states[row * self.streams..(row + 1) * self.streams]
    }

    /// The states of one row, mutable.
    pub fn row_mut(&mut self, row: usize) -> &mut [State] {
        &mut self.states[row * self.streams..(row + 1) * self.streams]
    }

    /// The states of one stream, row by row.
    pub fn stream(&self, stream: usize) -> impl Iterator<Item = State> + '_ {
        self.states.iter().skip(stream).step_by(self.streams.max(1)).copied()
    }

    /// 1 for rows with a loss: `[row]` of one stream.
    pub fn loss_mask(&self, stream: usize) -> Vec<f32> {
        self.mask(stream, State::has_loss)
    }

    /// 1 for rows with noise: `[row]` of one stream.
    pub fn noise_mask(&self, stream: usize) -> Vec<f32> {
        self.mask(stream, State::has_noise)
    }

    /// 1 for rows that keep the observed value: `[row]` of one stream.
    pub fn clamp_mask(&self, stream: usize) -> Vec<f32> {
        self.mask(stream, State::is_clamped)
    }

    /// 1 if the network sees the stream: `[row, stream]`, row after row.
    pub fn presence(&self) -> Vec<f32> {
        self.states.iter().map(|state| f32::from(u8::from(state.is_present()))).collect()
    }

    fn mask(&self, stream: usize, holds: fn(State) -> bool) -> Vec<f32> {
        self.stream(stream).map(|state| f32::from(u8::from(holds(state)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_derive_from_the_states() {
        let mut states = States::filled(2, 3, State::Noisy);
        states.row_mut(0)[1] = State::Clean;
        states.row_mut(1)[2] = State::Absent;
        assert_eq!((states.rows(), states.streams()), (2, 3));
        assert_eq!(states.loss_mask(1), [0.0, 1.0]);
        assert_eq!(states.noise_mask(2), [1.0, 0.0]);
        assert_eq!(states.clamp_mask(1), [1.0, 0.0]);
        assert_eq!(states.clamp_mask(2), [0.0, 0.0]);
        assert_eq!(states.presence(), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(states.row(0), [State::Noisy, State::Clean, State::Noisy]);
    }

    #[test]
    fn the_time_derives_from_the_state() {
        assert_eq!([State::Clean, State::Noisy, State::Absent].map(|state| state.time(0.3)), [0.0, 0.3, 1.0]);
    }
}
