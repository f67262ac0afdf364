//! What is read as `perf script` or callgrind can be written as pprof, and that reads back with the same totals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_format::{Limits, callgrind, perf, pprof};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    for reader in [perf::read, callgrind::read] {
        let Ok(first) = reader(bytes, &limits) else {
            continue;
        };
        let mut written = Vec::new();
        pprof::write(&first.profile, &mut written).expect("a vector takes every byte");
        let again = pprof::read(&written, &Limits::default()).expect("own output is valid");
        for index in 0..first.profile.sample_types().len() {
            assert_eq!(again.profile.total(index), first.profile.total(index));
        }
    }
});
