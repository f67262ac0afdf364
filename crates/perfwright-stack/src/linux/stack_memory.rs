//! Reading stacks: the live one from a signal handler, a copied one from the collector.

use super::code_map::StackBounds;
use super::regs::Regs;
use std::cell::Cell;

/// Why a word of the stack can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Above what is known or was copied.
    Beyond,
    /// Below the stack pointer, or misaligned: no frame can be there.
    Nonsense,
}

/// Words of a stack by AVMA.
pub(crate) trait StackMemory {
    fn read(&self, avma: u64) -> Result<u64, ReadError>;

    /// Two words: a frame record.
    #[inline(always)]
    fn read_pair(&self, avma: u64) -> Result<(u64, u64), ReadError> {
        Ok((self.read(avma)?, self.read(avma.wrapping_add(8))?))
    }
}

#[inline(always)]
fn check(avma: u64, bytes: u64, low: u64, high: u64) -> Result<(), ReadError> {
    if avma & 7 != 0 || avma < low {
        Err(ReadError::Nonsense)
    } else if avma >= high || high - avma < bytes {
        Err(ReadError::Beyond)
    } else {
        Ok(())
    }
}

/// The stack of the calling thread.
pub(crate) struct LiveStack {
    bounds: StackBounds,
    /// Readable bytes found by probing so far: `bounds.low..probed`.
    probed: Cell<u64>,
}

/// No page of Linux on these processors is smaller; probing a larger page more than once is
/// harmless.
const PAGE_BYTES: u64 = 4096;

impl LiveStack {
    /// # Safety
    /// The bounds come from [`CodeMap::stack_bounds`](crate::CodeMap::stack_bounds) for the calling
    /// thread, and the stack pointer hasn't risen above `bounds.low` since (so that everything from
    /// there on is still live).
    pub(crate) unsafe fn new(bounds: StackBounds) -> LiveStack {
        let probed = if bounds.probe { bounds.low } else { u64::MAX };
        LiveStack {
            bounds,
            probed: Cell::new(probed),
        }
    }

    /// Probes page by page up to `avma`: a stack is contiguous, so a hole ends it.
    #[cold]
    fn probe_to(&self, avma: u64) -> bool {
        let mut next = self.probed.get();
        while next <= avma {
            if !is_readable(next & !7) {
                return false;
            }
            next = (next | (PAGE_BYTES - 1)).saturating_add(1);
            self.probed.set(next);
        }
        true
    }
}

impl LiveStack {
    #[inline(always)]
    fn check(&self, avma: u64, bytes: u64) -> Result<*const u64, ReadError> {
        check(avma, bytes, self.bounds.low, self.bounds.high)?;
        let last = avma + (bytes - 1);
        if last >= self.probed.get() && !self.probe_to(last) {
            return Err(ReadError::Beyond);
        }
        Ok(std::ptr::with_exposed_provenance(avma as usize))
    }
}

impl StackMemory for LiveStack {
    #[inline(always)]
    fn read(&self, avma: u64) -> Result<u64, ReadError> {
        let word = self.check(avma, 8)?;
        // SAFETY: aligned and inside the bounds, which `new`'s contract says are this thread's live
        // stack (or which the kernel has just found readable). Volatile, because the frames in it
        // belong to other code.
        Ok(unsafe { word.read_volatile() })
    }

    #[inline(always)]
    fn read_pair(&self, avma: u64) -> Result<(u64, u64), ReadError> {
        let word = self.check(avma, 16)?;
        // SAFETY: as in `read`, for both words.
        Ok(unsafe { (word.read_volatile(), word.add(1).read_volatile()) })
    }
}

/// Asks the kernel whether the 8 bytes at `avma` can be read. `rt_sigprocmask` copies its new mask
/// in before it looks at `how`, so with an impossible `how` it fails with EFAULT for unreadable
/// memory, else with EINVAL, and changes nothing (abseil's `AddressIsReadable` relies on the same).
/// It is async-signal-safe, and a sandbox that forbade it couldn't create threads. Changes `errno`.
fn is_readable(avma: u64) -> bool {
    const KERNEL_SIGSET_BYTES: usize = 8;
    const IMPOSSIBLE_HOW: libc::c_int = -1;
    // SAFETY: the kernel checks the pointer itself; `how` is invalid, so that no mask changes; the
    // old mask isn't asked.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            IMPOSSIBLE_HOW,
            avma as usize,
            0_usize,
            KERNEL_SIGSET_BYTES,
        )
    };
    // SAFETY: errno is this thread's own variable.
    result == -1 && unsafe { *libc::__errno_location() } == libc::EINVAL
}

/// Copies the calling thread's stack from the stack pointer upwards into `out`, and returns how
/// many bytes (a multiple of 8, at most `out.len()` and the distance to `bounds.high`).
/// Async-signal-safe; may change `errno` if `bounds.probe`.
///
/// # Safety
/// As for [`walk`](crate::walk()): `regs` are of the calling thread, interrupted by the signal
/// being handled, and `bounds` are what [`CodeMap::stack_bounds`](crate::CodeMap::stack_bounds)
/// said for `regs.sp`.
pub unsafe fn copy_stack(regs: &Regs, bounds: StackBounds, out: &mut [u8]) -> usize {
    if regs.sp & 7 != 0 || regs.sp < bounds.low || regs.sp >= bounds.high {
        return 0;
    }
    let wanted = (out.len() as u64).min(bounds.high - regs.sp) & !7;
    // SAFETY: passed on from the caller.
    let stack = unsafe {
        LiveStack::new(StackBounds {
            low: regs.sp,
            ..bounds
        })
    };
    let readable = match bounds.probe && wanted > 0 && !stack.probe_to(regs.sp + wanted - 1) {
        true => wanted.min(stack.probed.get() - regs.sp),
        false => wanted,
    };
    // SAFETY: the bytes from the stack pointer on are inside the bounds, found readable where that
    // wasn't known, and not part of `out`, which is no frame of the interrupted code; `out` holds
    // `wanted` bytes.
    unsafe { copy_words(regs.sp, out.as_mut_ptr(), readable / 8) };
    readable as usize
}

/// The frames belong to other code, so they are read in a way the compiler can't reason about.
///
/// # Safety
/// `words` words can be read at `avma` and written to `out`.
unsafe fn copy_words(avma: u64, out: *mut u8, words: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the string move reads and writes just these words; the direction flag is clear by the
    // ABI (and the kernel clears it on entry to a handler).
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words => _,
            inout("rsi") avma => _,
            inout("rdi") out => _,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for index in 0..words as usize {
        let word = std::ptr::with_exposed_provenance::<u64>(avma as usize).wrapping_add(index);
        // SAFETY: the caller vouches for both.
        unsafe {
            out.cast::<u64>()
                .add(index)
                .write_unaligned(word.read_volatile())
        };
    }
}

/// A stack copied by [`copy_stack`].
pub(crate) struct CopiedStack<'a> {
    pub(crate) low: u64,
    pub(crate) bytes: &'a [u8],
}

impl StackMemory for CopiedStack<'_> {
    fn read(&self, avma: u64) -> Result<u64, ReadError> {
        check(
            avma,
            8,
            self.low,
            self.low.saturating_add(self.bytes.len() as u64),
        )?;
        let offset = (avma - self.low) as usize;
        let word = self
            .bytes
            .get(offset..offset + 8)
            .and_then(|word| word.try_into().ok());
        word.map(u64::from_ne_bytes).ok_or(ReadError::Beyond)
    }
}
