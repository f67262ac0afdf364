//! Two routes that share one thread, whose CPU time and allocations are known: do the samples say the same?
//!
//! The requests of both routes are in flight at once and take turns after every step, so each route's work lies in
//! hundreds of pieces. The truth is what the thread's CPU clock and the arithmetic say; what the samplers say comes
//! from the label `route` alone.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use perfwright_cpu::{Engine, Options, Sampler};
use perfwright_heap::SampledAlloc;
use perfwright_model::Profile;
use perfwright_service::{Metrics, RequestBody, Route, ServiceLayer};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

const ROUTES: [&str; 2] = ["/light/{id}", "/heavy/{id}"];

/// Samples a CPU-second.
const FREQUENCY_HZ: u32 = 997;

/// Steps of a request: half of them in the handler, half in the body. All requests are of as many, so that they take
/// turns to their end.
const STEPS: usize = 40;

/// Rounds of multiplying in a step, and bytes allocated in it, by route: 3 of 10 parts of the CPU, 4 of 5 of the bytes.
const ROUNDS: [u64; 2] = [60_000, 140_000];
const BYTES: [usize; 2] = [64 << 10, 16 << 10];

/// A sample for so many bytes.
const RATE_BYTES: u64 = 32 << 10;

/// The thread's CPU time in steps, by route.
type Truth = Arc<Mutex<[u64; 2]>>;

fn thread_cpu_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the thread's CPU clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn step(route: usize, truth: &Truth) {
    let begin = thread_cpu_nanos();
    let mut state = 1_u64;
    for _ in 0..ROUNDS[route] {
        state = black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
    let block = black_box(vec![state as u8; BYTES[route]]);
    drop(block);
    truth.lock().unwrap()[route] += thread_cpu_nanos() - begin;
}

/// A body that works in each of its polls, and lets others do so in between.
struct Working {
    route: usize,
    left: usize,
    is_turn: bool,
    truth: Truth,
}

