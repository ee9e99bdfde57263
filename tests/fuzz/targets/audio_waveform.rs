#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_audio::Waveform, |data| Some(Cell::Bytes(data)));
