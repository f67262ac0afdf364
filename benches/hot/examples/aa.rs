//! How often criterion's comparison finds a change where there is none, by the wall clock and by CPU time.
//!
//! ```sh
//! cargo run --release --manifest-path benches/hot/Cargo.toml --example aa
//! ```
//!
//! Two benches, of about 1 us and of about 1 ms, are measured once for a baseline and then 10 times against it, each
//! time in a process of its own and with each clock, in turns. Nothing changes between the runs: whatever criterion
//! calls improved or regressed is false. What runs beside it on the machine is part of the measurement; say so.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use criterion::Criterion;
use criterion::measurement::{Measurement, WallTime};
use perfwright_criterion::{ProcessCpu, ThreadCpu};

const RUNS: usize = 10;
const CLOCKS: [&str; 3] = ["wall", "process CPU", "thread CPU"];
/// Tells a child which clock to use.
const CLOCK: &str = "PERFWRIGHT_AA_CLOCK";

fn microsecond() -> u64 {
    (0..1_000_u64).fold(0, |sum, n| black_box(sum ^ n.wrapping_mul(sum | 7)))
}

fn millisecond() -> usize {
    let mut words = BTreeMap::new();
    for number in 0..2_000_u32 {
        *words
            .entry(format!("{:x}", number.wrapping_mul(2_654_435_761) % 1_009))
            .or_insert(0) += 1;
    }
    words.len()
}

fn benches<M: Measurement + 'static>(measurement: M) {
    let mut criterion = Criterion::default()
        .with_measurement(measurement)
        .configure_from_args();
    criterion.bench_function("us", |bencher| bencher.iter(microsecond));
    criterion.bench_function("ms", |bencher| bencher.iter(millisecond));
}

fn main() -> ExitCode {
    match std::env::var(CLOCK).ok().as_deref() {
        Some("wall") => benches(WallTime),
        Some("process CPU") => benches(ProcessCpu),
        Some(_) => benches(ThreadCpu),
        None => return compare(),
    }
    ExitCode::SUCCESS
}

fn compare() -> ExitCode {
    let homes = std::env::temp_dir().join(format!("perfwright-aa-{}", std::process::id()));
    // Of each clock: verdicts of change, and all verdicts.
    let mut tallies = [[(0, 0); 2]; 3];
    for run in 0..=RUNS {
        for (clock, tally) in CLOCKS.iter().zip(&mut tallies) {
            let option = if run == 0 {
                "--save-baseline"
            } else {
                "--baseline"
            };
            let output = std::env::current_exe().and_then(|own| {
                Command::new(own)
                    .args([
                        "--bench",
                        "--noplot",
                        "--warm-up-time",
                        "1",
                        "--measurement-time",
                        "2",
                        option,
                        "first",
                    ])
                    .env(CLOCK, clock)
                    .env("CRITERION_HOME", homes.join(clock))
                    .output()
            });
            let Ok(output) = output else {
                eprintln!("error: failed to run a child of this program");
                return ExitCode::FAILURE;
            };
            let text = String::from_utf8_lossy(&output.stdout);
            for (verdict, tally) in verdicts(&text).into_iter().zip(tally) {
                tally.0 += u32::from(verdict);
                tally.1 += 1;
            }
        }
        eprintln!("{run} of {RUNS} runs");
    }
    println!("false changes of criterion   us        ms");
    for (clock, [us, ms]) in CLOCKS.iter().zip(tallies) {
        println!(
            "{clock:26} {:2} of {:2}  {:2} of {:2}",
            us.0, us.1, ms.0, ms.1
        );
    }
    // What is left is in the folder for temporary files.
    let _ = std::fs::remove_dir_all(homes);
    ExitCode::SUCCESS
}

/// Whether criterion found a change, bench by bench.
fn verdicts(text: &str) -> Vec<bool> {
    let verdict = |line: &str| {
        let line = line.trim();
        let changed = ["Performance has regressed.", "Performance has improved."].contains(&line);
        let same = [
            "No change in performance detected.",
            "Change within noise threshold.",
        ]
        .contains(&line);
        (changed || same).then_some(changed)
    };
    text.lines().filter_map(verdict).collect()
}
