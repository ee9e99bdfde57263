#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anyflow_fuzz::files::imported("data-idx3-ubyte", data));