impl Body for Working {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return std::task::Poll::Ready(None);
        }
        self.is_turn = !self.is_turn;
        if !self.is_turn {
            context.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        self.left -= 1;
        step(self.route, &self.truth);
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

async fn serve(
    request: Request<RequestBody<Empty<Bytes>>>,
    truth: Truth,
) -> Result<Response<Working>, Infallible> {
    let Route(template) = request
        .extensions()
        .get::<Route>()
        .expect("the test routes")
        .clone();
    let route = ROUTES
        .iter()
        .position(|route| *route == template)
        .expect("a route of ours");
    for _ in 0..STEPS / 2 {
        step(route, &truth);
        tokio::task::yield_now().await;
    }
    Ok(Response::new(Working {
        route,
        left: STEPS / 2,
        is_turn: false,
        truth,
    }))
}

/// Sums of a sample type by the two routes.
fn by_route(profile: &Profile, kind: &str) -> [f64; 2] {
    let column = profile.find_sample_type(kind).expect("the sample type");
    ROUTES.map(|route| {
        let samples = profile.samples();
        let of_route =
            samples.filter(|sample| profile.label_str(sample.labels, "route") == Some(route));
        of_route.map(|sample| sample.values[column] as f64).sum()
    })
}

/// How many samples of equal weight say as much as these: an engine may let one stand for several.
fn effective_samples(profile: &Profile) -> f64 {
    let [samples, cpu] =
        ["samples", "cpu"].map(|kind| profile.find_sample_type(kind).expect("the sample type"));
    let labelled = profile
        .samples()
        .filter(|sample| profile.label_str(sample.labels, "route").is_some());
    perfwright_stats::effective_count_of_groups(
        labelled.map(|sample| (sample.values[cpu] as f64, sample.values[samples] as f64)),
    )
}

fn share(of: [f64; 2]) -> f64 {
    of[0] / (of[0] + of[1])
}

/// That a share seen is within 5 standard deviations of the truth, when so many samples say so.
fn assert_near(what: &str, seen: f64, truth: f64, samples: f64) {
    let deviation = (truth * (1.0 - truth) / samples).sqrt();
    let off = (seen - truth) / deviation;
    println!(
        "{what}: {seen:.4} of a true {truth:.4}, {samples:.0} samples, {off:+.2} standard deviations"
    );
    assert!(
        off.abs() < 5.0,
        "{what}: {seen} of {truth} by {samples} samples is {off} deviations off"
    );
}

#[test]
fn samples_know_their_routes() {
    let heap =
        perfwright_heap::Sampler::start(perfwright_heap::Options::new().rate_bytes(RATE_BYTES))
            .unwrap();
    // Attribution that does not follow the kernel's tick where that can be had.
    let options = Options::new()
        .engine(Engine::Auto)
        .frequency_hz(FREQUENCY_HZ);
    let cpu = Sampler::start(options).unwrap();
    let before = heap.snapshot();
    let truth = Truth::default();
    let metrics = Metrics::new();
    let handler_truth = Arc::clone(&truth);
    let service = ServiceLayer::new(&metrics).layer(service_fn(move |request| {
        serve(request, Arc::clone(&handler_truth))
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let tasks = tokio::task::LocalSet::new();
    const EACH: usize = 60;
    runtime.block_on(tasks.run_until(async {
        for _ in 0..EACH / 5 {
            let flying: Vec<_> = (0..10)
                .map(|number| {
                    let service = service.clone();
                    tokio::task::spawn_local(async move {
                        let mut request = Request::get("/raw").body(Empty::new()).unwrap();
                        request
                            .extensions_mut()
                            .insert(Route::from(ROUTES[number % 2]));
                        let response = service.oneshot(request).await.unwrap();
                        response.into_body().collect().await.unwrap();
                    })
                })
                .collect();
            for task in flying {
                task.await.unwrap();
            }
        }
    }));
    let cpu = cpu.stop();
    let heap_profile = perfwright_heap::delta(&before, &heap.snapshot());

    for figures in metrics.routes() {
        assert_eq!(
            (figures.fate("2xx"), figures.in_flight),
            (EACH as u64, 0),
            "{figures:?}"
        );
    }
    let truth = truth.lock().unwrap().map(|nanos| nanos as f64);
    println!("{}\n{truth:?} ns of CPU time", cpu.audit);
    let seen = by_route(&cpu.profile, "cpu");
    assert_near(
        "CPU",
        share(seen),
        share(truth),
        effective_samples(&cpu.profile),
    );
    // Nearly all of the thread's time is the routes'.
    let labelled = (seen[0] + seen[1]) / (truth[0] + truth[1]);
    assert!(
        (0.8..1.2).contains(&labelled),
        "{labelled} of the time carries its route"
    );

    let truth = BYTES.map(|bytes| (bytes * STEPS * EACH) as f64);
    let seen = by_route(&heap_profile, "alloc_space");
    // A block is sampled with a chance of 1 - exp(-size / rate): so many samples there are on average.
    let samples = [0, 1].map(|route| {
        let chance = 1.0 - (-(BYTES[route] as f64) / RATE_BYTES as f64).exp();
        (STEPS * EACH) as f64 * chance
    });
    // The variance of a route's estimate is that of its number of samples, each standing for size / chance.
    let chance = [0, 1].map(|route| samples[route] / (STEPS * EACH) as f64);
    for route in [0, 1] {
        let weight = BYTES[route] as f64 / chance[route];
        let deviation = weight * (samples[route] * (1.0 - chance[route])).sqrt();
        let off = (seen[route] - truth[route]) / deviation;
        println!(
            "{}: {} of a true {} bytes, {off:+.2} standard deviations",
            ROUTES[route], seen[route], truth[route]
        );
        assert!(
            off.abs() < 5.0,
            "{}: {} of {}",
            ROUTES[route],
            seen[route],
            truth[route]
        );
    }
    assert!(
        (share(seen) - share(truth)).abs() < 0.05,
        "{} of {}",
        share(seen),
        share(truth)
    );
}
