//! The hot paths of Perfwright itself.
//!
//! ```sh
//! cargo bench --manifest-path benches/hot/Cargo.toml                                # time, CPU time, allocations
//! PERFWRIGHT_COUNT=3 cargo bench --manifest-path benches/hot/Cargo.toml -- --test   # allocations only, in seconds
//! ```
//!
//! The second saves what a budget checks: counts are the same on every machine.

#[path = "../../viewer/src/data.rs"]
mod data;

use std::hint::black_box;

use criterion::Criterion;
use perfwright_analyze::{By, CallTree, Filter, top};
use perfwright_budget::{Budgets, Date, Sources, judge};
use perfwright_criterion::{Profiler, Suite};
use perfwright_flamegraph::write_svg;
use perfwright_format::{Limits, folded, pprof};
use perfwright_heap::SampledAlloc;
use perfwright_model::Profile;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// As many distinct stacks as some minutes of a service at 99 Hz have.
const STACKS: usize = 2_000;

fn profile() -> Profile {
    data::profile(STACKS)
}

fn formats(suite: &mut Suite) {
    let written = |write: fn(&Profile, &mut Vec<u8>)| {
        move || {
            let mut bytes = Vec::new();
            write(&profile(), &mut bytes);
            bytes
        }
    };
    let pprof_bytes = written(|profile, bytes| pprof::write(profile, bytes).unwrap_or(()));
    let folded_bytes = written(|profile, bytes| folded::write(profile, 1, bytes).unwrap_or(()));
    suite
        .bench_with("pprof/write", profile, |bencher, profile| {
            bencher.iter(|| {
                let mut bytes = Vec::new();
                pprof::write(profile, &mut bytes).map(|()| bytes)
            });
        })
        .bench_with("pprof/read", pprof_bytes, |bencher, bytes| {
            bencher.iter(|| perfwright_format::read(bytes, &Limits::default()));
        })
        .bench_with("folded/read", folded_bytes, |bencher, bytes| {
            bencher.iter(|| perfwright_format::read(bytes, &Limits::default()));
        });
}

fn questions(suite: &mut Suite) {
    suite
        .bench_with("analyze/call tree", profile, |bencher, profile| {
            bencher.iter(|| CallTree::new(profile, 1));
        })
        .bench_with("analyze/top", profile, |bencher, profile| {
            bencher.iter(|| top(profile, 1, By::Function));
        })
        .bench_with("analyze/filter", profile, |bencher, profile| {
            let filter = Filter::new()
                .focus(|name| name.contains("method_7"))
                .hide(|name| name.starts_with("tokio"));
            bencher.iter(|| filter.apply(profile));
        })
        .bench_with("flamegraph/layout", profile, |bencher, profile| {
            bencher.iter(|| {
                let mut svg = Vec::new();
                write_svg(
                    profile,
                    &perfwright_flamegraph::Options::default(),
                    &mut svg,
                )
                .map(|_| svg)
            });
        });
}

fn budgets(suite: &mut Suite) {
    let setup = || {
        let budget = |number: usize| {
            format!(
                "[[budget]]\nmetric = \"profile.share\"\nselect = {{ function = \"*::method_{number}\" }}\n\
                 limits = [\"total < 90%\", \"self < 50%\"]\n"
            )
        };
        let text = (0..50).fold("version = 1\n".to_owned(), |text, number| {
            text + &budget(number)
        });
        let mut sources = Sources::new();
        sources.profile("cpu", profile());
        (Budgets::parse("perfwright.toml", &text), sources)
    };
    suite.bench_with("budget/judge", setup, |bencher, (budgets, sources)| {
        let Ok(budgets) = budgets else {
            panic!("the budgets of the bench are good ones");
        };
        let day = Date::from_unix(1_795_219_200);
        bencher.iter(|| judge(budgets, sources.measure(budgets), None, day));
    });
}

fn spans(suite: &mut Suite) {
    use tracing::Dispatch;
    use tracing_subscriber::prelude::*;
    let subscriber = || {
        let layer = perfwright_tracing::SpanLayer::new();
        let subscriber = Dispatch::new(tracing_subscriber::registry().with(layer));
        // Paths and the slowest requests are new at first.
        tracing::dispatcher::with_default(&subscriber, || {
            for number in 0..1_000 {
                tracing::info_span!("work", number).in_scope(|| ());
            }
        });
        subscriber
    };
    suite
        .bench_with(
            "span/create enter exit close",
            subscriber,
            |bencher, subscriber| {
                tracing::dispatcher::with_default(subscriber, || {
                    bencher.iter(|| {
                        let _entered = tracing::info_span!("work", number = black_box(7)).entered();
                    });
                });
            },
        )
        .bench_with("span/enter exit", subscriber, |bencher, subscriber| {
            tracing::dispatcher::with_default(subscriber, || {
                let span = tracing::info_span!("work");
                bencher.iter(|| {
                    let _entered = span.enter();
                });
            });
        });
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn stacks(suite: &mut Suite) {
    use perfwright_stack::{Image, Regs, walk};

    #[inline(never)]
    fn descend(depth: u32, work: &mut dyn FnMut()) -> u32 {
        match depth {
            0 => work(),
            _ => return black_box(descend(black_box(depth - 1), work)) + 1,
        }
        1
    }

    let map = || Image::load().map(|image| image.code_map());
    suite.bench_with("stack/walk", map, |bencher, map| {
        let Ok(map) = map else {
            panic!("the process's own modules can be read");
        };
        descend(50, &mut || {
            let mut addresses = [0; 512];
            bencher.iter(|| {
                let regs = Regs::current();
                // SAFETY: the registers are this thread's, just now, and its stack stays as it is meanwhile.
                unsafe { walk(&regs, map, &mut addresses) }.len
            });
        });
    });
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn stacks(_: &mut Suite) {}

fn heap(suite: &mut Suite) {
    let sampler = || perfwright_heap::Sampler::start(perfwright_heap::Options::new());
    suite
        .bench("heap/counted", |bencher| {
            bencher.iter(|| Box::new([0_u8; 64]));
        })
        .bench("heap/sampled", move |bencher| {
            // Dropped at the end of each batch, so that other benches are not sampled. In a profile of this bench
            // the profiler samples already.
            let _sampler = sampler();
            bencher.iter(|| Box::new([0_u8; 64]));
        });
}

perfwright_criterion::main!(
    config = Criterion::default().with_profiler(Profiler::new());
    formats, questions, budgets, spans, stacks, heap
);
