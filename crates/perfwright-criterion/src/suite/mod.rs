//! Benches that run under criterion, and that the gate can drive.
//!
//! ```no_run
//! use perfwright_criterion::Suite;
//! use std::hint::black_box;
//!
//! fn sorting(suite: &mut Suite) {
//!     suite.bench("sum", |bencher| bencher.iter(|| (0..black_box(1_000_u64)).sum::<u64>()));
//!     // The input is made when the bench is first run, not when benches are listed.
//!     suite.bench_with(
//!         "sort",
//!         || (0..1_000).rev().collect::<Vec<u32>>(),
//!         |bencher, numbers| {
//!             bencher.iter_batched(|| numbers.clone(), |mut numbers| numbers.sort_unstable())
//!         },
//!     );
//! }
//!
//! perfwright_criterion::main!(sorting);
//! ```
//!
//! with, in Cargo.toml, `[[bench]] name = "..." harness = false`. `cargo bench` runs it under criterion as it would
//! any other bench. `cargo perfwright bench --against main` drives two builds of it in small batches, in turns; how
//! they talk is in [`crate::protocol`].
//!
//! Under criterion `--profile-time` leaves a profile of each bench ([`Profiler`](crate::Profiler)), and what it allocates
//! is counted ([`CriterionExt`](crate::CriterionExt)).
//!
//! To have allocations counted, make [`SampledAlloc`](https://docs.rs/perfwright-heap) the bench's global allocator.
//!
//! An async bench blocks on its future in `iter`; its waits are seen, and it is judged by the wall clock and by the
//! CPU time of the whole process. What it will not do: run a bench's code in several processes at once, or tell
//! what the first iteration costs.

pub(crate) mod clocks;
#[cfg(feature = "harness")]
mod harness;
mod obey;

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use crate::protocol::VARIABLE;

/// The most inputs of [`Bencher::iter_batched`] that are made ahead and live at once.
const INPUTS_AT_ONCE: u64 = 256;

type Body = Box<dyn FnMut(&mut Bencher<'_>)>;

/// A list of benches; see the [module's documentation](self).
#[derive(Default)]
pub struct Suite {
    benches: Vec<Bench>,
}

struct Bench {
    name: String,
    body: Body,
}

/// Runs the iterations of one bench: its body calls [`Bencher::iter`] or [`Bencher::iter_batched`].
pub struct Bencher<'a> {
    warmup: u64,
    iterations: u64,
    /// Runs its argument and measures that.
    meter: &'a mut dyn FnMut(&mut dyn FnMut()),
}

impl Suite {
    /// A suite without benches.
    #[must_use]
    pub fn new() -> Suite {
        Suite::default()
    }

