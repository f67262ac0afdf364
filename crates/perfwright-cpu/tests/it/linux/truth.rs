//! Known splits of CPU time.

use std::time::Duration;

use perfwright_cpu::{Engine, Options, Sampler};

use super::names::{Named, has};
use super::process::alone;
use super::work::{spin, split, thread_cpu};

/// 70/20/10 in a thread of its own, from about 10,000 periods; each share within 5 standard deviations.
fn known_split(engine: Engine) {
    let options = Options::new().engine(engine).frequency_hz(4_999);
    let sampler = Sampler::start(options).unwrap();
    std::thread::Builder::new()
        .name("splitter".into())
        .spawn(|| split(Duration::from_secs(2)))
        .unwrap()
        .join()
        .unwrap();
    let capture = sampler.stop();
    println!("{}", capture.audit);
    let named = Named::new(&capture);
    let sampled = named.sum(|stack| has(stack, "split"));
    for (name, truth) in [("seventy", 0.7), ("twenty_of", 0.2), ("ten_of_them", 0.1)] {
        let share = named.sum(|stack| has(stack, name)) as f64 / sampled as f64;
        let effective = capture.audit.delivered_effective as f64;
        let deviation = (truth * (1.0 - truth) / effective).sqrt();
        println!(
            "{name}: {share:.4} of {truth} ({:.1} sd)",
            (share - truth) / deviation
        );
        assert!((share - truth).abs() < 5.0 * deviation, "{name} {share}");
    }
}

#[test]
fn perf_finds_the_known_split() {
    if has_perf() {
        alone("linux::truth::perf_finds_the_known_split", || {
            known_split(Engine::Perf)
        });
    }
}

/// Perf where it can be had.
pub(crate) fn best() -> Engine {
    let sampler = Sampler::start(Options::new());
    sampler.map_or(Engine::Timer, |sampler| sampler.engine())
}

#[test]
fn timers_find_the_known_split() {
    alone("linux::truth::timers_find_the_known_split", || {
        known_split(Engine::Timer)
    });
}

/// Reading zeros is the kernel's work, but the caller's time.
fn kernel_time(engine: Engine) {
    use std::io::Read;

    #[inline(never)]
    fn reader(file: &mut std::fs::File, buffer: &mut [u8]) -> Duration {
        let began = thread_cpu();
        file.read_exact(buffer).unwrap();
        thread_cpu() - began
    }

    #[inline(never)]
    fn spinner() -> Duration {
        let began = thread_cpu();
        std::hint::black_box(spin(40_000));
        thread_cpu() - began
    }

    let options = Options::new().engine(engine).frequency_hz(999);
    let sampler = Sampler::start(options).unwrap();
    let mut truth = (Duration::ZERO, Duration::ZERO);
    let work = || {
        let mut zeros = std::fs::File::open("/dev/zero").unwrap();
        let mut buffer = vec![1; 4 << 20];
        let end = thread_cpu() + Duration::from_secs(2);
        while thread_cpu() < end {
            truth.0 += reader(&mut zeros, &mut buffer);
            truth.1 += spinner();
        }
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
    let capture = sampler.stop();
    println!("{}", capture.audit);
    if !capture.audit.sees_kernel {
        eprintln!("not tested: perf events exclude the kernel here");
        assert!(
            capture
                .audit
                .notes
                .iter()
                .any(|note| note.contains("paranoid"))
        );
        return;
    }
    let named = Named::new(&capture);
    let [reads, spins] = ["reader", "spinner"].map(|name| named.sum(|stack| has(stack, name)));
    let share = reads as f64 / (reads + spins) as f64;
    let truth = truth.0.as_secs_f64() / (truth.0 + truth.1).as_secs_f64();
    let deviation = (truth * (1.0 - truth) / capture.audit.delivered_effective as f64).sqrt();
    println!("{share:.4} of {truth:.4}, sd {deviation:.4}");
    assert!(
        (share - truth).abs() < 5.0 * deviation,
        "{share} of {truth}"
    );
}

#[test]
fn perf_finds_time_in_the_kernel() {
    if has_perf() {
        alone("linux::truth::perf_finds_time_in_the_kernel", || {
            kernel_time(Engine::Perf)
        });
    }
}

#[test]
fn timers_find_time_in_the_kernel() {
    alone("linux::truth::timers_find_time_in_the_kernel", || {
        kernel_time(Engine::Timer)
    });
}

/// Containers often forbid perf events; then there is nothing to test.
pub(crate) fn has_perf() -> bool {
    use std::sync::LazyLock;
    static HAS_PERF: LazyLock<bool> = LazyLock::new(|| {
        let sampler = Sampler::start(Options::new().engine(Engine::Perf));
        if let Err(error) = &sampler {
            eprintln!("not tested: {error}");
        }
        sampler.is_ok()
    });
    *HAS_PERF
}
