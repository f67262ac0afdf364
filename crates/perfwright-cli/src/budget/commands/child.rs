//! One run of a command, in a process group of its own, with what the kernel says that it used.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use perfwright_budget::CommandRun;
use tokio::time::timeout;

use crate::child::die_with_parent;

/// How long processes may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// A command that is running. Dropping it kills its whole process group.
pub(super) struct Child {
    pid: libc::pid_t,
    started: Instant,
    is_reaped: bool,
}

impl Child {
    /// Starts a command whose output goes to `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Child> {
        let name = command.get_program().to_owned();
        let log = File::create(log).with_context(|| format!("write {}", log.display()))?;
        let copy = log.try_clone().context("write the command's output")?;
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            // The terminal's Ctrl-C is for this command, which then ends the other in order.
            .process_group(0);
        die_with_parent(&mut command);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("start {}", name.to_string_lossy()))?;
        // Dropping what the library has of it neither ends it nor waits for it.
        let pid = libc::pid_t::try_from(child.id()).context("read the command's process id")?;
        Ok(Child {
            pid,
            started,
            is_reaped: false,
        })
    }

    /// Waits for its end; then what it has left running is killed, and its usage is read.
    pub(super) async fn ended(&mut self) -> Result<(ExitStatus, CommandRun)> {
        let pid = self.pid;
        let waiting =
            tokio::task::spawn_blocking(move || wait_unreaped(pid).map(|()| Instant::now()));
        let ended = waiting.await.context("wait for the command")??;
        self.signal(libc::SIGKILL);
        let (status, usage) = self.reap().context("wait for the command")?;
        let run = CommandRun {
            seconds: (ended - self.started).as_secs_f64(),
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_bytes: usage.ru_maxrss as f64 * MAXRSS_UNIT,
        };
        Ok((status, run))
    }

    /// Ends it: SIGTERM, and SIGKILL when it takes too long.
    pub(super) async fn end(mut self) {
        self.signal(libc::SIGTERM);
        // Whether it ended or not, dropping it kills what is left.
        let _ = timeout(GRACE, self.ended()).await;
    }

    /// Sends a signal to its group, unless its number may be another's by now.
    fn signal(&self, signal: libc::c_int) {
        if !self.is_reaped {
            // SAFETY: kill takes no pointers. The group is the child's own (it was started with `process_group(0)`),
            // and its number is not given to others before the child is reaped.
            unsafe { libc::kill(-self.pid, signal) };
        }
    }

    fn reap(&mut self) -> io::Result<(ExitStatus, libc::rusage)> {
        let mut status = 0;
        // SAFETY: a struct of integers, for which zero is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        loop {
            // SAFETY: both pointers are to values of this frame, of the types that wait4 writes.
            let reaped = unsafe { libc::wait4(self.pid, &mut status, 0, &mut usage) };
            if reaped == self.pid {
                self.is_reaped = true;
                return Ok((ExitStatus::from_raw(status), usage));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.signal(libc::SIGKILL);
            // It is gone a moment later; where it cannot be waited for, nothing is left to do.
            let _ = self.reap();
        }
    }
}

/// The kernel's unit of `ru_maxrss`, in bytes.
const MAXRSS_UNIT: f64 = if cfg!(target_vendor = "apple") {
    1.0
} else {
    1024.0
};

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Waits until a process has ended, and leaves it to be reaped: until then its group can be signalled.
fn wait_unreaped(pid: libc::pid_t) -> io::Result<()> {
    let id = libc::id_t::try_from(pid).map_err(io::Error::other)?;
    loop {
        // SAFETY: a struct of plain data, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the pointer is to a value of this frame, of the type that waitid writes.
        let failed = unsafe { libc::waitid(libc::P_PID, id, &mut info, options) };
        if failed == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl AsyncFnOnce(&Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test(folder.path()))
    }

    fn shell(folder: &Path, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Child::start(command, &folder.join("log")).unwrap()
    }

    /// The number of a process that the script's output is.
    async fn told(folder: &Path) -> String {
        loop {
            let text = std::fs::read_to_string(folder.join("log")).unwrap();
            if text.ends_with('\n') {
                return text.trim().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_gone(pid: &str) {
        // A zombie that nobody has reaped yet is no running process.
        let is_running = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while is_running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn its_usage_is_what_it_and_its_children_used() {
        run(async |folder| {
            // The child of the shell burns the time: it counts too.
            let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; exit 3";
            let (status, run) = shell(folder, script).ended().await.unwrap();
            assert_eq!(status.code(), Some(3));
            assert!(run.cpu_seconds > 0.0, "{run:?}");
            assert!(
                run.peak_bytes > 100_000.0 && run.peak_bytes < 1e9,
                "{run:?}"
            );
            let (_, idle) = shell(folder, "sleep 0.3").ended().await.unwrap();
            assert!(idle.seconds >= 0.3, "{idle:?}");
        });
    }

    #[test]
    fn what_it_leaves_running_is_killed() {
        run(async |folder| {
            let (status, _) = shell(folder, "sleep 60 & echo $!").ended().await.unwrap();
            assert!(status.success());
            until_gone(&told(folder).await).await;
        });
    }

    #[test]
    fn ending_and_dropping_it_leave_nothing() {
        run(async |folder| {
            let child = shell(folder, "sleep 60 & echo $!; wait");
            let pid = told(folder).await;
            child.end().await;
            until_gone(&pid).await;
            let child = shell(folder, "trap '' TERM; echo $$; while :; do sleep 1; done");
            let pid = told(folder).await;
            drop(child);
            until_gone(&pid).await;
        });
    }
}
