//! The walk from frame to frame. The same steps serve the signal handler (live stack) and the
//! collector (copied stack).

use super::code_map::{CodeMap, CodeRange};
use super::regs::Regs;
use super::rule::{Offsets, Rule, SAME};
use super::stack_memory::{LiveStack, ReadError, StackMemory};

/// What [`walk`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Addresses written: the program counter, then return addresses.
    pub len: usize,
    /// How many of them are certain. Beyond, the frame pointer was followed on trust, and a caller
    /// may be missing.
    pub exact: usize,
    /// Why it ended.
    pub end: WalkEnd,
    /// [`Image::unwind`](crate::Image::unwind) could do better with a copy of the stack.
    pub needs_copy: bool,
    /// The stack lay in no mapping known to be this thread's: its pages were probed, and a fresher
    /// map would be faster.
    pub probed: bool,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkEnd {
    /// At the thread's outermost frame.
    Root,
    /// The output is full: the stack is deeper.
    Full,
    /// The next frame lies beyond the stack's bounds.
    LeftBounds,
    /// The next frame would lie below this one, is misaligned, or returns to no code.
    Broken,
    /// Nothing is known about the stack: the program counter alone.
    NoStack,
}

/// Walks the calling thread's stack from a signal handler. `out[0]` is the interrupted program
/// counter, always; then come return addresses as they lie on the stack, innermost first: whoever
/// looks one up subtracts 1, to land in the call and not behind it.
/// Where the walk passes through another signal handler, the instruction that this had
/// interrupted is given plus 1, so that the same holds for it.
///
/// Async-signal-safe: no allocation, lock or syscall on a stack that the map knows; on another, one
/// cheap system call a page (which may change `errno`). It never reads outside the bounds that
/// [`CodeMap::stack_bounds`] gives, whatever the stack holds.
///
/// # Safety
/// `regs` are the calling thread's, interrupted by the signal being handled, and `map` describes
/// this process at some moment of the thread's life or not long before it.
pub unsafe fn walk(regs: &Regs, map: &CodeMap, out: &mut [u64]) -> Walk {
    let Some(bounds) = map.stack_bounds(regs.sp) else {
        let mut nothing = Walker::new(regs, out);
        return nothing.end(WalkEnd::NoStack);
    };
    // SAFETY: the bounds are for this thread, whose interrupted frames stay put until the handler
    // returns.
    let stack = unsafe { LiveStack::new(bounds) };
    let mut walk = Walker::new(regs, out).run(map, &stack);
    walk.probed = bounds.probe;
    walk
}

/// A frame: the registers as they were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    pub(crate) lr: u64,
    /// `pc` is an interrupted instruction, not a return address.
    pub(crate) interrupted: bool,
}

impl Cursor {
    pub(crate) fn new(regs: &Regs) -> Cursor {
        let Regs { pc, sp, fp, lr } = *regs;
        Cursor {
            pc,
            sp,
            fp,
            lr,
            interrupted: true,
        }
    }

    /// An address inside the instruction that is being executed in this frame.
    #[inline]
    pub(crate) fn lookup_pc(&self) -> u64 {
        self.pc.wrapping_sub(u64::from(!self.interrupted))
    }

    /// What consumers expect: a return address, even where the frame was interrupted by a signal.
    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.pc.wrapping_add(u64::from(self.interrupted))
    }
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The cursor is at the caller now.
    Caller,
    Root,
    /// The table doesn't say how to go on; the cursor hasn't moved.
    Unresolved,
    LeftBounds,
    Broken,
}

impl From<ReadError> for Step {
    fn from(error: ReadError) -> Step {
        match error {
            ReadError::Beyond => Step::LeftBounds,
            ReadError::Nonsense => Step::Broken,
        }
    }
}

/// Steps by the map's tables, remembering the last code range, which is the next one nearly always.
pub(crate) struct Stepper<'m> {
    map: &'m CodeMap,
    range: Option<&'m CodeRange>,
}

