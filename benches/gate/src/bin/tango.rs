//! The subjects as benches of tango.

use std::hint::black_box;

use perfwright_gate_benches::subjects;
use tango_bench::{Benchmark, benchmark_fn, tango_benchmarks};

fn all() -> Vec<Benchmark> {
    let subjects = subjects().into_iter();
    subjects
        .map(|subject| {
            benchmark_fn(subject.name, move |bencher| {
                bencher.iter(move || (subject.work)(black_box(subject.turns)))
            })
        })
        .collect()
}

tango_benchmarks!(all());
