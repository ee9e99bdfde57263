#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_image::Masked, |data| Some(Cell::Bytes(data)));
