//! Benches of criterion, with what they run counted beside the timing.

mod calls;
mod place;
mod sweep;

use std::fmt::Display;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};

use criterion::async_executor::AsyncExecutor;
use criterion::measurement::Measurement;
use criterion::{BatchSize, Bencher, BenchmarkGroup, BenchmarkId, Criterion};
use perfwright_stats::complexity::Fit;

use crate::measurement::Timer;
use crate::protocol::Measured;
pub(crate) use calls::Calls;

/// criterion's benches, counted: how often an iteration allocates and how many bytes, and how much CPU time it takes,
/// beside whatever criterion measures.
///
/// ```no_run
/// use criterion::{Criterion, criterion_group, criterion_main};
/// use perfwright_criterion::{CriterionExt as _, heap::SampledAlloc};
///
/// #[global_allocator]
/// static ALLOC: SampledAlloc = SampledAlloc::system(); // without it allocations are not counted
///
/// fn split(criterion: &mut Criterion) {
///     criterion.counted("split", |bencher| {
///         bencher.iter(|| "a,b,c".split(',').map(str::to_owned).collect::<Vec<_>>())
///     });
/// }
///
/// criterion_group!(benches, split);
/// criterion_main!(benches);
/// ```
///
/// It prints a line below criterion's,
///
/// ```text
/// split                   time:   [101.95 ns 102.80 ns 103.77 ns]
///                         counts: 102.5 ns of CPU, 4 allocations, 99 bytes
/// ```
///
/// and saves [`Counts`](crate::saved::Counts) beside criterion's results, where the budget checker and
/// `cargo perfwright bench` find them. It goes where criterion saves by itself; a folder that was set by
/// `Criterion::output_directory` is not seen.
///
/// # Counting only
/// Counts of most code are the same in every run, on every machine, so they can be checked where timings cannot. With
/// `PERFWRIGHT_COUNT=N` in the environment and criterion's `--test` each bench runs N iterations after one that is not
/// counted, and saves that:
///
/// ```sh
/// PERFWRIGHT_COUNT=10 cargo bench -- --test
/// ```
pub trait CriterionExt<M: Timer + 'static> {
    /// A bench as [`Criterion::bench_function`] runs it, counted.
    fn counted(
        &mut self,
        name: &str,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
    ) -> &mut Self;

    /// A group of benches that can be counted; it is a [`BenchmarkGroup`] besides.
    fn counted_group(&mut self, name: impl Into<String>) -> CountedGroup<'_, M>;

    /// A bench for inputs of several sizes, counted, and how its time grows with them: in which class, how sure that
    /// is, and with which power of the size. The benches are `name/size`; their throughput is in elements.
    ///
    /// Returns, prints and saves (as `sweep.json` in the group's folder) the fit; `None` if fewer than four sizes
    /// above 1 were measured. Sizes far apart tell more than many: powers of two, say.
    ///
    /// ```no_run
    /// use criterion::Criterion;
    /// use perfwright_criterion::CriterionExt as _;
    ///
    /// fn sort(criterion: &mut Criterion) {
    ///     criterion.sweep("sort", (8..=14).map(|power| 1 << power), |bencher, size| {
    ///         let numbers: Vec<u64> = (0..size).map(|n| n * 7_919 % size).collect();
    ///         bencher.iter(|| {
    ///             let mut numbers = numbers.clone();
    ///             numbers.sort();
    ///             numbers
    ///         });
    ///     });
    /// }
    /// ```
    ///
    /// ```text
    /// sort                    growth: O(n log n) in 99 % of resamples, O(n) in 1 %; as n^1.09 [1.06, 1.12]
    /// ```
    fn sweep(
        &mut self,
        name: &str,
        sizes: impl IntoIterator<Item = u64>,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>, u64),
    ) -> Option<Fit>;
}

impl<M: Timer + 'static> CriterionExt<M> for Criterion<M> {
    fn counted(
        &mut self,
        name: &str,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
    ) -> &mut Self {
        run(self, name, &M::timer(), bench);
        self
    }

    fn counted_group(&mut self, name: impl Into<String>) -> CountedGroup<'_, M> {
        let name = name.into();
        CountedGroup {
            group: self.benchmark_group(name.clone()),
            name,
        }
    }

    fn sweep(
        &mut self,
        name: &str,
        sizes: impl IntoIterator<Item = u64>,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>, u64),
    ) -> Option<Fit> {
        sweep::run(self.counted_group(name), sizes, bench)
    }
}

/// Runs a bench under criterion, and saves what was counted.
pub(crate) fn run<M: Measurement + 'static>(
    criterion: &mut Criterion<M>,
    name: &str,
    measurement: &M,
    mut bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
) {
    let mut calls = Calls::default();
    criterion.bench_function(name, |inner| {
        bench(&mut CountedBencher {
            inner,
            measurement,
            calls: &mut calls,
        });
    });
    place::save(&calls, name, &[name]);
}

