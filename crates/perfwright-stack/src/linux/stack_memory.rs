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
}

fn check(avma: u64, low: u64, high: u64) -> Result<(), ReadError> {
    if avma & 7 != 0 || avma < low {
        Err(ReadError::Nonsense)
    } else if avma >= high || high - avma < 8 {
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

/// No page of Linux on these processors is smaller; probing a larger page more than once is harmless.
const PAGE_BYTES: u64 = 4096;

impl LiveStack {
    /// # Safety
    /// The bounds come from [`CodeMap::stack_bounds`](crate::CodeMap::stack_bounds) for the calling thread, and the
    /// stack pointer hasn't risen above `bounds.low` since (so that everything from there on is still live).
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

impl StackMemory for LiveStack {
    #[inline(always)]
    fn read(&self, avma: u64) -> Result<u64, ReadError> {
        check(avma, self.bounds.low, self.bounds.high)?;
        if avma >= self.probed.get() && !self.probe_to(avma) {
            return Err(ReadError::Beyond);
        }
        // SAFETY: avma is aligned and inside the bounds, which `new`'s contract says are this thread's live stack (or
        // which the kernel has just found readable). Volatile, because the frames in it belong to other code.
        Ok(unsafe { std::ptr::with_exposed_provenance::<u64>(avma as usize).read_volatile() })
    }
}

/// Asks the kernel whether the 8 bytes at `avma` can be read. `rt_sigprocmask` copies its new mask in before it looks at
/// `how`, so with an impossible `how` it fails with EFAULT for unreadable memory, else with EINVAL, and changes nothing
/// (abseil's `AddressIsReadable` relies on the same). It is async-signal-safe, and a sandbox that forbade it couldn't
/// create threads. Changes `errno`.
fn is_readable(avma: u64) -> bool {
    const KERNEL_SIGSET_BYTES: usize = 8;
    const IMPOSSIBLE_HOW: libc::c_int = -1;
    // SAFETY: the kernel checks the pointer itself; `how` is invalid, so that no mask changes; the old mask isn't asked.
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

/// Copies the calling thread's stack from the stack pointer upwards into `out`, and returns how many bytes (a multiple
/// of 8, at most `out.len()` and the distance to `bounds.high`). Async-signal-safe; may change `errno` if `bounds.probe`.
///
/// # Safety
/// As for [`walk`](crate::walk()): `regs` are of the calling thread, interrupted by the signal being handled, and `bounds`
/// are what [`CodeMap::stack_bounds`](crate::CodeMap::stack_bounds) said for `regs.sp`.
pub unsafe fn copy_stack(regs: &Regs, bounds: StackBounds, out: &mut [u8]) -> usize {
    let low = StackBounds {
        low: regs.sp.max(bounds.low),
        ..bounds
    };
    // SAFETY: passed on from the caller.
    let stack = unsafe { LiveStack::new(low) };
    let mut copied = 0;
    for (word, avma) in out
        .chunks_exact_mut(8)
        .zip((regs.sp..bounds.high).step_by(8))
    {
        let Ok(value) = stack.read(avma) else { break };
        word.copy_from_slice(&value.to_ne_bytes());
        copied += 8;
    }
    copied
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
