#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_image::Rgb, |data| Some(Cell::Bytes(data)));
