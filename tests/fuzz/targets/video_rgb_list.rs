#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_video::RgbList, |data| let files = [data.to_vec(), data.to_vec()];
    Some(Cell::Files(files.as_slice().into())));
