//! Any bytes are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_format::{Limits, detect, read};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    let detected = detect(bytes);
    if let Ok(read) = read(bytes, &limits) {
        assert_eq!(detected, Some(read.format));
    }
});
