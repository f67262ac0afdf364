//! Real tasks on a real clock: bounds that hold however slow the machine is.

use std::time::Duration;

use perfwright_tracing::{Options, SpanLayer, Spans, WithContext as _, spawn, spawn_blocking};
use tracing::{Dispatch, Instrument as _, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

const WAIT: Duration = Duration::from_millis(100);

fn install(options: Options) -> (Spans, dispatcher::DefaultGuard) {
    let layer = SpanLayer::with_options(options);
    let spans = layer.spans();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    (spans, dispatcher::set_default(&dispatch))
}

#[tokio::test(flavor = "current_thread")]
async fn an_idle_parent_is_not_charged_for_its_child() {
    let (spans, _guard) = install(Options::new());
    async {
        let child = info_span!(parent: tracing::Span::current(), "child");
        let task = tokio::spawn(tokio::time::sleep(WAIT).instrument(child));
        task.await.expect("the child ends");
    }
    .instrument(info_span!("request"))
    .await;
    let snapshot = spans.snapshot();
    let (parent, child) = (
        crate::stats(&snapshot, "request"),
        crate::stats(&snapshot, "request;child"),
    );
    let wait = WAIT.as_nanos() as u64;
    // The clock was set by another one, to some parts in ten thousand.
    let least = wait - wait / 100;
    assert!(
        child.idle_ns >= least && parent.idle_ns >= least,
        "{child:?} {parent:?}"
    );
    // Of its wait nothing is busy and, but for what the child did not see, nothing is its own.
    assert!(parent.busy_ns < parent.total_ns / 2, "{parent:?}");
    assert!(
        parent.self_idle_ns + child.total_ns <= parent.total_ns + parent.total_ns / 100,
        "{parent:?} {child:?}"
    );
    assert_eq!((parent.polls, child.polls), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_helpers_carry_the_context() {
    let (_spans, _guard) = install(Options::new());
    let here = || perfwright_context::current();
    let (seen, inside) = {
        let _label = perfwright_context::label("tenant", "acme");
        let task = spawn(async move {
            let first = here();
            tokio::task::yield_now().await;
            (first, here())
        });
        let blocking = spawn_blocking(here);
        let future = async move { here() }.in_context();
        ((task, blocking, future), here())
    };
    let (task, blocking, future) = seen;
    assert_eq!(task.await.expect("it ends"), (inside, inside));
    assert_eq!(blocking.await.expect("it ends"), inside);
    assert_eq!(future.await, inside);
    assert_ne!(here(), inside);
}

#[tokio::test(flavor = "current_thread")]
async fn samples_are_told_the_task() {
    let (_spans, _guard) = install(Options::new().instances(true));
    let work = async {
        let instance = perfwright_context::current()
            .instance()
            .expect("an instance");
        (instance.task(), tokio::task::id().to_string())
    };
    let task = tokio::spawn(work.instrument(info_span!("task")));
    let (told, id) = task.await.expect("it ends");
    assert_eq!(told.map(|task| task.to_string()), Some(id));
}

/// Tasks that wander between workers, with a child each: nothing is lost, whoever closes what where.
#[test]
fn wandering_tasks_add_up() {
    const TASKS: usize = 2_000;
    const YIELDS: u64 = 5;
    let layer = SpanLayer::new();
    let spans = layer.spans();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let on_start = dispatch.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .on_thread_start(move || std::mem::forget(dispatcher::set_default(&on_start)))
        .build()
        .expect("a runtime");
    let _guard = dispatcher::set_default(&dispatch);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let child = async {
                    for _ in 0..YIELDS {
                        tokio::task::yield_now().await;
                    }
                };
                let task = async move { child.instrument(info_span!("child")).await };
                tokio::spawn(task.instrument(info_span!("task")))
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
    drop(runtime);
    let snapshot = spans.snapshot();
    for path in ["task", "task;child"] {
        let stats = crate::stats(&snapshot, path);
        assert_eq!(
            (stats.count, stats.polls),
            (TASKS as u64, TASKS as u64 * (YIELDS + 1)),
            "{path}"
        );
    }
    assert_eq!(
        (
            snapshot.audit.open,
            snapshot.audit.untracked,
            snapshot.audit.stray_exits
        ),
        (0, 0, 0)
    );
    // More are open at once than trees may be under construction.
    let whole = spans
        .slowest()
        .into_iter()
        .all(|request| request.spans.len() == 2 || request.cut > 0);
    assert!(
        whole,
        "each request has its child, or says that it lacks it"
    );
}
