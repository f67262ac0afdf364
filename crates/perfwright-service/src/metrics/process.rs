//! What the system says about this process, from `/proc`; unknown elsewhere.

use std::fs;

/// Ticks of `/proc/self/stat` in a second: fixed for user space on the platforms of Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A reading. `None` is unknown, never 0.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) virtual_bytes: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    /// Since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Process {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut process = Process::of_stat(&text("/proc/self/stat"), &text("/proc/stat"));
        process.max_fds = max_fds(&text("/proc/self/limits"));
        // The folder itself is open while it is read.
        process.open_fds = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|files| files.count().saturating_sub(1) as f64);
        process.resident_bytes = status_bytes(&text("/proc/self/status"), "VmRSS:");
        process
    }

    fn of_stat(stat: &str, system: &str) -> Process {
        // The name before it may hold anything, parentheses too.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            return Process::default();
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // proc_pid_stat(5) numbers the fields from 1; the state, 3, is the first here.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let boot: Option<f64> = system
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|seconds| seconds.trim().parse().ok());
        Process {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            threads: field(20),
            start_seconds: boot
                .zip(field(22))
                .map(|(boot, ticks)| boot + ticks / TICKS_PER_SECOND),
            virtual_bytes: field(23),
            ..Process::default()
        }
    }
}

fn status_bytes(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_an_odd_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 2 3 4 5 250 50 0 0 20 0 9 0 1000 123456 77 18446744073709551615";
        let process = Process::of_stat(stat, "cpu 1\nbtime 1700000000\n");
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.threads, Some(9.0));
        assert_eq!(process.start_seconds, Some(1_700_000_010.0));
        assert_eq!(process.virtual_bytes, Some(123_456.0));
        assert_eq!(Process::of_stat("", ""), Process::default());
    }

    #[test]
    fn sizes_and_limits() {
        assert_eq!(status_bytes("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288.0));
        let limits =
            "Max processes 1 2 x\nMax open files            1024                 524288    files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
        assert_eq!(max_fds("Max open files unlimited"), None);
    }
}
