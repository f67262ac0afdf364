//! 1,000 budgets on shares, held against a pprof file of 100 MB: how long reading the file takes, and how long the
//! check does.
//!
//! ```sh
//! cargo run --release --manifest-path benches/budget/Cargo.toml
//! ```

#[path = "../../viewer/src/data.rs"]
mod data;

use std::time::Instant;

use anyhow::{Result, ensure};
use perfwright_budget::{Budgets, Date, Sources, Verdict, judge};
use perfwright_format::{Limits, pprof};

/// Distinct stacks; their file is of 100 MB.
const STACKS: usize = 1_160_000;
const BUDGETS: usize = 1_000;
const ROUNDS: usize = 7;

/// Functions by name, by the beginning and by the end of it, crates, and the same on one thread: 200 of each.
fn file() -> String {
    let mut text = String::from("version = 1\n");
    for index in 0..BUDGETS {
        let number = index * 7;
        let select = match index % 5 {
            0 => format!("function = \"*::Type{}<T>::method_{number}\"", number / 11),
            1 => format!("function = \"shop::*::Type{index}<T>::*\""),
            2 => format!(
                "function = [\"tokio::runtime::scheduler::Type{index}*\", \"hyper::pool::*\"]"
            ),
            3 => format!("crate = [\"serde_json\", \"crate_{index}\"]"),
            _ => format!(
                "function = \"sqlx_core::*_{number}\", label = {{ thread = \"worker-{}\" }}",
                index % 16
            ),
        };
        text.push_str(&format!(
            "[[budget]]\nmetric = \"profile.share\"\nselect = {{ {select} }}\nlimits = [\"total < 90%\", \"self < 50%\"]\n"
        ));
    }
    text
}

fn main() -> Result<()> {
    let profile = data::profile(STACKS);
    let mut bytes = Vec::new();
    pprof::write(&profile, &mut bytes)?;
    drop(profile);
    println!(
        "{:.1} MB of pprof, {STACKS} stacks, {BUDGETS} budgets",
        bytes.len() as f64 / 1e6
    );
    let limits = Limits::default();
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut cpu: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        let (start, began) = (Instant::now(), cpu_seconds());
        let profile = perfwright_format::read(&bytes, &limits)?.profile;
        let read = start.elapsed().as_secs_f64();
        let cpu_read = cpu_seconds() - began;
        let text = file();
        let budgets = Budgets::parse("perfwright.toml", &text)?;
        let mut sources = Sources::new();
        sources.profile("cpu", profile);
        let measurements = sources.measure(&budgets);
        let day = Date::from_unix(1_795_219_200);
        let report = judge(&budgets, measurements, None, day);
        let whole = start.elapsed().as_secs_f64();
        for (cpu, seconds) in cpu.iter_mut().zip([cpu_read, cpu_seconds() - began - cpu_read]) {
            cpu.push(seconds);
        }
        ensure!(report.rows.len() == 2 * BUDGETS);
        ensure!(report.count(Verdict::Missing) == 0);
        for (times, seconds) in times.iter_mut().zip([read, whole - read, whole]) {
            times.push(seconds);
        }
    }
    let [read, check, whole] = times.map(median);
    let [cpu_read, cpu_check] = cpu.map(median);
    println!("read {read:.3} s, check {check:.3} s, both {whole:.3} s");
    println!("CPU: read {cpu_read:.3} s, check {cpu_check:.3} s");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec to be written to, and the clock exists on every Linux.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "the process has a CPU clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
