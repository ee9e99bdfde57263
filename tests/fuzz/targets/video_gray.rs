#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_video::Gray, |data| Some(Cell::Bytes(data)));
