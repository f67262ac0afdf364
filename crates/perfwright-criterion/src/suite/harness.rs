//! A suite under criterion.

use std::process::ExitCode;

use criterion::Criterion;
use criterion::measurement::{Measurement, WallTime};

use super::{Bencher, Suite};

/// What `criterion_main!` does.
pub(super) fn run(suite: Suite, config: Criterion) -> ExitCode {
    let mut criterion = config.configure_from_args();
    run_under(suite, &mut criterion, &WallTime);
    Criterion::default().configure_from_args().final_summary();
    ExitCode::SUCCESS
}

pub(super) fn run_under<M: Measurement + 'static>(
    suite: Suite,
    criterion: &mut Criterion<M>,
    measurement: &M,
) {
    for mut bench in suite.benches {
        criterion.bench_function(&bench.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = measurement.zero();
                let mut meter = |work: &mut dyn FnMut()| {
                    let start = measurement.start();
                    work();
                    total = measurement.add(&total, &measurement.end(start));
                };
                (bench.body)(&mut Bencher {
                    warmup: 0,
                    iterations,
                    meter: &mut meter,
                });
                total
            });
        });
    }
}
