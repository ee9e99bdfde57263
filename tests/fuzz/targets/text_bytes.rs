#![no_main]

use anyflow_sdk::Cell;

anyflow_fuzz::target!(anyflow_text::Bytes, |data| std::str::from_utf8(data).ok().map(Cell::Utf8));
