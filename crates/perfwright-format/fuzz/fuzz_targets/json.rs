//! What is read as speedscope, Firefox, V8's, Chrome's or DHAT's JSON can be written as pprof, speedscope and Firefox,
//! and all of that reads back with the same totals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_format::{Format, Limits, firefox, pprof, read, speedscope};
use perfwright_model::Profile;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    let Ok(first) = read(bytes, &limits) else {
        return;
    };
    if matches!(first.format, Format::Pprof | Format::Folded) {
        return;
    }
    let profile = &first.profile;
    let mut written = Vec::new();
    pprof::write(profile, &mut written).expect("a vector takes every byte");
    let again = read(&written, &Limits::default()).expect("own output is valid");
    for index in 0..profile.sample_types().len() {
        assert_eq!(again.profile.total(index), profile.total(index));
    }
    // JSON's numbers are exact up to 2^53 only.
    let small = |value: &i64| value.unsigned_abs() < 1 << 40;
    if !profile
        .samples()
        .all(|sample| sample.values.iter().all(small))
    {
        return;
    }
    let mut written = Vec::new();
    speedscope::write(profile, &mut written).expect("a vector takes every byte");
    let again = read(&written, &Limits::default());
    let again = again.expect("own output is valid").profile;
    // Equal sample types become one.
    for kind in profile.sample_types() {
        let sum = |profile: &Profile| {
            let same = (0..profile.sample_types().len())
                .filter(|&index| profile.sample_types()[index] == *kind);
            same.map(|index| i128::from(profile.total(index)))
                .sum::<i128>()
        };
        assert_eq!(sum(&again), sum(profile));
    }
    let mut written = Vec::new();
    firefox::write(profile, 0, &mut written).expect("a vector takes every byte");
    read(&written, &Limits::default()).expect("own output is valid");
});