    /// Adds a bench. The body is called for every batch; what it does outside of the bencher is not measured.
    ///
    /// The name tells the bench from all others of the executable; a slash groups, as in criterion. A name that is
    /// there already gets a number.
    pub fn bench(
        &mut self,
        name: impl Into<String>,
        body: impl FnMut(&mut Bencher<'_>) + 'static,
    ) -> &mut Suite {
        let name = self.unused(name.into());
        let body = Box::new(body);
        self.benches.push(Bench { name, body });
        self
    }

    /// Adds a bench with something that is made once, before its first batch.
    pub fn bench_with<S: 'static>(
        &mut self,
        name: impl Into<String>,
        mut setup: impl FnMut() -> S + 'static,
        mut body: impl FnMut(&mut Bencher<'_>, &mut S) + 'static,
    ) -> &mut Suite {
        let mut made: Option<S> = None;
        self.bench(name, move |bencher| {
            body(bencher, made.get_or_insert_with(&mut setup));
        })
    }

    /// Runs the suite as a bench executable is to: under criterion, or as the gate orders.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match env::var_os(VARIABLE) {
            Some(_) => obey::obey(self.benches),
            None => self.run_plainly(),
        }
    }

    /// Runs the suite with another configuration of criterion, where criterion runs it.
    #[cfg(feature = "harness")]
    #[must_use]
    pub fn run_with(self, config: impl FnOnce() -> criterion::Criterion) -> ExitCode {
        match env::var_os(VARIABLE) {
            Some(_) => obey::obey(self.benches),
            None => harness::run(self, config()),
        }
    }

    /// Runs the benches under a criterion of any measurement, which `measurement` has to be again.
    #[cfg(feature = "harness")]
    pub fn run_under<M: criterion::measurement::Measurement + 'static>(
        self,
        criterion: &mut criterion::Criterion<M>,
        measurement: &M,
    ) {
        harness::run_under(self, criterion, measurement);
    }

    #[cfg(feature = "harness")]
    fn run_plainly(self) -> ExitCode {
        harness::run(self, crate::config())
    }

    /// Without criterion there is nothing to measure with: every bench runs once.
    #[cfg(not(feature = "harness"))]
    fn run_plainly(self) -> ExitCode {
        for mut bench in self.benches {
            (bench.body)(&mut Bencher {
                warmup: 0,
                iterations: 1,
                meter: &mut |work| work(),
            });
        }
        ExitCode::SUCCESS
    }

    fn unused(&self, name: String) -> String {
        let taken = |name: &str| self.benches.iter().any(|bench| bench.name == name);
        let numbered = (2..).map(|number| format!("{name} #{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or(name)
    }
}

impl Bencher<'_> {
    /// Measures the routine. What it returns is dropped within the measured time.
    pub fn iter<R>(&mut self, mut routine: impl FnMut() -> R) {
        for _ in 0..self.warmup {
            black_box(routine());
        }
        let iterations = self.iterations;
        (self.meter)(&mut || {
            for _ in 0..iterations {
                black_box(routine());
            }
        });
    }

    /// Measures the routine with an input of its own for each iteration. Making the inputs and dropping what the
    /// routine returns is not measured.
    pub fn iter_batched<I, R>(
        &mut self,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(I) -> R,
    ) {
        for _ in 0..self.warmup {
            black_box(routine(black_box(setup())));
        }
        let mut left = self.iterations;
        while left > 0 {
            let count = left.min(INPUTS_AT_ONCE);
            left -= count;
            let mut inputs: Vec<I> = (0..count).map(|_| setup()).collect();
            let mut outputs: Vec<R> = Vec::with_capacity(inputs.len());
            (self.meter)(&mut || {
                for input in black_box(&mut inputs).drain(..) {
                    outputs.push(black_box(routine(input)));
                }
            });
        }
    }
}

/// Makes `main` of a bench executable from functions that add benches to a [`Suite`].
///
/// `main!(config = Criterion::default().sample_size(20); sorting)` configures criterion, where criterion runs them.
#[macro_export]
macro_rules! main {
    (config = $config:expr; $($benches:path),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            let mut suite = $crate::Suite::new();
            $($benches(&mut suite);)+
            suite.run_with(|| $config)
        }
    };
    ($($benches:path),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            let mut suite = $crate::Suite::new();
            $($benches(&mut suite);)+
            suite.run()
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique() {
        let mut suite = Suite::new();
        suite
            .bench("a", |_| {})
            .bench("a", |_| {})
            .bench("a", |_| {});
        let names: Vec<&str> = suite.benches.iter().map(|bench| &*bench.name).collect();
        assert_eq!(names, ["a", "a #2", "a #3"]);
    }

    #[test]
    fn only_iterations_are_measured_and_what_is_made_once_is_made_once() {
        use std::cell::RefCell;
        use std::rc::Rc;
        let log = Rc::new(RefCell::new(String::new()));
        let note = |log: &Rc<RefCell<String>>, c| log.borrow_mut().push(c);
        let mut suite = Suite::new();
        let (made, used) = (log.clone(), log.clone());
        suite.bench_with(
            "x",
            move || note(&made, 's'),
            move |bencher, ()| bencher.iter_batched(|| note(&used, 'i'), |()| note(&used, 'r')),
        );
        for _ in 0..2 {
            (suite.benches[0].body)(&mut Bencher {
                warmup: 1,
                iterations: 2,
                meter: &mut |work| {
                    note(&log, '[');
                    work();
                    note(&log, ']');
                },
            });
        }
        assert_eq!(*log.borrow(), "sirii[rr]irii[rr]");
    }
}
