//! The subjects as benches of a suite, which the gate drives.

use std::hint::black_box;

use perfwright_criterion::Suite;
use perfwright_gate_benches::subjects;
use perfwright_heap::SampledAlloc;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn all(suite: &mut Suite) {
    for subject in subjects() {
        suite.bench(subject.name, move |bencher| {
            bencher.iter(|| (subject.work)(black_box(subject.turns)));
        });
    }
}

/// Moves what comes after it, as any change elsewhere does.
#[cfg(feature = "unrelated-a")]
pub extern "C" fn unrelated(value: u64) -> u64 {
    black_box(black_box(value).rotate_left(7) ^ black_box(3))
}

#[cfg(feature = "unrelated-b")]
pub extern "C" fn unrelated(value: u64) -> u64 {
    (0..value).fold(1, |sum, x| {
        black_box(sum ^ x).wrapping_mul(black_box(31)) / (x | 1)
    })
}

/// Has the linker keep it.
#[cfg(any(feature = "unrelated-a", feature = "unrelated-b"))]
#[used]
static KEEP: extern "C" fn(u64) -> u64 = unrelated;

perfwright_criterion::main!(all);
