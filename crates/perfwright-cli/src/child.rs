//! Child processes: in a group of their own, never left behind.

use std::io;
use std::process::Command;
use std::time::Duration;

/// Prepares a program to be started so that it ends with this process or with its handle, whichever is first.
/// Ctrl-C in the terminal is for this command, which then ends the program in order: it gets a process group of
/// its own.
pub(crate) fn own(command: &mut tokio::process::Command) {
    command.process_group(0).kill_on_drop(true);
    die_with_parent(command.as_std_mut());
}

/// As [`own`], in a session of its own. Where the kernel shares the CPU between sessions first (Linux's autogroups),
/// a bench then gets the share of a terminal of its own beside a build in another, not that of one of its compilers.
pub(crate) fn own_session(command: &mut tokio::process::Command) {
    command.kill_on_drop(true);
    die_with_parent(command.as_std_mut());
    let prepare = || {
        // SAFETY: setsid is async-signal-safe and takes nothing. It makes a process group, too.
        unsafe { libc::setsid() };
        Ok(())
    };
    // SAFETY: the closure keeps to what is allowed after fork, see above.
    unsafe { command.pre_exec(prepare) };
}

/// A child's process group, killed when this is dropped: with [`own`] alone the child's own children live on.
pub(crate) struct Group(Option<libc::pid_t>);

impl Group {
    /// That of a child that was started by [`own`].
    pub(crate) fn of(child: &tokio::process::Child) -> Group {
        // The kernel's process ids are positive numbers of that type.
        Group(child.id().map(|pid| pid as libc::pid_t))
    }

    /// The child has ended in order, and there is nothing to kill.
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            signal(-group, libc::SIGKILL);
        }
    }
}

/// Sends a signal to a process, or to a group if negative. One that is gone is fine.
pub(crate) fn signal(to: libc::pid_t, signal: libc::c_int) {
    // SAFETY: kill takes no pointers. `to` is the child's own process group (it was started with
    // `process_group(0)` or `setsid`), so no other process is meant; the kernel hands out its number again only
    // after the whole group is gone and the child is reaped, moments before at most.
    unsafe { libc::kill(to, signal) };
}

/// Has the kernel kill the program when this process dies, however it dies.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let parent = std::process::id();
    let prepare = move || {
        // SAFETY: prctl and getppid are async-signal-safe, take no pointers here, and nothing is
        // allocated between fork and exec.
        let orphaned = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::getppid() as u32 != parent
        };
        // The parent may have died before the request took effect.
        match orphaned {
            true => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            false => Ok(()),
        }
    };
    // SAFETY: the closure keeps to what is allowed after fork, see above.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_command: &mut Command) {}

/// Has the program start at the same addresses each time, where the system lets us. Containers often don't: then
/// the addresses are drawn by chance, as ever.
#[cfg(target_os = "linux")]
pub(crate) fn fixed_addresses(command: &mut tokio::process::Command) {
    let prepare = || {
        // SAFETY: personality is a system call that takes no pointers, and nothing is allocated between fork
        // and exec.
        unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
        Ok(())
    };
    // SAFETY: the closure keeps to what is allowed after fork, see above.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn fixed_addresses(_command: &mut tokio::process::Command) {}

/// What ended children took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time, user and system.
    pub(crate) cpu: Duration,
    /// How often they gave up their CPU by themselves.
    pub(crate) waits: u64,
}

impl Usage {
    /// Of all children so far that have been waited for.
    pub(crate) fn of_children() -> Usage {
        // SAFETY: all-zero bytes are a valid rusage, which is plain numbers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: getrusage fills the struct that the pointer is of. It cannot fail for this constant.
        unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
        let time = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        Usage {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            waits: usage.ru_nvcsw as u64,
        }
    }

    /// What came after `before`.
    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(before.cpu),
            waits: self.waits.saturating_sub(before.waits),
        }
    }
}
