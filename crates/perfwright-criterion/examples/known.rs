//! Benches of which it is known what they do. The tests run them and compare.
//!
//! `cargo run --release -p perfwright-criterion --example known -- --bench`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use perfwright_criterion::heap::SampledAlloc;
use perfwright_criterion::{CriterionExt as _, ProcessCpu, Suite, ThreadCpu};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// All of the CPU time of "known/hot": 7 parts here, 3 in what it calls.
#[inline(never)]
fn hot() -> u64 {
    spin(7).wrapping_add(cooler())
}

#[inline(never)]
fn cooler() -> u64 {
    spin(3)
}

#[inline(always)]
fn spin(parts: u64) -> u64 {
    let mut state = parts;
    for _ in 0..parts * 500 {
        state = black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
    state
}

/// Three allocations of 40 bytes in all.
fn allocate() -> (Box<u64>, Box<u64>, Vec<u64>) {
    (Box::new(1), Box::new(2), vec![3; 3])
}

fn known(criterion: &mut Criterion) {
    let mut group = criterion.counted_group("known");
    group.throughput(criterion::Throughput::Elements(10));
    group.counted("hot", |bencher| bencher.iter(hot));
    group.counted("allocates", |bencher| bencher.iter(allocate));
    group.counted("allocates/large drop", |bencher| {
        bencher.iter_with_large_drop(allocate)
    });
    // The setup's allocation and the vectors of inputs and outputs are not the routine's.
    group.counted_at("batched", 4, |bencher| {
        bencher.iter_batched(
            || Vec::<u8>::with_capacity(1_000),
            |input| (input, Box::new(1_u64)),
            BatchSize::SmallInput,
        );
    });
    group.counted_at("batched", "by reference", |bencher| {
        bencher.iter_batched_ref(
            Vec::<u64>::new,
            |input| input.push(1),
            BatchSize::PerIteration,
        );
    });
    // Only its first iteration allocates.
    let mut kept = Vec::<u64>::new();
    group.counted("first only", |bencher| {
        bencher.iter(|| {
            kept.clear();
            kept.push(black_box(1));
            kept.len()
        });
    });
    group.finish();

    // It does not run long enough to be measured: criterion saves no 0, we do.
    criterion.counted("nothing", |bencher| bencher.iter(|| black_box(1)));
    criterion.sweep("sweep", [64, 256, 1_024, 4_096], |bencher, size| {
        bencher.iter(|| (0..size).map(black_box).sum::<u64>());
    });

    let mut suite = Suite::new();
    suite.bench("suite", |bencher| bencher.iter(allocate));
    suite.run_under(criterion, &criterion::measurement::WallTime);
}

/// Work that another thread does.
fn elsewhere() -> u64 {
    std::thread::scope(|scope| {
        scope
            .spawn(|| (0..1_000).map(|_| hot()).fold(0, u64::wrapping_add))
            .join()
    })
    .unwrap_or(0)
}

fn by_process(criterion: &mut Criterion<ProcessCpu>) {
    criterion.counted("elsewhere by process", |bencher| bencher.iter(elsewhere));
}

fn by_thread(criterion: &mut Criterion<ThreadCpu>) {
    criterion.counted("elsewhere by thread", |bencher| bencher.iter(elsewhere));
    criterion.counted("here by thread", |bencher| bencher.iter(hot));
}

criterion_group! { name = wall; config = perfwright_criterion::config(); targets = known }
criterion_group! { name = process; config = Criterion::default().with_measurement(ProcessCpu); targets = by_process }
criterion_group! { name = thread; config = Criterion::default().with_measurement(ThreadCpu); targets = by_thread }
criterion_main!(wall, process, thread);
