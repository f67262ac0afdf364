//! The collector's unwinder: from registers and a copy of the stack to return addresses.

use super::bytes::Bytes;
use super::image::{Image, Module};
use super::regs::Regs;
use super::stack_memory::{CopiedStack, StackMemory};
use super::walk::{Cursor, Step, Stepper};
use framehop::{CacheNative, ExplicitModuleSectionInfo, FrameAddress, Unwinder, UnwinderNative};
use framehop::{MayAllocateDuringUnwind, UnwindRegsNative};
use std::fmt;

/// More frames than this are cut: a bound for corrupt copies, far above what a copy of 64 KiB can
/// hold in practice.
const MAX_FRAMES: usize = 4096;

/// What [`Image::unwind`] achieved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwound {
    /// The thread's outermost frame was found in the copy.
    pub reached_root: bool,
    /// The copy ended before the stack did, and `fp_walk` couldn't continue it.
    pub truncated: bool,
    /// The copy ended (or the trail in it did), and the rest is `fp_walk`'s: whether that reached
    /// the root is what [`walk`](crate::walk()) said.
    pub resumed: bool,
}

/// framehop with the modules of one moment; filled when first needed.
#[derive(Default)]
pub(crate) struct CollectorUnwinder {
    unwinder: Option<UnwinderNative<Bytes, MayAllocateDuringUnwind>>,
    cache: Option<CacheNative<MayAllocateDuringUnwind>>,
}

impl fmt::Debug for CollectorUnwinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorUnwinder")
            .field("is_filled", &self.unwinder.is_some())
            .finish()
    }
}

impl Image {
    /// Unwinds a copied stack into `out` (cleared first): the program counter, then return
    /// addresses, as [`walk`](crate::walk()) gives them.
    ///
    /// `stack_copy` starts at `regs.sp`, and `fp_walk` is what the walk wrote. Code that the tables
    /// describe is stepped through by them; where they can't say, framehop evaluates the call frame
    /// information, or follows the frame pointer through code without any. If the trail leaves the
    /// copy at a frame that `fp_walk` came by too, its rest is appended.
    pub fn unwind(
        &mut self,
        regs: &Regs,
        stack_copy: &[u8],
        fp_walk: &[u64],
        out: &mut Vec<u64>,
    ) -> Unwound {
        out.clear();
        out.push(regs.pc);
        let stack = CopiedStack {
            low: regs.sp,
            bytes: stack_copy,
        };
        let end = self.unwind_copy(regs, &stack, out);
        let resumed = end != Step::Root && resume(out, fp_walk);
        Unwound {
            reached_root: end == Step::Root,
            truncated: end == Step::LeftBounds && !resumed,
            resumed,
        }
    }

    fn unwind_copy(&mut self, regs: &Regs, stack: &CopiedStack<'_>, out: &mut Vec<u64>) -> Step {
        let mut cursor = Cursor::new(regs);
        let mut stepper = Stepper::new(&self.map);
        while out.len() < MAX_FRAMES {
            let mut step = stepper.step(&mut cursor, stack);
            if step == Step::Unresolved {
                step = self.unwinder.step(&self.modules, &mut cursor, stack);
                if step == Step::Caller && !self.map.is_code(cursor.lookup_pc()) {
                    return Step::Broken;
                }
            }
            match step {
                Step::Caller => out.push(cursor.address()),
                end => return end,
            }
        }
        Step::LeftBounds
    }
}

impl CollectorUnwinder {
    /// One step by framehop.
    pub(crate) fn step(
        &mut self,
        modules: &[Module],
        cursor: &mut Cursor,
        stack: &CopiedStack<'_>,
    ) -> Step {
        let unwinder = self
            .unwinder
            .get_or_insert_with(|| framehop_unwinder(modules));
        let cache = self.cache.get_or_insert_with(CacheNative::new);
        let Some(address) = frame_address(cursor) else {
            return Step::Broken;
        };
        let mut regs = registers(cursor);
        let mut read = |avma| stack.read(avma).map_err(|_| ());
        match unwinder.unwind_frame(address, &mut regs, cache, &mut read) {
            Ok(Some(pc)) if regs.sp() > cursor.sp || cursor.interrupted => {
                let (sp, fp) = (regs.sp(), frame_pointer(&regs));
                *cursor = Cursor {
                    pc,
                    sp,
                    fp,
                    lr: 0,
                    interrupted: false,
                };
                Step::Caller
            }
            Ok(Some(_)) => Step::Broken,
            Ok(None) => Step::Root,
            Err(framehop::Error::CouldNotReadStack(avma)) if stack.read(avma).is_err() => {
                stack.read(avma).map_or_else(Step::from, |_| Step::Broken)
            }
            Err(_) => Step::Broken,
        }
    }
}

