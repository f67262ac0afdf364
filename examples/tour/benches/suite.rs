//! Benches that criterion runs and that the gate can compare in turns, all in one.
//!
//! ```sh
//! cargo bench -p tour --bench suite
//! cargo xtask bench -p tour --bench suite --against main
//! ```

use perfwright_criterion::Suite;
use perfwright_criterion::heap::SampledAlloc;
use tour::{count_words, ranking, text};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn benches(suite: &mut Suite) {
    suite
        .bench_with(
            "suite/count words",
            || text(1_000),
            |bencher, text| {
                bencher.iter(|| count_words(text));
            },
        )
        .bench_with(
            "suite/ranking",
            || count_words(&text(1_000)),
            |bencher, counts| {
                bencher.iter(|| ranking(counts).len());
            },
        );
}

perfwright_criterion::main!(benches);
