//! Measures the sampler against known truth and prints tables.
//!
//! `cargo run --release -p perfwright-cpu --example truth -- [accounted] [split] [step] [burst] [callers] [cost] [memory]`

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn main() {
    linux::main();
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn main() {
    println!("needs Linux on x86-64 or aarch64");
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux {
    use std::collections::HashMap;
    use std::hint::black_box;
    use std::thread;
    use std::time::{Duration, Instant};

    use perfwright_cpu::{Capture, Engine, Options, Sampler};
    use perfwright_model::{LocationId, keys};

    pub(crate) fn main() {
        let asked: Vec<String> = std::env::args().skip(1).collect();
        let sections: [(&str, fn()); 7] = [
            ("accounted", accounted),
            ("split", split),
            ("step", in_step),
            ("burst", burst),
            ("callers", callers),
            ("cost", cost),
            ("memory", memory),
        ];
        for (name, section) in sections {
            if asked.is_empty() || asked.iter().any(|asked| asked == name) {
                section();
            }
        }
    }

    fn sample(engine: Engine, hz: u32, work: impl FnOnce()) -> Capture {
        let sampler =
            Sampler::start(Options::new().engine(engine).frequency_hz(hz)).expect("start");
        work();
        sampler.stop()
    }

    const ENGINES: [Engine; 2] = [Engine::Perf, Engine::Timer];

    /// CPU time accounted for.
    fn accounted() {
        println!("\nCPU time accounted for (samples alone; with the lost leaf)");
        println!("engine   Hz  threads  sampled  with leaf  effective Hz  rootless  own CPU");
        for engine in ENGINES {
            for (hz, threads) in [(99, 1), (99, 2), (99, 8), (999, 1), (999, 2), (999, 8)] {
                let capture = sample(engine, hz, || {
                    let work = || spin_for(Duration::from_millis(4_000 / threads.min(4)));
                    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
                });
                let audit = &capture.audit;
                let share = |nanos: u64| nanos as f64 / audit.cpu_nanos as f64 * 100.0;
                println!(
                    "{engine:<6} {hz:>4} {threads:>8}  {:>6.2}%    {:>6.2}%  {:>12.1}  {:>7.2}%  {:>6.3} s",
                    share(audit.sampled_nanos),
                    share(audit.sampled_nanos + audit.lost_nanos),
                    audit.frequency_effective_hz,
                    audit.rootless_share().unwrap_or(0.0) * 100.0,
                    audit.own_cpu_nanos as f64 / 1e9,
                );
            }
        }
    }

    /// 70 : 20 : 10, from at least 10,000 signals; errors in standard deviations for the effective samples.
    fn split() {
        println!("\nwork split 70 : 20 : 10 between three functions");
        for (engine, hz, threads, seconds) in
            [(Engine::Perf, 4_999, 1, 4), (Engine::Timer, 999, 2, 25)]
        {
            let capture = sample(engine, hz, || {
                let work = || {
                    let end = thread_cpu() + Duration::from_secs(seconds);
                    while thread_cpu() < end {
                        for _ in 0..10 {
                            black_box(split_a(70_000));
                            black_box(split_b(20_000));
                            black_box(split_c(10_000));
                        }
                    }
                };
                thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
            });
            let found =
                ["split_a", "split_b", "split_c"].map(|name| nanos_in(&capture, name) as f64);
            let sum: f64 = found.iter().sum();
            let effective = capture.audit.delivered_effective as f64;
            let row = found.iter().zip([0.7, 0.2, 0.1]).map(|(found, truth)| {
                let (share, truth): (f64, f64) = (found / sum, truth);
                let deviations = (share - truth) / (truth * (1.0 - truth) / effective).sqrt();
                format!("{:.2} % ({deviations:+.1} sd)", share * 100.0)
            });
            println!(
                "{engine:<6} {}; {} signals, worth {effective}; in none of the three {:.2} %, rootless {:.2} %",
                row.collect::<Vec<_>>().join("  "),
                capture.audit.delivered,
                (1.0 - sum / capture.audit.sampled_nanos as f64) * 100.0,
                capture.audit.rootless_share().unwrap_or(0.0) * 100.0,
            );
        }
    }

    macro_rules! shares {
        ($($name:ident = $salt:literal),*) => {$(
            #[inline(never)]
            fn $name(rounds: u64) -> u64 {
                let mut x = black_box(rounds | $salt);
                for _ in 0..rounds {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    x ^= x >> 29;
                }
                black_box(x).wrapping_add($salt)
            }
        )*};
    }
    shares!(split_a = 1, split_b = 3, split_c = 5);

    /// Work in step with the tick: wake every n ms, f 2 ms then g 3 ms, truth for f 40 %.
    fn in_step() {
        println!(
            "\nin step with the tick: share of f (truth 40 %), by wake interval and start phase"
        );
        for engine in ENGINES {
            for every in [8, 12, 20] {
                let shares: Vec<String> = (0..4)
                    .map(|phase| step_share(engine, every, phase))
                    .collect();
                println!("{engine:<6} every {every:>2} ms: {}", shares.join("  "));
            }
        }
    }

    fn step_share(engine: Engine, every_ms: u64, phase: u64) -> String {
        // Long enough that chance is half a point; the timer engine's error is not chance.
        let length = Duration::from_secs(if engine == Engine::Perf { 16 } else { 4 });
        let mut truth = (0.0, 0.0);
        let capture = sample(engine, 999, || {
            let begin = Instant::now();
            let mut next = begin + Duration::from_millis(phase);
            while begin.elapsed() < length {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                truth.0 += measured(|| step_f(Duration::from_millis(2)));
                truth.1 += measured(|| step_g(Duration::from_millis(3)));
                next += Duration::from_millis(every_ms);
            }
        });
        let (f, g) = (nanos_in(&capture, "step_f"), nanos_in(&capture, "step_g"));
        let true_share = truth.0 / (truth.0 + truth.1) * 100.0;
        let limited = if capture.audit.tick_limited {
            ", tick-limited"
        } else {
            ""
        };
        format!(
            "{:.1} % (true {true_share:.1}{limited})",
            f as f64 / (f + g).max(1) as f64 * 100.0
        )
    }

    fn measured(work: impl FnOnce()) -> f64 {
        let before = thread_cpu();
        work();
        (thread_cpu() - before).as_secs_f64()
    }

    #[inline(never)]
    fn step_f(cpu: Duration) {
        spin_for(black_box(cpu));
    }

    #[inline(never)]
    fn step_g(cpu: Duration) {
        spin_for(black_box(cpu));
        black_box(());
    }

    /// A bursty thread beside a busy one.
    fn burst() {
        println!(
            "\na bursty thread (1 ms on, 8 ms off) beside a busy one: its share of the CPU time"
        );
        for engine in ENGINES {
            let mut truth = (0.0, 0.0);
            let capture = sample(engine, 999, || {
                let until = Instant::now() + Duration::from_secs(5);
                let named = |name: &str| thread::Builder::new().name(name.into());
                let bursty = move || {
                    while Instant::now() < until {
                        spin_for(Duration::from_millis(1));
                        thread::sleep(Duration::from_millis(8));
                    }
                    thread_cpu().as_secs_f64()
                };
                let busy = move || {
                    while Instant::now() < until {
                        spin_for(Duration::from_millis(5));
                    }
                    thread_cpu().as_secs_f64()
                };
                let bursty = named("bursty").spawn(bursty).expect("thread");
                let busy = named("busy").spawn(busy).expect("thread");
                truth = (bursty.join().expect("join"), busy.join().expect("join"));
            });
            let (bursty, busy) = (
                thread_nanos(&capture, "bursty"),
                thread_nanos(&capture, "busy"),
            );
            println!(
                "{engine:<6} {:.2} %, true {:.2} %{}",
                bursty as f64 / (bursty + busy) as f64 * 100.0,
                truth.0 / (truth.0 + truth.1) * 100.0,
                if capture.audit.tick_limited {
                    " (tick-limited)"
                } else {
                    ""
                }
            );
        }
    }

    fn thread_nanos(capture: &Capture, name: &str) -> i64 {
        let profile = &capture.profile;
        let samples = profile.samples();
        // The lost leaf is CPU time of the thread, but no sample; it is left out on both sides.
        let of_thread =
            samples.filter(|sample| profile.label_str(sample.labels, keys::THREAD) == Some(name));
        of_thread
            .filter(|sample| sample.values[0] > 0)
            .map(|sample| sample.values[1])
            .sum()
    }

    /// memcpy, malloc and free called from three known functions.
    fn callers() {
        println!("\nmemcpy, malloc and free called from three functions, 1 : 2 : 3 in rounds");
        for engine in ENGINES {
            let mut truth = [0.0; 3];
            let capture = sample(engine, 999, || {
                let begin = Instant::now();
                let mut buffer = vec![1_u8; 64 << 10];
                while begin.elapsed() < Duration::from_secs(6) {
                    truth[0] += measured(|| calls_a(&mut buffer, 40));
                    truth[1] += measured(|| calls_b(&mut buffer, 80));
                    truth[2] += measured(|| calls_c(&mut buffer, 120));
                }
            });
            let total: f64 = truth.iter().sum();
            let found =
                ["calls_a", "calls_b", "calls_c"].map(|name| nanos_in(&capture, name) as f64);
            let sum: f64 = found.iter().sum();
            let row = found.iter().zip(truth).map(|(found, truth)| {
                format!(
                    "{:.1} % (true {:.1})",
                    found / sum * 100.0,
                    truth / total * 100.0
                )
            });
            println!(
                "{engine:<6} {}; in no caller {:.2} %, rootless {:.2} %, repaired {} of {}",
                row.collect::<Vec<_>>().join("  "),
                (1.0 - sum / capture.audit.sampled_nanos as f64) * 100.0,
                capture.audit.rootless_share().unwrap_or(0.0) * 100.0,
                capture.audit.repaired,
                capture.audit.delivered
            );
        }
    }

    macro_rules! libc_callers {
        ($($name:ident = $salt:literal),*) => {$(
            #[inline(never)]
            fn $name(buffer: &mut [u8], rounds: usize) {
                let half = buffer.len() / 2;
                for round in 0..rounds {
                    let (to, from) = buffer.split_at_mut(half);
                    to.copy_from_slice(black_box(from));
                    for i in 0..200 {
                        let size = 16 + (i * 37 + round + $salt) % 2_000;
                        black_box(Vec::<u8>::with_capacity(black_box(size)));
                    }
                }
                black_box($salt);
            }
        )*};
    }
    libc_callers!(calls_a = 1, calls_b = 2, calls_c = 3);

    /// What a sample costs at about 110 frames.
    fn cost() {
        println!("\ncost of a sample above an empty handler, by depth");
        for engine in ENGINES {
            for depth in [5, 50, 100] {
                let capture = sample(engine, 4_999, || deep(depth, Duration::from_secs(1)));
                let audit = &capture.audit;
                let signals = audit.delivered.max(1) as f64;
                println!(
                    "{engine:<6} {:>4} frames: {:.2} us in the handler, {:.2} us in the collector ({} samples)",
                    frames_at_most(&capture),
                    audit.handler_nanos as f64 / signals / 1e3,
                    (audit.own_cpu_nanos - audit.handler_nanos) as f64 / signals / 1e3,
                    audit.delivered,
                );
            }
        }
    }

    #[inline(never)]
    fn deep(depth: usize, cpu: Duration) {
        if depth > 1 {
            deep(black_box(depth - 1), cpu);
        } else {
            spin_for(cpu);
        }
        black_box(());
    }

    fn frames_at_most(capture: &Capture) -> usize {
        let profile = &capture.profile;
        profile
            .samples()
            .map(|sample| profile.stack(sample.stack).count())
            .max()
            .unwrap_or(0)
    }

    /// Resident memory of starting the sampler.
    fn memory() {
        println!("\nresident memory of starting");
        for engine in ENGINES {
            let before = resident_kb();
            let sampler = Sampler::start(Options::new().engine(engine)).expect("start");
            spin_for(Duration::from_millis(500));
            let after = resident_kb();
            let capture = sampler.stop();
            println!(
                "{engine:<6} {} KiB more; setup and run took {:.1} ms CPU",
                after - before,
                (capture.audit.own_cpu_nanos - capture.audit.handler_nanos) as f64 / 1e6
            );
        }
    }

    fn resident_kb() -> i64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .expect("VmRSS");
        line.split_whitespace()
            .nth(1)
            .and_then(|kb| kb.parse().ok())
            .expect("number")
    }

    fn thread_cpu() -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: writes one timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// User code for this much CPU time; the clock is asked seldom, so that the kernel's share is small.
    #[inline(always)]
    fn spin_for(cpu: Duration) {
        let end = thread_cpu() + cpu;
        let mut x = black_box(1_u64);
        while thread_cpu() < end {
            for _ in 0..200_000 {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                x ^= x >> 29;
            }
            black_box(x);
        }
    }

    /// Nanoseconds of samples that have this function on the stack.
    fn nanos_in(capture: &Capture, name: &str) -> i64 {
        let profile = &capture.profile;
        let mut names: HashMap<LocationId, bool> = HashMap::new();
        let mut is_it = |id: LocationId| {
            *names.entry(id).or_insert_with(|| {
                let mut found = false;
                if let Some(avma) = profile.location(id).address {
                    let address = std::ptr::without_provenance_mut(avma.get() as usize);
                    backtrace::resolve(address, |symbol| {
                        found |= symbol
                            .name()
                            .is_some_and(|symbol| symbol.to_string().contains(name));
                    });
                }
                found
            })
        };
        let samples = profile.samples();
        let found = samples.filter(|sample| profile.stack(sample.stack).any(&mut is_it));
        found.map(|sample| sample.values[1]).sum()
    }
}
