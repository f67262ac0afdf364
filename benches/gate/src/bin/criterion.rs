//! The subjects as benches of criterion.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use perfwright_gate_benches::subjects;

fn all(criterion: &mut Criterion) {
    for subject in subjects() {
        criterion.bench_function(subject.name, |bencher| {
            bencher.iter(|| (subject.work)(black_box(subject.turns)));
        });
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
