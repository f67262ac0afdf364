//! Starting, stopping, looking: at any time, from any thread, and what is in the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use perfwright_cpu::{Engine, Mode, Options, Sampler, StartError};

use super::process::alone;
use super::work::{spin, split};

#[test]
fn two_samplers_are_an_error() {
    alone("linux::lifecycle::two_samplers_are_an_error", || {
        let first = Sampler::start(Options::new().engine(Engine::Timer)).unwrap();
        let second = Sampler::start(Options::new()).unwrap_err();
        assert!(matches!(second, StartError::AlreadyRunning), "{second}");
        drop(first);
        drop(Sampler::start(Options::new().engine(Engine::Timer)).unwrap());
    });
}

#[test]
fn impossible_options_are_errors_that_say_what_to_do() {
    alone(
        "linux::lifecycle::impossible_options_are_errors_that_say_what_to_do",
        || {
            let zero = Sampler::start(Options::new().frequency_hz(0)).unwrap_err();
            assert!(zero.to_string().contains("use 99"), "{zero}");
            let high = Sampler::start(Options::new().frequency_hz(10_001)).unwrap_err();
            assert!(
                matches!(
                    high,
                    StartError::FrequencyTooHigh {
                        asked: 10_001,
                        max: 10_000
                    }
                ),
                "{high}"
            );
            #[cfg(not(feature = "pprof-engine"))]
            {
                let missing = Sampler::start(Options::new().engine(Engine::PprofRs)).unwrap_err();
                assert!(
                    missing.to_string().contains("feature pprof-engine"),
                    "{missing}"
                );
            }
        },
    );
}

#[test]
fn a_foreign_handler_is_an_error_and_stays() {
    extern "C" fn foreign(_: libc::c_int) {}
    alone(
        "linux::lifecycle::a_foreign_handler_is_an_error_and_stays",
        || {
            let handler = foreign as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: installs a handler that does nothing.
            unsafe { libc::signal(libc::SIGPROF, handler) };
            for engine in [Engine::Timer, Engine::Perf, Engine::Auto] {
                let error = Sampler::start(Options::new().engine(engine)).unwrap_err();
                assert!(matches!(error, StartError::ForeignHandler), "{error}");
            }
            // SAFETY: asks for the handler by setting it again.
            assert_eq!(unsafe { libc::signal(libc::SIGPROF, handler) }, handler);
        },
    );
}

/// 200 starts and stops beside threads that work, come and go; late signals end no process.
fn restart(engine: Engine) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    spin(10_000);
                    thread::spawn(|| spin(1_000)).join().unwrap();
                }
            });
        }
        for round in 0..200 {
            let sampler =
                Sampler::start(Options::new().engine(engine).frequency_hz(4_999)).unwrap();
            assert_eq!(sampler.engine(), engine);
            spin(100_000);
            if round % 2 == 0 {
                drop(sampler.stop())
            } else {
                drop(sampler)
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn timers_start_and_stop_often() {
    alone("linux::lifecycle::timers_start_and_stop_often", || {
        restart(Engine::Timer)
    });
}

#[test]
fn perf_starts_and_stops_often() {
    if super::truth::has_perf() {
        alone("linux::lifecycle::perf_starts_and_stops_often", || {
            restart(Engine::Perf)
        });
    }
}

#[test]
fn captures_come_from_any_thread_and_take_begins_afresh() {
    alone(
        "linux::lifecycle::captures_come_from_any_thread_and_take_begins_afresh",
        || {
            let sampler =
                Sampler::start(Options::new().engine(Engine::Timer).frequency_hz(999)).unwrap();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..5 {
                            split(Duration::from_millis(20));
                            sampler.snapshot();
                        }
                    });
                }
            });
            let (first, second) = (sampler.snapshot(), sampler.take());
            assert!(first.audit.delivered > 0);
            assert!(second.audit.delivered >= first.audit.delivered);
            assert!(second.audit.cpu_nanos >= first.audit.cpu_nanos);
            let fresh = sampler.stop();
            // What was taken is not seen again: here was no work worth the name.
            assert!(fresh.audit.cpu_nanos < first.audit.cpu_nanos);
            assert!(fresh.audit.delivered < first.audit.delivered);
            for capture in [first, second, fresh] {
                let total = capture.profile.total(1) as u64;
                assert_eq!(
                    total,
                    capture.audit.sampled_nanos + capture.audit.lost_nanos
                );
                assert_eq!(capture.profile.total(0) as u64, capture.audit.delivered);
                let comments = capture.profile.meta.comments.iter().map(String::as_str);
                assert_eq!(
                    perfwright_cpu::Audit::from_comments(comments),
                    Some(capture.audit)
                );
            }
        },
    );
}

#[test]
fn a_forked_child_is_left_alone() {
    alone("linux::lifecycle::a_forked_child_is_left_alone", || {
        let sampler =
            Sampler::start(Options::new().engine(Engine::Timer).frequency_hz(999)).unwrap();
        // SAFETY: the child below runs only this thread, which holds no lock of the allocator.
        match unsafe { libc::fork() } {
            0 => {
                let empty = sampler.snapshot();
                let off = empty.profile.sample_count() == 0
                    && empty.audit.notes[0].contains("forked child");
                drop(sampler);
                // The child may have a sampler of its own.
                let own =
                    Sampler::start(Options::new().engine(Engine::Timer).frequency_hz(999)).unwrap();
                split(Duration::from_millis(100));
                let sampled = own.stop().audit.delivered > 0;
                // SAFETY: ends the child without the test harness's exit handlers.
                unsafe { libc::_exit(if off && sampled { 0 } else { 1 }) };
            }
            child => {
                split(Duration::from_millis(100));
                let mut status = 0;
                // SAFETY: waits for our own child.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0, "the child said no, or died");
            }
        }
        assert!(sampler.stop().audit.delivered > 0, "the parent's goes on");
    });
}

#[test]
fn wall_mode_sees_who_waits() {
    alone("linux::lifecycle::wall_mode_sees_who_waits", || {
        let done = AtomicBool::new(false);
        let options = Options::new().mode(Mode::Wall).frequency_hz(199);
        let sampler = Sampler::start(options).unwrap();
        thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.into());
            named("sleeper")
                .spawn_scoped(scope, || thread::sleep(Duration::from_secs(1)))
                .unwrap();
            let worker = named("worker").spawn_scoped(scope, || {
                while !done.load(Ordering::Relaxed) {
                    spin(10_000);
                }
            });
            thread::sleep(Duration::from_secs(1));
            done.store(true, Ordering::Relaxed);
            worker.unwrap().join().unwrap();
        });
        let capture = sampler.stop();
        let profile = &capture.profile;
        assert_eq!(profile.sample_types()[1].kind, "wall");
        let nanos = |thread: &str, state: &str| -> i64 {
            let picked = profile.samples().filter(|sample| {
                profile.label_str(sample.labels, "thread") == Some(thread)
                    && profile.label_str(sample.labels, "state") == Some(state)
            });
            picked.map(|sample| sample.values[1]).sum()
        };
        assert!(nanos("sleeper", "off-cpu") > 0);
        assert_eq!(nanos("sleeper", "on-cpu"), 0);
        assert!(nanos("worker", "on-cpu") > 0);
    });
}
