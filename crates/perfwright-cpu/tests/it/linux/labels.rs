//! Whose sample it is, and what the thread was working on; callers of code without frame pointers.

use std::collections::HashSet;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use perfwright_cpu::{Capture, Engine, Options, Sampler};
use perfwright_model::keys;

use super::names::{Named, has};
use super::process::alone;
use super::work::{spin, split, thread_cpu};

fn sample(work: impl FnOnce()) -> Capture {
    let sampler = Sampler::start(Options::new().engine(Engine::Timer).frequency_hz(999)).unwrap();
    work();
    sampler.stop()
}

fn labels_of(capture: &Capture, key: &str) -> HashSet<String> {
    let profile = &capture.profile;
    let labels = profile
        .samples()
        .filter_map(|sample| profile.label_str(sample.labels, key));
    labels.map(String::from).collect()
}

#[test]
fn threads_have_names_and_tids() {
    alone("linux::labels::threads_have_names_and_tids", || {
        let capture = sample(|| {
            for name in ["first", "second"] {
                let work = || split(Duration::from_millis(150));
                thread::Builder::new()
                    .name(name.into())
                    .spawn(work)
                    .unwrap()
                    .join()
                    .unwrap();
            }
        });
        let names = labels_of(&capture, keys::THREAD);
        assert!(
            names.contains("first") && names.contains("second"),
            "{names:?}"
        );
        assert!(
            !names.contains("perfwright-cpu"),
            "the collector is not sampled"
        );
        let profile = &capture.profile;
        for sample in profile.samples().filter(|sample| sample.values[0] > 0) {
            let tid = profile.label_num(sample.labels, keys::TID).unwrap();
            assert!(tid > 0);
        }
        assert!(capture.audit.threads_seen >= 3, "{}", capture.audit);
    });
}

#[test]
fn samples_carry_the_context_of_their_thread() {
    alone(
        "linux::labels::samples_carry_the_context_of_their_thread",
        || {
            let capture = sample(|| {
                perfwright_context::with_label("route", "/orders", || {
                    perfwright_context::with_label("span", "load", || {
                        perfwright_context::with_label("span", "query", || {
                            split(Duration::from_millis(150))
                        });
                    });
                });
                split(Duration::from_millis(150));
            });
            assert_eq!(
                labels_of(&capture, keys::ROUTE),
                HashSet::from(["/orders".into()])
            );
            assert_eq!(
                labels_of(&capture, keys::SPAN),
                HashSet::from(["query".into()])
            );
            assert_eq!(
                labels_of(&capture, keys::SPAN_PATH),
                HashSet::from(["load > query".into()])
            );
            let profile = &capture.profile;
            let without = |sample: &perfwright_model::SampleRef<'_>| {
                sample.values[0] > 0 && profile.label_str(sample.labels, keys::ROUTE).is_none()
            };
            assert!(
                profile.samples().any(|sample| without(&sample)),
                "the second half has no route"
            );
        },
    );
}

#[test]
fn time_of_unseen_threads_is_shown() {
    alone("linux::labels::time_of_unseen_threads_is_shown", || {
        let capture = sample(|| {
            let end = thread_cpu() + Duration::from_millis(30);
            while thread_cpu() < end {
                // Each too short to be found.
                thread::spawn(|| spin(50_000)).join().unwrap();
            }
        });
        let audit = &capture.audit;
        let explained = audit.sampled_nanos + audit.lost_nanos;
        assert!(explained * 100 > audit.cpu_nanos * 90, "{audit}");
        let unseen = labels_of(&capture, keys::THREAD).contains("(ended or unseen threads)");
        assert_eq!(unseen, audit.lost_nanos > 0, "{audit}");
    });
}

macro_rules! libc_callers {
    ($($name:ident: $work:expr;)*) => {
        $(#[inline(never)]
        fn $name(buffer: &mut [u8], rounds: usize) {
            let work: fn(&mut [u8], usize) = $work;
            (0..rounds).for_each(|round| work(buffer, round));
            black_box(stringify!($name));
        })*
    };
}
libc_callers! {
    calls_memcpy: |buffer, _| {
        let (to, from) = buffer.split_at_mut(buffer.len() / 2);
        to.copy_from_slice(black_box(from));
    };
    calls_malloc: |_, round| {
        let boxes: Vec<Vec<u8>> = (0..200).map(|i| Vec::with_capacity(black_box(16 + (i * 37 + round) % 2_000))).collect();
        black_box(boxes);
    };
}

#[test]
fn callers_of_libc_are_found() {
    alone("linux::labels::callers_of_libc_are_found", || {
        let mut truth = [Duration::ZERO; 2];
        let sampler = Sampler::start(
            Options::new()
                .engine(super::truth::best())
                .frequency_hz(4_999),
        )
        .unwrap();
        let mut buffer = vec![1_u8; 256 << 10];
        while truth.iter().sum::<Duration>() < Duration::from_millis(1_500) {
            let before = thread_cpu();
            calls_memcpy(&mut buffer, 20);
            let between = thread_cpu();
            calls_malloc(&mut buffer, 20);
            truth[0] += between - before;
            truth[1] += thread_cpu() - between;
        }
        let capture = sampler.stop();
        let named = Named::new(&capture);
        let found =
            ["calls_memcpy", "calls_malloc"].map(|name| named.sum(|stack| has(stack, name)) as f64);
        let leaf_in_libc = named.sum(|stack| has(&stack[..1], "mem") || has(&stack[..1], "alloc"));
        assert!(leaf_in_libc > 0, "the test must have interrupted libc");
        let sum: f64 = found.iter().sum();
        let all = named.sum(|stack| !stack[0].starts_with('[')) as f64;
        // The harness, page faults on the way: nearly everything is in one of the two.
        assert!(sum / all > 0.95, "{:.3} have a known caller", sum / all);
        let true_share = truth[0].as_secs_f64() / (truth[0] + truth[1]).as_secs_f64();
        let share = found[0] / sum;
        let deviation = (true_share * (1.0 - true_share) / capture.audit.delivered as f64).sqrt();
        // Kernel time (page faults of malloc) is no sample; it shifts the truth by what the lost leaf holds.
        let unseen = capture.audit.lost_nanos as f64 / capture.audit.cpu_nanos as f64;
        assert!(
            (share - true_share).abs() < 5.0 * deviation + unseen,
            "{share:.3} of {true_share:.3}"
        );
        assert!(
            capture.audit.rootless_share().unwrap() < 0.02,
            "{}",
            capture.audit
        );
    });
}