impl<'m> Stepper<'m> {
    pub(crate) fn new(map: &'m CodeMap) -> Stepper<'m> {
        Stepper { map, range: None }
    }

    #[inline(always)]
    pub(crate) fn step(&mut self, cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
        match self.rule(cursor) {
            Rule::Frame => frame_step(cursor, stack),
            rule => other_step(rule, cursor, stack),
        }
    }

    #[inline(always)]
    fn rule(&mut self, cursor: &Cursor) -> Rule {
        let pc = cursor.lookup_pc();
        let range = match self.range {
            Some(range) if range.contains(pc) => range,
            _ => match self.map.code_range(pc) {
                Some(range) => range,
                None => return Rule::Unknown,
            },
        };
        self.range = Some(range);
        match range.relative(pc) {
            // On aarch64 a frame record doesn't tell the caller's stack pointer, so each row has to
            // be looked up.
            Some((table, relative))
                if cfg!(target_arch = "x86_64")
                    && !cursor.interrupted
                    && table.is_framed_block(relative) =>
            {
                Rule::Frame
            }
            Some((table, relative)) => table.rule(relative),
            None => Rule::Unknown,
        }
    }

    /// Follows the frame pointer where nothing says that there is one: right in generated code that
    /// keeps frame pointers, and loses at most the caller in a stub that doesn't touch them.
    fn guess(&self, cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
        if cursor.fp == 0 {
            return Step::Root;
        }
        let before = *cursor;
        let step = frame_step(cursor, stack);
        if step == Step::Caller && !self.map.is_code(cursor.lookup_pc()) {
            *cursor = before;
            return Step::Broken;
        }
        step
    }
}

/// `[fp]` is the caller's frame pointer, `[fp + 8]` the return address. Frames lie above each
/// other, so a chain can't loop.
#[inline(always)]
fn frame_step(cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
    let fp = cursor.fp;
    if fp < cursor.sp {
        return Step::Broken;
    }
    match stack.read_pair(fp) {
        Ok((caller_fp, ra)) => arrive(cursor, ra, fp.wrapping_add(16), caller_fp),
        Err(error) => error.into(),
    }
}

#[cold]
#[inline(never)]
fn other_step(rule: Rule, cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
    match rule {
        Rule::Frame => frame_step(cursor, stack),
        Rule::Offset(offsets) => offset_step(offsets, cursor, stack),
        Rule::Signal => signal_step(cursor, stack),
        Rule::Root => Step::Root,
        Rule::Unknown | Rule::Complex => Step::Unresolved,
    }
}

fn offset_step(offsets: Offsets, cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
    let base = if offsets.from_fp {
        cursor.fp
    } else {
        cursor.sp
    };
    let cfa = base.wrapping_add(i64::from(offsets.cfa) as u64);
    let slot = |words: i16| cfa.wrapping_add((i64::from(words) * 8) as u64);
    // A leaf of aarch64 may have no frame at all; every other frame is at least its return address
    // high.
    let is_leaf = cursor.interrupted && offsets.ra == SAME;
    if cfa < cursor.sp || (cfa == cursor.sp && !is_leaf) {
        return Step::Broken;
    }
    let ra = match offsets.ra {
        SAME if is_leaf => Ok(cursor.lr),
        SAME => return Step::Broken,
        words => stack.read(slot(words)),
    };
    let caller_fp = match offsets.fp {
        // Below the stack pointer: already popped in an epilogue.
        words if words == SAME || slot(words) < cursor.sp => Ok(cursor.fp),
        words => stack.read(slot(words)),
    };
    match (ra, caller_fp) {
        (Ok(ra), Ok(caller_fp)) => arrive(cursor, ra, cfa, caller_fp),
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

#[inline(always)]
fn arrive(cursor: &mut Cursor, ra: u64, sp: u64, fp: u64) -> Step {
    let ra = strip_signature(ra);
    if ra == 0 {
        return Step::Root;
    }
    *cursor = Cursor {
        pc: ra,
        sp,
        fp,
        lr: 0,
        interrupted: false,
    };
    Step::Caller
}

/// Removes the pointer authentication code that aarch64 may keep above a 48-bit address.
#[inline(always)]
fn strip_signature(ra: u64) -> u64 {
    if cfg!(target_arch = "aarch64") {
        ra & 0x0000_FFFF_FFFF_FFFF
    } else {
        ra
    }
}

/// Offsets from the stack pointer, at the instruction a signal handler returns to, of the
/// interrupted (pc, sp, fp, lr) in the kernel's `struct rt_sigframe`
/// (arch/x86/include/asm/sigframe.h, arch/arm64/kernel/signal.c).
const SIGNAL_FRAME: [Option<u64>; 4] = if cfg!(target_arch = "aarch64") {
    [Some(568), Some(560), Some(312 + 29 * 8), Some(312 + 30 * 8)]
} else {
    [Some(168), Some(160), Some(120), None]
};

fn signal_step(cursor: &mut Cursor, stack: &impl StackMemory) -> Step {
    let mut registers = [0; 4];
    for (register, offset) in registers.iter_mut().zip(SIGNAL_FRAME) {
        let Some(offset) = offset else { continue };
        match stack.read(cursor.sp.wrapping_add(offset)) {
            Ok(value) => *register = value,
            Err(error) => return error.into(),
        }
    }
    let [pc, sp, fp, lr] = registers;
    if sp <= cursor.sp {
        // The handler ran on an alternate stack; what it interrupted lies on another.
        return Step::LeftBounds;
    }
    *cursor = Cursor {
        pc,
        sp,
        fp,
        lr,
        interrupted: true,
    };
    Step::Caller
}

/// Writes down where a cursor comes by.
struct Walker<'o> {
    cursor: Cursor,
    out: &'o mut [u64],
    len: usize,
    exact: Option<usize>,
}

impl<'o> Walker<'o> {
    fn new(regs: &Regs, out: &'o mut [u64]) -> Walker<'o> {
        let len = match out.first_mut() {
            Some(first) => {
                *first = regs.pc;
                1
            }
            None => 0,
        };
        Walker {
            cursor: Cursor::new(regs),
            out,
            len,
            exact: None,
        }
    }

    #[inline(always)]
    fn run(&mut self, map: &CodeMap, stack: &impl StackMemory) -> Walk {
        let mut stepper = Stepper::new(map);
        loop {
            self.run_framed(&stepper, stack);
            let mut step = stepper.step(&mut self.cursor, stack);
            if step == Step::Unresolved {
                self.exact.get_or_insert(self.len);
                step = stepper.guess(&mut self.cursor, stack);
            }
            match step {
                Step::Caller => {}
                Step::Root => return self.end(WalkEnd::Root),
                Step::LeftBounds => return self.end(WalkEnd::LeftBounds),
                Step::Broken | Step::Unresolved => return self.end(WalkEnd::Broken),
            }
            let Some(slot) = self.out.get_mut(self.len) else {
                return self.end(WalkEnd::Full);
            };
            *slot = self.cursor.address();
            self.len += 1;
        }
    }

    /// The usual case, which most of a walk's time would go to: caller after caller in framed code
    /// of one module. Stops at whatever is different, and leaves that to [`Stepper::step`].
    #[inline(always)]
    fn run_framed(&mut self, stepper: &Stepper<'_>, stack: &impl StackMemory) {
        let table = stepper
            .range
            .and_then(|range| Some((range, range.table.as_deref()?)));
        let Some((range, table)) = table else { return };
        let mut cursor = self.cursor;
        if cfg!(not(target_arch = "x86_64")) || cursor.interrupted {
            return;
        }
        let mut written = 0;
        for slot in self.out.get_mut(self.len..).unwrap_or_default() {
            let relative = (cursor.pc - 1).wrapping_sub(range.table_base);
            let is_framed = (cursor.pc - 1 < range.end)
                && u32::try_from(relative).is_ok_and(|relative| table.is_framed_block(relative));
            if !is_framed || frame_step(&mut cursor, stack) != Step::Caller {
                break;
            }
            *slot = cursor.pc;
            written += 1;
        }
        self.cursor = cursor;
        self.len += written;
    }

    fn end(&mut self, end: WalkEnd) -> Walk {
        let needs_copy = self.exact.is_some() || end == WalkEnd::Broken;
        let exact = self.exact.unwrap_or(self.len);
        Walk {
            len: self.len,
            exact,
            end,
            needs_copy,
            probed: false,
        }
    }
}
