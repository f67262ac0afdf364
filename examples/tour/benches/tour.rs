//! What perfwright-criterion adds to benches of criterion.
//!
//! ```sh
//! cargo bench -p tour --bench tour                       # time, CPU time, allocations, growth
//! cargo bench -p tour --bench tour -- --profile-time 5   # where the time goes: target/criterion/*/profile
//! cargo xtask bench -p tour                              # the same as the first, with a table
//! cargo xtask bench -p tour --count                      # allocations only, in seconds
//! ```

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use perfwright_criterion::heap::SampledAlloc;
use perfwright_criterion::{CriterionExt as _, ProcessCpu, Profiler, Tokio};
use tour::{count_words, ranking, text};

/// Without it allocations are not counted.
#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// A bench as criterion has it, but counted.
fn words(criterion: &mut Criterion) {
    let text = text(1_000);
    criterion.counted("count words", |bencher| bencher.iter(|| count_words(&text)));
}

/// A group with a throughput, and with inputs that are made outside of the time.
fn rankings(criterion: &mut Criterion) {
    let counts = count_words(&text(1_000));
    let mut group = criterion.counted_group("ranking");
    group.throughput(Throughput::Elements(counts.len() as u64));
    group.counted("borrowed", |bencher| bencher.iter(|| ranking(&counts)));
    group.counted("of a copy", |bencher| {
        bencher.iter_batched(
            || counts.clone(),
            |counts| ranking(&counts).len(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// How the time grows with the text: O(n), and how sure that is.
fn growth(criterion: &mut Criterion) {
    criterion.sweep(
        "count words of",
        (6..=12).map(|power| 1 << power),
        |bencher, words| {
            let text = text(words);
            bencher.iter(|| count_words(&text));
        },
    );
}

/// Work for the threads of a runtime, by the CPU time of the whole process.
fn tasks(criterion: &mut Criterion<ProcessCpu>) {
    let runtime = Tokio::multi_thread(2).expect("the system has two threads left");
    criterion.counted("two tasks", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let task = || tokio::spawn(async { count_words(&text(500)).len() });
            let (one, other) = (task(), task());
            (one.await.ok(), other.await.ok())
        });
    });
}

criterion_group! {
    name = by_wall_clock;
    config = Criterion::default().with_profiler(Profiler::new());
    targets = words, rankings, growth
}
criterion_group! {
    name = by_cpu_time;
    config = Criterion::default().with_profiler(Profiler::new()).with_measurement(ProcessCpu);
    targets = tasks
}
criterion_main!(by_wall_clock, by_cpu_time);
