//! What a CPU sampler tells of spans: two tasks that take turns on one thread.

use std::collections::BTreeSet;
use std::hint::black_box;

use perfwright_context::with_label;
use perfwright_cpu::{Engine, Options as CpuOptions, Sampler};
use perfwright_model::{Profile, keys};
use perfwright_tracing::{Options, SpanLayer};
use tracing::{Dispatch, Instrument as _, Span, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

fn spin(rounds: u64) -> u64 {
    (0..rounds).fold(1, |x, i| {
        black_box(x)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(i)
    })
}

async fn work(rounds: usize) {
    for _ in 0..rounds {
        info_span!("compute").in_scope(|| black_box(spin(500_000)));
        tokio::task::yield_now().await;
    }
}

/// The labels of the samples of a route: path of spans, instance, task.
fn seen(profile: &Profile, route: &str) -> BTreeSet<(String, Option<i64>, Option<i64>)> {
    let samples = profile.samples().map(|sample| sample.labels);
    samples
        .filter(|&labels| profile.label_str(labels, keys::ROUTE) == Some(route))
        .filter(|&labels| profile.label_str(labels, keys::SPAN) == Some("compute"))
        .map(|labels| {
            let path = profile
                .label_str(labels, keys::SPAN_PATH)
                .unwrap_or_default();
            let number = |key| profile.label_num(labels, key);
            (path.to_owned(), number(keys::SPAN_ID), number(keys::TASK))
        })
        .collect()
}

#[test]
fn samples_tell_route_path_instance_and_task() {
    let layer = SpanLayer::with_options(Options::new().instances(true));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let _default = dispatcher::set_default(&dispatch);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let options = CpuOptions::new()
        .engine(Engine::Timer)
        .frequency_hz(999)
        .span_ids(true);
    let sampler = Sampler::start(options).expect("the timer engine is always there");
    let span = |route| with_label("route", route, || info_span!("request"));
    let tasks: (Span, Span) = (span("/sampled/a"), span("/sampled/b"));
    runtime.block_on(async {
        let a = tokio::spawn(work(80).instrument(tasks.0));
        let b = tokio::spawn(work(80).instrument(tasks.1));
        a.await.expect("it ends");
        b.await.expect("it ends");
    });
    let profile = sampler.stop().profile;
    let (a, b) = (seen(&profile, "/sampled/a"), seen(&profile, "/sampled/b"));
    for labels in [&a, &b] {
        assert!(!labels.is_empty(), "so much work without a sample");
        assert!(
            labels
                .iter()
                .all(|(path, span, task)| path == "request > compute"
                    && span.is_some()
                    && task.is_some())
        );
        let tasks: BTreeSet<_> = labels.iter().map(|label| label.2).collect();
        assert_eq!(tasks.len(), 1, "{labels:?}");
    }
    let ids = |labels: &BTreeSet<(String, Option<i64>, Option<i64>)>| -> BTreeSet<_> {
        labels.iter().map(|label| (label.1, label.2)).collect()
    };
    assert!(ids(&a).is_disjoint(&ids(&b)));
}
