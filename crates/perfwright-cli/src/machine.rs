//! What the machine does beside what is measured, and what a process takes of it, where Linux tells.

use std::fs;
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

/// How often it is looked at what runs, and how long between: a fifth of a second in all.
const LOOKS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(10);
/// Ticks a second of the times in `/proc`: Linux tells all programs 100, whatever it counts itself.
const TICKS: u64 = 100;

/// How many processes of others run on each core, on average over a fifth of a second, which it waits for. What
/// runs at once is asked, not the load average: that still has the build in it that went before.
pub(crate) fn running_per_core() -> Option<f64> {
    let mut running = 0;
    for _ in 0..LOOKS {
        sleep(BETWEEN);
        // This program asks, and so runs.
        running += procs_running(&fs::read_to_string("/proc/stat").ok()?)?.saturating_sub(1);
    }
    let cores = available_parallelism().ok()?.get();
    Some(f64::from(running) / f64::from(LOOKS) / cores as f64)
}

fn procs_running(stat: &str) -> Option<u32> {
    let mut lines = stat.lines();
    let count = lines.find_map(|line| line.strip_prefix("procs_running "))?;
    count.trim().parse().ok()
}

/// The CPU time that a process has taken, in nanoseconds, to the hundredth of a second.
pub(crate) fn cpu_nanos(pid: u32) -> Option<u64> {
    process_nanos(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Of `pid (name) state ...` the fields `utime` and `stime`; the name may hold anything, parentheses included.
fn process_nanos(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * (1_000_000_000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        let stat = "cpu  1 2 3\nprocs_running 7\nprocs_blocked 0\n";
        assert_eq!(procs_running(stat), Some(7));
        assert_eq!(procs_running("cpu 1\n"), None);
        let stat = "12 (a) b) R 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(process_nanos(stat), Some(3_000_000_000));
        for broken in [
            "",
            "12 (a",
            "12 (a) R 1 2",
            "12 (a) R 1 12 12 0 -1 4194304 100 0 0 0 x 50",
        ] {
            assert_eq!(process_nanos(broken), None, "{broken}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells() {
        assert!(running_per_core().is_some_and(|load| load >= 0.0));
        assert!(cpu_nanos(std::process::id()).is_some());
        assert_eq!(cpu_nanos(u32::MAX), None);
    }
}
