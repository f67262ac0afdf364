//! A suite under criterion.

use std::process::ExitCode;

use criterion::Criterion;
use criterion::measurement::{Measurement, WallTime};

use super::{Bencher, Suite};
use crate::counted;

/// What `criterion_main!` does.
pub(super) fn run(suite: Suite, config: Criterion) -> ExitCode {
    let mut criterion = config.configure_from_args();
    run_under(suite, &mut criterion, &WallTime);
    Criterion::default().configure_from_args().final_summary();
    ExitCode::SUCCESS
}

/// Counts what each bench allocates, too.
pub(super) fn run_under<M: Measurement + 'static>(
    suite: Suite,
    criterion: &mut Criterion<M>,
    measurement: &M,
) {
    for mut bench in suite.benches {
        counted::run(criterion, &bench.name, measurement, |bencher| {
            bencher.batches(|iterations, meter| {
                (bench.body)(&mut Bencher {
                    warmup: 0,
                    iterations,
                    meter,
                });
            });
        });
    }
}