/// A group of benches; see [`CriterionExt::counted_group`].
pub struct CountedGroup<'a, M: Timer + 'static> {
    group: BenchmarkGroup<'a, M>,
    name: String,
}

impl<'a, M: Timer + 'static> CountedGroup<'a, M> {
    /// A bench of the group, counted: `group/function`.
    pub fn counted(
        &mut self,
        function: &str,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
    ) -> &mut Self {
        self.run(BenchmarkId::from_parameter(function), &[function], bench);
        self
    }

    /// A bench of the group for one of several inputs, counted: `group/function/parameter`.
    pub fn counted_at(
        &mut self,
        function: &str,
        parameter: impl Display,
        bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
    ) -> &mut Self {
        let parameter = parameter.to_string();
        let id = BenchmarkId::new(function, &parameter);
        self.run(id, &[function, &parameter], bench);
        self
    }

    /// Ends the group, as [`BenchmarkGroup::finish`] does.
    pub fn finish(self) {
        self.group.finish();
    }

    pub(crate) fn run(
        &mut self,
        id: BenchmarkId,
        below: &[&str],
        mut bench: impl FnMut(&mut CountedBencher<'_, '_, M>),
    ) -> Calls {
        let (mut calls, measurement) = (Calls::default(), M::timer());
        self.group.bench_function(id, |inner| {
            bench(&mut CountedBencher {
                inner,
                measurement: &measurement,
                calls: &mut calls,
            });
        });
        let parts: Vec<&str> = std::iter::once(&*self.name)
            .chain(below.iter().copied())
            .collect();
        place::save(&calls, &parts.join("/"), &parts);
        calls
    }
}

impl<'a, M: Timer + 'static> Deref for CountedGroup<'a, M> {
    type Target = BenchmarkGroup<'a, M>;

    fn deref(&self) -> &BenchmarkGroup<'a, M> {
        &self.group
    }
}

impl<'a, M: Timer + 'static> DerefMut for CountedGroup<'a, M> {
    fn deref_mut(&mut self) -> &mut BenchmarkGroup<'a, M> {
        &mut self.group
    }
}

/// criterion's [`Bencher`], which counts beside the timing what is timed.
///
/// Its methods time what those of the same name time in criterion. Counters and the other clocks are read outside of
/// what criterion's measurement sees, once a batch. That takes about a microsecond, so of batches below 20 microseconds
/// ([`BatchSize::PerIteration`] of something short) CPU time is not told.
pub struct CountedBencher<'a, 'b, M: Measurement> {
    inner: &'a mut Bencher<'b, M>,
    measurement: &'a M,
    calls: &'a mut Calls,
}

impl<'a, 'b, M: Measurement> CountedBencher<'a, 'b, M> {
    /// Times a routine; what it returns is dropped within the time.
    pub fn iter<O>(&mut self, mut routine: impl FnMut() -> O) {
        self.batches(|iterations, meter| {
            meter(&mut || {
                for _ in 0..iterations {
                    black_box(routine());
                }
            });
        });
    }

    /// Times a routine, but not what dropping its results takes.
    pub fn iter_with_large_drop<O>(&mut self, mut routine: impl FnMut() -> O) {
        self.iter_batched(|| (), |()| routine(), BatchSize::SmallInput);
    }

    /// Times a routine that takes an input of its own, made by `setup` outside of the time, as is the drop of what it
    /// returns.
    pub fn iter_batched<I, O>(
        &mut self,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(I) -> O,
        size: BatchSize,
    ) {
        self.batches(|iterations, meter| {
            for count in batches_of(size, iterations) {
                let mut inputs: Vec<I> = (0..count).map(|_| setup()).collect();
                let mut outputs: Vec<O> = Vec::with_capacity(inputs.len());
                meter(&mut || {
                    for input in black_box(&mut inputs).drain(..) {
                        outputs.push(black_box(routine(input)));
                    }
                });
            }
        });
    }

    /// Times a routine that is lent an input of its own; making and dropping it are not timed.
    pub fn iter_batched_ref<I, O>(
        &mut self,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(&mut I) -> O,
        size: BatchSize,
    ) {
        self.batches(|iterations, meter| {
            for count in batches_of(size, iterations) {
                let mut inputs: Vec<I> = (0..count).map(|_| setup()).collect();
                let mut outputs: Vec<O> = Vec::with_capacity(inputs.len());
                meter(&mut || {
                    for input in black_box(&mut inputs) {
                        outputs.push(black_box(routine(input)));
                    }
                });
            }
        });
    }

