//! Walks over made-up stacks: chains that are cut, cyclic or nonsense must end, inside the bounds,
//! without a fault. The made-up stack lies between two inaccessible pages, so that a step outside
//! would be seen.

use perfwright_stack::{CodeMap, FpState, Image, Regs, StackBounds, WalkEnd, copy_stack, walk};
use std::ops::Range;

const PAGE: usize = 4096;

struct FakeStack {
    start: *mut u64,
}

impl FakeStack {
    fn new() -> FakeStack {
        // SAFETY: a fresh mapping of three pages, of which the middle one is made accessible.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let all = libc::mmap(
                std::ptr::null_mut(),
                3 * PAGE,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            );
            assert_ne!(all, libc::MAP_FAILED);
            let middle = all.cast::<u8>().add(PAGE);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(middle.cast(), PAGE, access), 0);
            FakeStack {
                start: middle.cast(),
            }
        }
    }

    /// The AVMA of a word of the stack, which has 512.
    fn avma(&self, word: usize) -> u64 {
        self.start as u64 + word as u64 * 8
    }

    fn set(&self, word: usize, value: u64) {
        assert!(word < PAGE / 8);
        // SAFETY: inside the accessible page; nobody holds a reference.
        unsafe { self.start.add(word).write_volatile(value) };
    }

    /// A frame record at `word`.
    fn record(&self, word: usize, caller_fp: u64, return_address: u64) {
        self.set(word, caller_fp);
        self.set(word + 1, return_address);
    }
}

impl Drop for FakeStack {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped.
        unsafe { libc::munmap(self.start.cast::<u8>().sub(PAGE).cast(), 3 * PAGE) };
    }
}

