//! The registers a walk starts from.

use std::ffi::c_void;

/// The four registers a stack walk needs, as they were when the signal arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regs {
    /// Program counter: the interrupted instruction.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer register (`rbp`, `x29`), whatever it holds.
    pub fp: u64,
    /// Link register (`x30`); 0 on x86-64, which has none.
    pub lr: u64,
}

impl Regs {
    /// The registers here and now: `pc` is in the function that this is inlined into. They describe its frame as
    /// long as it has not returned.
    #[must_use]
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it is about the frame of the caller")]
    pub fn current() -> Regs {
        let (pc, sp, fp): (u64, u64, u64);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads registers.
        unsafe {
            std::arch::asm!(
                "lea {}, [rip]",
                "mov {}, rsp",
                "mov {}, rbp",
                out(reg) pc,
                out(reg) sp,
                out(reg) fp,
                options(nostack, preserves_flags, nomem),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: reads registers.
        unsafe {
            std::arch::asm!(
                "adr {}, .",
                "mov {}, sp",
                "mov {}, x29",
                out(reg) pc,
                out(reg) sp,
                out(reg) fp,
                options(nostack, preserves_flags, nomem),
            );
        }
        // A function that goes on to walk calls others, so it has saved its link register.
        Regs { pc, sp, fp, lr: 0 }
    }

    /// Reads the interrupted registers from the third argument of an `SA_SIGINFO` handler.
    /// Async-signal-safe.
    ///
    /// # Safety
    /// `context` is that argument (a `ucontext_t`), and the handler hasn't returned yet.
    #[must_use]
    pub unsafe fn from_ucontext(context: *const c_void) -> Regs {
        // SAFETY: the caller passes the kernel's ucontext_t, which lives on the stack until the
        // handler returns.
        let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
        #[cfg(target_arch = "x86_64")]
        {
            let register = |index: libc::c_int| machine.gregs[index as usize] as u64;
            Regs {
                pc: register(libc::REG_RIP),
                sp: register(libc::REG_RSP),
                fp: register(libc::REG_RBP),
                lr: 0,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            Regs {
                pc: machine.pc,
                sp: machine.sp,
                fp: machine.regs[29],
                lr: machine.regs[30],
            }
        }
    }
}

/// The calling thread's thread pointer. One instruction, async-signal-safe. glibc and musl keep the
/// thread control block, which it points to, above the stack in the same mapping for every thread
/// but the main one.
///
/// A thread made by a bare `clone` without `CLONE_SETTLS` shares its parent's; one whose `fs` base
/// is zero can't run any code that uses libc, so it isn't catered for.
#[must_use]
#[inline]
pub fn thread_pointer() -> u64 {
    let pointer: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 TLS ABI puts the thread pointer's own value at fs:0; reading it has no
    // side effect.
    unsafe {
        std::arch::asm!(
            "mov {}, fs:0",
            out(reg) pointer,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reading tpidr_el0 is allowed at EL0 and has no side effect.
    unsafe {
        std::arch::asm!(
            "mrs {}, tpidr_el0",
            out(reg) pointer,
            options(nostack, preserves_flags, nomem, pure),
        );
    }
    pointer
}
