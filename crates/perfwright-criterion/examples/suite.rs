//! A suite whose allocations are counted. Started plainly it runs under criterion; the gate drives it in batches:
//! `cargo perfwright bench --executables BASE CANDIDATE`.

use std::hint::black_box;

use perfwright_criterion::{Suite, heap::SampledAlloc};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// A copy of the executable that is called `slower` is it.
fn terms() -> u64 {
    let own = std::env::current_exe().unwrap_or_default();
    if own.ends_with("slower") {
        1_100
    } else {
        1_000
    }
}

fn sums(suite: &mut Suite) {
    suite.bench("sum", |bencher| {
        let terms = terms();
        bencher.iter(|| (0..black_box(terms)).map(black_box).sum::<u64>());
    });
    suite.bench_with(
        "sort",
        || (0..500).rev().collect::<Vec<u32>>(),
        |bencher, numbers| {
            bencher.iter_batched(
                || numbers.clone(),
                |mut numbers| {
                    numbers.sort_unstable();
                    numbers.into_boxed_slice()
                },
            );
        },
    );
    suite.bench("text", |bencher| {
        bencher.iter(|| black_box(17).to_string());
    });
    // What a bench prints does not disturb the gate.
    suite.bench("prints", |bencher| bencher.iter(|| println!("ran wall=1")));
    if std::env::var_os("SUITE_PANICS").is_some() {
        suite.bench("panics", |bencher| bencher.iter(|| panic!("out of luck")));
    }
}

perfwright_criterion::main!(sums);
