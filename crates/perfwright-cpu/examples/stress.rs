//! Everything that has crashed or hung profilers, while sampling.
//!
//! `cargo run --release -p perfwright-cpu --example stress -- --engine timer --seconds 20 [--hz 999]`
//! `cargo run --release -p perfwright-cpu --example stress -- --engine timer --starts 10000`
//!
//! Ends with status 0 when it survived, printing the audit. A watchdog turns a hang into a failure.

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
    use std::hint::black_box;
    use std::panic;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use perfwright_cpu::{Engine, Mode, Options, Sampler};

    struct Args {
        options: Options,
        seconds: u64,
        starts: u64,
    }

    fn args() -> Args {
        let mut args = Args {
            options: Options::new().frequency_hz(999),
            seconds: 20,
            starts: 0,
        };
        let mut words = std::env::args().skip(1);
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            match key.as_str() {
                "--engine" => args.options.engine = value.parse().expect("an engine"),
                "--mode" => args.options.mode = value.parse().expect("cpu or wall"),
                "--hz" => args.options.frequency_hz = value.parse().expect("a number"),
                "--seconds" => args.seconds = value.parse().expect("a number"),
                "--starts" => args.starts = value.parse().expect("a number"),
                _ => panic!("unknown option {key}"),
            }
        }
        args
    }

    static DONE: AtomicBool = AtomicBool::new(false);
    static ROUNDS: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

    pub(crate) fn main() {
        let args = args();
        panic::set_hook(Box::new(|_| {}));
        let limit = Duration::from_secs(if args.starts > 0 {
            900
        } else {
            args.seconds * 6 + 30
        });
        thread::spawn(move || {
            thread::sleep(limit);
            eprintln!("hung: still running after {limit:?}");
            std::process::exit(3);
        });
        let workers: [fn(); 6] = [
            allocate,
            load_libraries,
            unwind,
            churn_threads,
            spawn_processes,
            look,
        ];
        thread::scope(|scope| {
            for (work, rounds) in workers.into_iter().zip(&ROUNDS) {
                scope.spawn(move || {
                    while !DONE.load(Ordering::Relaxed) {
                        work();
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            if args.starts > 0 {
                restart(&args)
            } else {
                run(&args)
            }
            DONE.store(true, Ordering::Relaxed);
        });
        let rounds = ROUNDS
            .each_ref()
            .map(|rounds| rounds.load(Ordering::Relaxed));
        println!("rounds: malloc, dlopen, panic, threads, fork+exec, snapshots: {rounds:?}");
    }

    fn run(args: &Args) {
        let sampler = Sampler::start(args.options.clone()).expect("start");
        let until = Instant::now() + Duration::from_secs(args.seconds);
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
            if args.options.mode == Mode::Cpu {
                black_box(sampler.snapshot());
            }
        }
        let capture = sampler.stop();
        assert!(capture.audit.delivered > 0, "no samples");
        println!("{}", capture.audit);
    }

    fn restart(args: &Args) {
        let mut engines = [0_u64; 2];
        for round in 0..args.starts {
            let sampler = Sampler::start(args.options.clone()).expect("start");
            engines[usize::from(sampler.engine() == Engine::Perf)] += 1;
            if round % 3 == 0 {
                drop(sampler)
            } else {
                drop(sampler.stop())
            }
        }
        println!(
            "{} starts and stops: {} timer, {} perf",
            args.starts, engines[0], engines[1]
        );
    }

    fn allocate() {
        for i in 0..1_000_usize {
            let mut data = vec![0_u8; 16 + (i * 7_919) % 40_000];
            data.fill(i as u8);
            let copy = black_box(&data).clone();
            black_box(copy);
        }
    }

    fn load_libraries() {
        for name in [
            c"libm.so.6",
            c"libresolv.so.2",
            c"libnss_files.so.2",
            c"libgcc_s.so.1",
            c"libz.so.1",
        ] {
            // SAFETY: these libraries have no constructors that mind; the handle is closed once.
            unsafe {
                let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
                if !handle.is_null() {
                    libc::dlclose(handle);
                }
            }
        }
    }

    fn unwind() {
        #[inline(never)]
        fn down(depth: usize) -> usize {
            if depth == 0 {
                panic::panic_any(7_usize);
            }
            down(black_box(depth - 1)) + 1
        }
        let caught = panic::catch_unwind(|| down(40)).expect_err("it panics");
        assert_eq!(caught.downcast_ref::<usize>(), Some(&7));
    }

    fn churn_threads() {
        let threads: Vec<_> = (0..8)
            .map(|i| thread::spawn(move || allocate_some(i)))
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("join"));
    }

    fn allocate_some(seed: usize) {
        for i in 0..50 {
            black_box(vec![seed; 10 + i * 10]);
        }
    }

    fn spawn_processes() {
        let status = Command::new("/bin/true").status().expect("spawn");
        assert!(status.success(), "the child ended badly: {status}");
        // SAFETY: between fork and exec only async-signal-safe calls are made.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let arguments = [c"/bin/true".as_ptr(), std::ptr::null()];
                libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr());
                libc::_exit(127);
            }
            let mut status = 0;
            while libc::waitpid(child, &mut status, 0) < 0 {}
            assert_eq!(status, 0, "the forked child ended badly");
        }
    }

    fn look() {
        // Sleeps and short reads: system calls to interrupt.
        thread::sleep(Duration::from_micros(300));
        let text = std::fs::read_to_string("/proc/self/status").expect("procfs");
        assert!(text.contains("VmRSS"), "a short read");
    }
}
