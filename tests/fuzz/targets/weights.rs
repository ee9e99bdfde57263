#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anyflow_fuzz::files::weights(data));
