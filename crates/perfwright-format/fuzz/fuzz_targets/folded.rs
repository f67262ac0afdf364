//! What is read as folded stacks can be written, and that can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_format::{ErrorKind, Limits, folded};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    let Ok(first) = folded::read(bytes, &limits) else {
        return;
    };
    let mut written = Vec::new();
    folded::write(&first.profile, 0, &mut written).expect("a vector takes every byte");
    if let Err(error) = folded::read(&written, &Limits::default()) {
        // Where all counts come to zero, nothing is written. Where that leaves only lines whose names end in
        // a number, those are taken for counts, and may be too large.
        let expected = [ErrorKind::Empty, ErrorKind::Limit];
        assert!(expected.contains(&error.kind()), "{error}");
    }
});