    /// Runs futures on an executor, such as `Tokio` of the feature `tokio`.
    pub fn to_async<A: AsyncExecutor>(
        &mut self,
        executor: A,
    ) -> AsyncCountedBencher<'_, 'a, 'b, A, M> {
        AsyncCountedBencher {
            bencher: self,
            executor,
        }
    }

    /// The plain bencher; what it runs is not counted.
    pub fn uncounted(&mut self) -> &mut Bencher<'b, M> {
        self.inner
    }

    /// What everything else is made from: `run` gets a number of iterations, and what measures its argument.
    pub(crate) fn batches(&mut self, mut run: impl FnMut(u64, &mut dyn FnMut(&mut dyn FnMut()))) {
        let (measurement, calls) = (self.measurement, &mut *self.calls);
        self.inner.iter_custom(|iterations| {
            let warm_up = |iterations| run(iterations, &mut |work| work());
            let (batches, iterations) = calls.begin(iterations, warm_up);
            let mut total = measurement.zero();
            for _ in 0..batches {
                let value = calls.batch(iterations, measurement, &mut run);
                total = measurement.add(&total, &value);
            }
            total
        });
    }
}

impl Calls {
    /// Runs a batch and remembers what it took.
    fn batch<M: Measurement>(
        &mut self,
        iterations: u64,
        measurement: &M,
        run: &mut impl FnMut(u64, &mut dyn FnMut(&mut dyn FnMut())),
    ) -> M::Value {
        let (mut total, mut parts) = (measurement.zero(), 0);
        let mut counted = None::<Measured>;
        run(iterations, &mut |work| {
            parts += 1;
            let part = Measured::of(&mut || {
                let start = measurement.start();
                work();
                total = measurement.add(&total, &measurement.end(start));
            });
            match &mut counted {
                Some(counted) => counted.add(part),
                None => counted = Some(part),
            }
        });
        let counted = counted.unwrap_or_default();
        self.push(iterations, measurement.to_f64(&total), counted, parts);
        total
    }
}

/// [`CountedBencher`] for futures; see [`CountedBencher::to_async`].
pub struct AsyncCountedBencher<'c, 'a, 'b, A: AsyncExecutor, M: Measurement> {
    bencher: &'c mut CountedBencher<'a, 'b, M>,
    executor: A,
}

impl<A: AsyncExecutor, M: Measurement> AsyncCountedBencher<'_, '_, '_, A, M> {
    /// Times a routine and the future that it makes, one after the other, within one `block_on`.
    pub fn iter<O, F: Future<Output = O>>(&mut self, mut routine: impl FnMut() -> F) {
        let executor = &self.executor;
        self.bencher.batches(|iterations, meter| {
            meter(&mut || {
                executor.block_on(async {
                    for _ in 0..iterations {
                        black_box(routine().await);
                    }
                });
            });
        });
    }

    /// Times a routine and the future that it makes of an input of its own, made by `setup` outside of the time, as is
    /// the drop of what it returns.
    pub fn iter_batched<I, O, F: Future<Output = O>>(
        &mut self,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(I) -> F,
        size: BatchSize,
    ) {
        let executor = &self.executor;
        self.bencher.batches(|iterations, meter| {
            for count in batches_of(size, iterations) {
                let mut inputs: Vec<I> = (0..count).map(|_| setup()).collect();
                let mut outputs: Vec<O> = Vec::with_capacity(inputs.len());
                meter(&mut || {
                    executor.block_on(async {
                        for input in black_box(&mut inputs).drain(..) {
                            outputs.push(black_box(routine(input).await));
                        }
                    });
                });
            }
        });
    }
}

/// The sizes of the batches that make up so many iterations, as criterion chooses them.
fn batches_of(size: BatchSize, iterations: u64) -> impl Iterator<Item = u64> {
    let most = match size {
        BatchSize::SmallInput => iterations.div_ceil(10),
        BatchSize::LargeInput => iterations.div_ceil(1_000),
        BatchSize::NumBatches(batches) => iterations.div_ceil(batches.max(1)),
        BatchSize::NumIterations(count) => count,
        _ => 1,
    };
    let (mut left, most) = (iterations, most.max(1));
    std::iter::from_fn(move || {
        let count = left.min(most);
        left -= count;
        (count > 0).then_some(count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_those_of_criterion() {
        let of = |size, iterations| batches_of(size, iterations).collect::<Vec<_>>();
        assert_eq!(of(BatchSize::SmallInput, 25), [3, 3, 3, 3, 3, 3, 3, 3, 1]);
        assert_eq!(of(BatchSize::LargeInput, 3), [1, 1, 1]);
        assert_eq!(of(BatchSize::PerIteration, 2), [1, 1]);
        assert_eq!(of(BatchSize::NumBatches(2), 5), [3, 2]);
        assert_eq!(of(BatchSize::NumBatches(0), 5), [5]);
        assert_eq!(of(BatchSize::NumIterations(4), 5), [4, 1]);
        assert_eq!(of(BatchSize::NumIterations(0), 1), [1]);
        assert_eq!(of(BatchSize::SmallInput, 0), [0; 0]);
    }
}
