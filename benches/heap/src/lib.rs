//! What the measured programs do. Each binary in `src/bin` is one global allocator; what it is told on its
//! command line it does, and prints `key=value` lines.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

pub mod peak;

/// A child's main function. `start` begins the profiling and gives what keeps it going.
pub fn child<T>(start: impl FnOnce() -> T) -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let profiler = start();
    match words[..] {
        ["pair"] => pair(),
        ["churn", threads] => churn(threads.parse()?),
        ["json", threads] => json(threads.parse()?)?,
        ["boxes"] => boxes()?,
        ["zeroed"] => zeroed()?,
        _ => bail!("nothing is called {words:?}"),
    }
    drop(profiler);
    Ok(())
}

/// Prints a number for the parent.
pub fn tell(key: &str, value: f64) {
    println!("{key}={value}");
}

/// 64 bytes, allocated and freed: nanoseconds of CPU time, the best of short runs.
fn pair() {
    const PAIRS: u32 = 1_000_000;
    let layout = Layout::new::<[u64; 8]>();
    let mut best = f64::MAX;
    // The runs of the slowest, dhat, would take minutes.
    let mut budget = 2.0;
    let mut runs = 0;
    while budget > 0.0 || runs < 3 {
        let before = thread_seconds();
        for _ in 0..PAIRS {
            // SAFETY: the size is not 0, and the block is freed with its own layout.
            unsafe {
                let block = alloc(layout);
                if block.is_null() {
                    handle_alloc_error(layout);
                }
                dealloc(black_box(block), layout);
            }
        }
        let took = thread_seconds() - before;
        best = best.min(took);
        budget -= took;
        runs += 1;
    }
    tell("value", best * 1e9 / f64::from(PAIRS));
}

/// Blocks of 16 to 512 bytes that replace each other, 1,000 at a time a thread: nanoseconds of CPU time a
/// replacement.
fn churn(threads: u32) {
    const STEPS: u32 = 2_000_000;
    // dhat takes a second for 100,000.
    let steps = if env::var_os("SLOW").is_some() {
        STEPS / 20
    } else {
        STEPS
    };
    let before = process_seconds();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = Random(u64::from(thread) + 1);
                let mut blocks: Vec<Vec<u8>> = (0..1000).map(|_| Vec::new()).collect();
                for _ in 0..steps {
                    let number = random.draw();
                    let size = 16 + (number >> 32) as usize % 497;
                    blocks[number as usize % 1000] = black_box(Vec::with_capacity(size));
                }
            });
        }
    });
    let steps = f64::from(steps) * f64::from(threads);
    tell("value", (process_seconds() - before) * 1e9 / steps);
}

/// A document of a quarter of a megabyte, parsed again and again: milliseconds of CPU time each, and the peak
/// of resident memory in MB.
fn json(threads: u32) -> Result<()> {
    let text = document();
    let rounds = if env::var_os("SLOW").is_some() {
        4
    } else {
        100
    };
    let parse = |rounds| {
        for _ in 0..rounds {
            let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
            black_box(value);
        }
    };
    parse(2);
    reset_peak()?;
    let before = process_seconds();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| parse(rounds));
        }
    });
    let took = process_seconds() - before;
    tell("value", took * 1e3 / f64::from(threads * rounds));
    tell("peak_mb", memory_mb("VmHWM")?);
    Ok(())
}

fn document() -> String {
    let mut random = Random(7);
    let mut orders = Vec::new();
    for number in 0..1000 {
        let lines: Vec<_> = (0..random.draw() % 6)
            .map(|_| {
                serde_json::json!({
                    "sku": format!("{:x}", random.draw()),
                    "count": random.draw() % 10,
                    "price": (random.draw() % 10_000) as f64 / 100.0,
                })
            })
            .collect();
        orders.push(serde_json::json!({
            "id": number,
            "customer": format!("customer number {}", random.draw() % 500),
            "lines": lines,
            "paid": number % 3 == 0,
            "note": null,
        }));
    }
    serde_json::Value::Array(orders).to_string()
}

/// A million live boxes of 64 bytes: resident memory of the program with them, in MB.
fn boxes() -> Result<()> {
    let boxes: Vec<Box<[u64; 8]>> = (0..1_000_000).map(|number| Box::new([number; 8])).collect();
    tell("value", memory_mb("VmRSS")?);
    black_box(boxes);
    Ok(())
}

/// `vec![0; 256 MB]`, never touched: resident memory that it takes, in MB.
fn zeroed() -> Result<()> {
    // What only the first reading takes is not the vector's.
    memory_mb("VmRSS")?;
    let before = memory_mb("VmRSS")?;
    let zeros = black_box(vec![0_u8; 256_000_000]);
    tell("value", memory_mb("VmRSS")? - before);
    drop(zeros);
    Ok(())
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

fn thread_seconds() -> f64 {
    seconds(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn process_seconds() -> f64 {
    seconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn seconds(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the call to fill.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A field of `/proc/self/status` in MB.
fn memory_mb(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = kib.context("the kernel tells memory")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Sets the peak back to what is resident now.
fn reset_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("reset the peak of memory")
}
