//! What is read as pprof can be written, and reading that and writing it again gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_format::{Limits, pprof};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    let Ok(first) = pprof::read(bytes, &limits) else {
        return;
    };
    let mut written = Vec::new();
    pprof::write(&first.profile, &mut written).expect("a vector takes every byte");
    let second = pprof::read(&written, &Limits::default()).expect("own output is valid");
    let mut again = Vec::new();
    pprof::write(&second.profile, &mut again).expect("a vector takes every byte");
    assert_eq!(written, again);
});