fn frame_address(cursor: &Cursor) -> Option<FrameAddress> {
    match cursor.interrupted {
        true => Some(FrameAddress::from_instruction_pointer(cursor.pc)),
        false => FrameAddress::from_return_address(cursor.pc),
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(cursor: &Cursor) -> UnwindRegsNative {
    UnwindRegsNative::new(cursor.pc, cursor.sp, cursor.fp)
}

#[cfg(target_arch = "x86_64")]
fn frame_pointer(regs: &UnwindRegsNative) -> u64 {
    regs.bp()
}

#[cfg(target_arch = "aarch64")]
fn registers(cursor: &Cursor) -> UnwindRegsNative {
    let mask = framehop::aarch64::PtrAuthMask(0x0000_FFFF_FFFF_FFFF);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, cursor.lr, cursor.sp, cursor.fp)
}

#[cfg(target_arch = "aarch64")]
fn frame_pointer(regs: &UnwindRegsNative) -> u64 {
    regs.fp()
}

fn framehop_unwinder(modules: &[Module]) -> UnwinderNative<Bytes, MayAllocateDuringUnwind> {
    let mut unwinder = UnwinderNative::new();
    for module in modules {
        let Some(sections) = module.unwind_sections() else {
            continue;
        };
        // Any base will do, as long as code is less than 4 GiB above it.
        let base_svma = sections.code_svma.start;
        let info = ExplicitModuleSectionInfo {
            base_svma,
            eh_frame_svma: Some(sections.eh_frame_svma),
            eh_frame: Some(sections.eh_frame),
            eh_frame_hdr_svma: sections.eh_frame_hdr_svma,
            eh_frame_hdr: sections.eh_frame_hdr,
            ..ExplicitModuleSectionInfo::default()
        };
        unwinder.add_module(framehop::Module::new(
            module.path.to_string_lossy().into_owned(),
            module.range.clone(),
            module.bias.wrapping_add(base_svma),
            info,
        ));
    }
    unwinder
}

/// Appends what `walk` has beyond the last address of `out`. In a recursion that address occurs
/// several times; the place with the longest common run before it is taken.
fn resume(out: &mut Vec<u64>, walk: &[u64]) -> bool {
    let Some(last) = out.last() else { return false };
    let common = |index: usize| {
        let before = walk[..=index].iter().rev().zip(out.iter().rev());
        before.take_while(|(a, b)| a == b).count()
    };
    let places = walk
        .iter()
        .enumerate()
        .filter(|(_, address)| *address == last);
    let best = places
        .map(|(index, _)| (common(index), index))
        .max_by_key(|best| best.0);
    match best {
        Some((_, index)) if index + 1 < walk.len() => {
            out.extend_from_slice(&walk[index + 1..]);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(copy: &[u64], walk: &[u64]) -> Vec<u64> {
        let mut out = copy.to_vec();
        resume(&mut out, walk);
        out
    }

    #[test]
    fn a_cut_copy_goes_on_where_the_walk_came_by() {
        // The walk lost frame 2 (its caller has no frame pointer), the copy ends at 4.
        assert_eq!(resumed(&[1, 2, 3, 4], &[1, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(resumed(&[1], &[1, 3, 4]), [1, 3, 4]);
        assert_eq!(resumed(&[1, 2], &[1, 3, 4]), [1, 2]);
    }

    #[test]
    fn a_recursion_is_matched_by_its_longest_run() {
        assert_eq!(
            resumed(&[1, 7, 7, 7], &[1, 7, 7, 7, 7, 9]),
            [1, 7, 7, 7, 7, 9]
        );
    }

    /// The registers here and the stack from there on, without a signal.
    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn capture(map: &crate::CodeMap) -> (Regs, Vec<u8>) {
        let (pc, sp, fp): (u64, u64, u64);
        // SAFETY: reads three registers.
        unsafe {
            std::arch::asm!(
                "lea {}, [rip]",
                "mov {}, rsp",
                "mov {}, rbp",
                out(reg) pc,
                out(reg) sp,
                out(reg) fp,
            );
        }
        let regs = Regs { pc, sp, fp, lr: 0 };
        let mut bytes = vec![0; 64 << 10];
        let bounds = map.stack_bounds(sp).expect("own stack");
        // SAFETY: the thread's own stack, from a stack pointer that this function's frame keeps in
        // place.
        let copied = unsafe { crate::copy_stack(&regs, bounds, &mut bytes) };
        bytes.truncate(copied);
        (regs, bytes)
    }

    #[cfg(target_arch = "x86_64")]
    thread_local! {
        static MAP: std::cell::RefCell<crate::CodeMap> = std::cell::RefCell::default();
        static CAPTURES: std::cell::RefCell<Vec<(Regs, Vec<u8>)>> = std::cell::RefCell::default();
    }

    #[cfg(target_arch = "x86_64")]
    extern "C" fn compare(a: *const std::ffi::c_void, b: *const std::ffi::c_void) -> i32 {
        let capture = MAP.with_borrow(capture);
        CAPTURES.with_borrow_mut(|captures| captures.push(capture));
        // SAFETY: qsort passes pointers to elements of the array of u32 below.
        unsafe { (*a.cast::<u32>()).cmp(&*b.cast::<u32>()) as i32 }
    }

    /// Second opinion: framehop alone finds the same frames, through Rust and through libc's sort
    /// and thread start.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_tables_step_like_framehop() {
        let mut image = Image::load().expect("own maps");
        MAP.set(image.code_map());
        let mut numbers: Vec<u32> = (0..40).map(|number| number * 7 % 40).collect();
        // SAFETY: the array has this many elements of this size, and the callback compares them.
        unsafe { libc::qsort(numbers.as_mut_ptr().cast(), numbers.len(), 4, Some(compare)) };
        let captures = CAPTURES.take();
        assert!(captures.len() > 40 && numbers.is_sorted());
        for (regs, bytes) in &captures {
            let mut tables = Vec::new();
            let unwound = image.unwind(regs, bytes, &[], &mut tables);
            assert!(unwound.reached_root, "{tables:x?}");
            let stack = CopiedStack {
                low: regs.sp,
                bytes,
            };
            let (mut cursor, mut framehop) = (Cursor::new(regs), vec![regs.pc]);
            let end = loop {
                match image.unwinder.step(&image.modules, &mut cursor, &stack) {
                    Step::Caller => framehop.push(cursor.address()),
                    end => break end,
                }
            };
            assert_eq!((end, &framehop), (Step::Root, &tables));
        }
    }
}
