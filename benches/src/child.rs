//! Child processes: how a bench starts one, what it asks of it, and what comes back.

use std::{collections::BTreeMap, env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};

const ROLE: &str = "PERFWRIGHT_BENCH_ROLE";

/// What a child is to do: words such as `accounting timer 999 2`.
pub(crate) struct Role(Vec<String>);

/// The role of this process, if it is a child.
pub(crate) fn role() -> Option<Role> {
    let words = env::var(ROLE).ok()?;
    Some(Role(words.split(' ').map(str::to_owned).collect()))
}

impl Role {
    pub(crate) fn bench(&self) -> &str {
        self.word(0)
    }

    pub(crate) fn word(&self, position: usize) -> &str {
        self.0.get(position).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, position: usize) -> Result<u64> {
        let word = self.word(position);
        word.parse()
            .with_context(|| format!("the number {position} of the role, {word:?}"))
    }
}

/// The numbers that a child printed.
pub(crate) type Numbers = BTreeMap<String, f64>;

/// Runs a child to its end.
pub(crate) fn spawn(role: &str) -> Result<Numbers> {
    let exe = env::current_exe()?;
    let output = Command::new(exe).env(ROLE, role).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the child `{role}` failed ({}):\n{text}{errors}",
        output.status
    );
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect())
}

/// Prints a number for the parent.
pub(crate) fn tell(key: &str, value: f64) {
    println!("{key}={value}");
}

/// The CPU time of this process so far, user and system, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the call to fill.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A field of `/proc/self/status` in MB: `VmRSS`, or the peak, `VmHWM`.
pub(crate) fn memory_mb(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .context("the kernel tells memory")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Sets the peak back to what is resident now.
pub(crate) fn reset_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("reset the peak of memory")
}

/// The middle value.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
