//! Child processes: in a group of their own, never left behind.

use std::io;
use std::process::Command;


/// Prepares a program to be started so that it ends with this process or with its handle, whichever is first.
/// Ctrl-C in the terminal is for this command, which then ends the program in order: it gets a process group of
/// its own.
pub(crate) fn own(command: &mut tokio::process::Command) {
    command.process_group(0).kill_on_drop(true);
    die_with_parent(command.as_std_mut());
}

/// Sends a signal to a process, or to a group if negative. One that is gone is fine.
pub(crate) fn signal(to: libc::pid_t, signal: libc::c_int) {
    // SAFETY: kill takes no pointers. `to` is the child's own process group (it was started with
    // `process_group(0)`), so no other process is meant; the kernel hands out its number again only
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
