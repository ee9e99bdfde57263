#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_label::OneHot, |data| data
    .first_chunk()
    .map(|bytes| Cell::I64(i64::from_le_bytes(*bytes))));