#[inline(never)]
fn with_a_frame(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

/// An address inside a function whose frame pointer is set up there.
fn framed_code(map: &CodeMap) -> u64 {
    let function = with_a_frame as *const () as u64;
    let framed = |pc: &u64| map.frame_pointer_at(*pc) == FpState::Frame;
    (function..function + 64)
        .find(framed)
        .expect("a framed function")
        + 1
}

fn walked(map: &CodeMap, regs: Regs) -> (Vec<u64>, WalkEnd) {
    let mut out = [0; 64];
    // SAFETY: the stack isn't this thread's, so its pages are probed before they are read.
    let walk = unsafe { walk(&regs, map, &mut out) };
    assert!(walk.probed);
    (out[..walk.len].to_vec(), walk.end)
}

fn regs(pc: u64, sp: u64, fp: u64) -> Regs {
    Regs { pc, sp, fp, lr: 0 }
}

#[test]
fn a_straight_chain_ends_at_the_root() {
    let map = Image::load().expect("own maps").code_map();
    let (stack, pc) = (FakeStack::new(), framed_code(&map));
    stack.record(10, stack.avma(20), pc + 1);
    stack.record(20, stack.avma(30), pc + 2);
    stack.record(30, 0, 0);
    let start = regs(pc, stack.avma(4), stack.avma(10));
    assert_eq!(
        walked(&map, start),
        (vec![pc, pc + 1, pc + 2], WalkEnd::Root)
    );

    let mut two = [0; 2];
    // SAFETY: as in `walked`.
    let full = unsafe { walk(&start, &map, &mut two) };
    assert_eq!((full.len, full.end, two), (2, WalkEnd::Full, [pc, pc + 1]));
    // SAFETY: as in `walked`.
    assert_eq!(unsafe { walk(&start, &map, &mut []) }.len, 0);
}

#[test]
fn nonsense_chains_end_where_the_nonsense_begins() {
    let map = Image::load().expect("own maps").code_map();
    let (stack, pc) = (FakeStack::new(), framed_code(&map));
    let second_frame_at = |fp: u64| {
        stack.record(10, fp, pc);
        walked(&map, regs(pc, stack.avma(4), stack.avma(10)))
    };
    let two = vec![pc, pc];
    assert_eq!(
        second_frame_at(stack.avma(10)),
        (two.clone(), WalkEnd::Broken),
        "cycle"
    );
    assert_eq!(
        second_frame_at(stack.avma(6)),
        (two.clone(), WalkEnd::Broken),
        "downwards"
    );
    assert_eq!(
        second_frame_at(stack.avma(20) + 4),
        (two.clone(), WalkEnd::Broken),
        "misaligned"
    );
    assert_eq!(
        second_frame_at(8),
        (two.clone(), WalkEnd::Broken),
        "near zero"
    );
    for beyond in [
        stack.avma(511),
        stack.avma(512),
        stack.avma(700),
        u64::MAX - 7,
    ] {
        assert_eq!(
            second_frame_at(beyond),
            (two.clone(), WalkEnd::LeftBounds),
            "{beyond:x}"
        );
    }
    // Not even the first frame, nor a stack.
    for fp in [0, 1, u64::MAX] {
        assert_eq!(
            walked(&map, regs(pc, stack.avma(4), fp)),
            (vec![pc], WalkEnd::Broken)
        );
    }
    let unmapped = regs(pc, stack.avma(512), stack.avma(520));
    assert_eq!(walked(&map, unmapped), (vec![pc], WalkEnd::LeftBounds));
    let nowhere = Regs {
        sp: u64::MAX - 7,
        fp: u64::MAX - 7,
        ..unmapped
    };
    let mut out = [0; 4];
    // SAFETY: as in `walked`; there is no stack at all.
    let walk = unsafe { walk(&nowhere, &map, &mut out) };
    assert_eq!((walk.len, walk.end), (1, WalkEnd::NoStack));
    assert_eq!(out[0], pc);
}

/// Before `push rbp`, between the push and the move, and at `ret`, the caller is on top of the
/// stack and the frame pointer is the caller's: no frame may be lost.
#[cfg(target_arch = "x86_64")]
#[test]
fn prologues_and_epilogues_lose_no_frame() {
    let map = Image::load().expect("own maps").code_map();
    let (stack, caller) = (FakeStack::new(), framed_code(&map));
    let function = with_a_frame as *const () as u64;
    // SAFETY: the first bytes of our own function.
    let code = unsafe { std::slice::from_raw_parts(function as *const u8, 64) };
    assert_eq!(
        code[..4],
        [0x55, 0x48, 0x89, 0xE5],
        "push rbp; mov rbp, rsp"
    );
    let ret = code
        .windows(2)
        .position(|pair| pair == [0x5D, 0xC3])
        .expect("pop rbp; ret")
        + 1;

    stack.record(20, stack.avma(30), caller + 2); // the caller's frame
    stack.record(30, 0, 0);
    let expected = |pc| (vec![pc, caller, caller + 2], WalkEnd::Root);
    stack.set(10, caller);
    for pc in [function, function + ret as u64] {
        assert_eq!(map.frame_pointer_at(pc), FpState::NoFrame);
        assert_eq!(
            walked(&map, regs(pc, stack.avma(10), stack.avma(20))),
            expected(pc)
        );
    }
    stack.set(9, stack.avma(20));
    let pushed = function + 1;
    assert_eq!(
        walked(&map, regs(pushed, stack.avma(9), stack.avma(20))),
        expected(pushed)
    );
    let moved = function + 4;
    assert_eq!(map.frame_pointer_at(moved), FpState::Frame);
    assert_eq!(
        walked(&map, regs(moved, stack.avma(9), stack.avma(9))),
        expected(moved)
    );
}

/// Code that nothing is known about: the frame pointer is followed on trust, but only to code, and
/// a copy is asked for.
#[test]
fn unknown_code_is_walked_on_trust() {
    let map = Image::load().expect("own maps").code_map();
    let (stack, caller) = (FakeStack::new(), framed_code(&map));
    let generated = stack.avma(0); // any address outside the modules
    assert_eq!(map.frame_pointer_at(generated), FpState::UnknownCode);
    stack.record(10, stack.avma(20), caller);
    stack.record(20, 0, 0);
    let mut out = [0; 8];
    // SAFETY: as in `walked`.
    let trusted = unsafe {
        walk(
            &regs(generated, stack.avma(4), stack.avma(10)),
            &map,
            &mut out,
        )
    };
    assert_eq!(
        (trusted.len, trusted.exact, trusted.end),
        (2, 1, WalkEnd::Root)
    );
    assert!(trusted.needs_copy);
    assert_eq!(out[..2], [generated, caller]);

    stack.record(10, stack.avma(20), 0x1234);
    // SAFETY: as in `walked`.
    let broken = unsafe {
        walk(
            &regs(generated, stack.avma(4), stack.avma(10)),
            &map,
            &mut out,
        )
    };
    assert_eq!((broken.len, broken.end), (1, WalkEnd::Broken));
}

#[test]
fn a_copy_ends_where_the_memory_ends() {
    let map = Image::load().expect("own maps").code_map();
    let stack = FakeStack::new();
    for word in 0..512 {
        stack.set(word, word as u64);
    }
    let copy = |sp: u64, bytes: usize| {
        let mut out = vec![0xAA; bytes];
        let bounds = map.stack_bounds(sp).expect("a guess at least");
        assert!(bounds.probe);
        // SAFETY: probed bounds.
        let copied = unsafe { copy_stack(&regs(0, sp, 0), bounds, &mut out) };
        out.truncate(copied);
        out
    };
    let words = |from: u64, to: u64| (from..to).flat_map(u64::to_ne_bytes).collect::<Vec<u8>>();
    assert_eq!(copy(stack.avma(500), 64), words(500, 508));
    assert_eq!(copy(stack.avma(500), 4096), words(500, 512));
    assert_eq!(copy(stack.avma(0), 4099), words(0, 512));
    assert_eq!(copy(stack.avma(100), 7), []);
    assert_eq!(copy(stack.avma(512), 64), []);
    assert_eq!(
        copy(stack.avma(100) + 1, 64),
        [],
        "a misaligned stack pointer"
    );
    let wrong = StackBounds {
        low: stack.avma(0),
        high: stack.avma(10),
        probe: true,
    };
    // SAFETY: probed bounds, which don't hold the stack pointer.
    let copied = unsafe { copy_stack(&regs(0, stack.avma(10), 0), wrong, &mut [0; 64]) };
    assert_eq!(copied, 0);
}

/// splitmix64 (Steele, Lea, Flood 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn random_stacks_neither_fault_nor_hang() {
    let mut image = Image::load().expect("own maps");
    let map = image.code_map();
    let stack = FakeStack::new();
    let code: Vec<_> = image
        .modules()
        .iter()
        .map(|module| module.range.clone())
        .collect();
    let main = image
        .modules()
        .iter()
        .find(|module| module.is_main)
        .expect("an executable");
    let main = main.range.clone();
    let mut state = 2026;
    let inside = |range: &Range<u64>, random: u64| range.start + random % (range.end - range.start);
    let value = |state: &mut u64| match random(state) % 8 {
        0 => random(state),
        1 => random(state) % 64,
        2..5 => stack.avma((448 + random(state) % 70) as usize) + (random(state) % 16 / 15),
        5 => inside(&code[random(state) as usize % code.len()], random(state)),
        _ => inside(&main, random(state)),
    };
    let mut frames = 0;
    for _ in 0..5_000 {
        for word in 0..64 {
            stack.set(448 + word, value(&mut state));
        }
        let sp = stack.avma((448 + random(&mut state) % 66) as usize);
        let regs = regs(inside(&main, random(&mut state)), sp, value(&mut state));
        let mut out = [0; 64];
        // SAFETY: not this thread's stack, so probed.
        let walk = unsafe { walk(&regs, &map, &mut out) };
        assert!(walk.exact <= walk.len && walk.len <= out.len() && out[0] == regs.pc);
        frames += walk.len - 1;
        let mut copy = [0; 512];
        let bounds = map.stack_bounds(sp).expect("a guess at least");
        // SAFETY: as above.
        let copied = unsafe { copy_stack(&regs, bounds, &mut copy) };
        let mut unwound = Vec::new();
        image.unwind(&regs, &copy[..copied], &out[..walk.len], &mut unwound);
        assert_eq!(unwound[0], regs.pc);
    }
    assert!(
        frames > 500,
        "the made-up stacks hardly had frames: {frames}"
    );
}
