//! The callers of libc must not be lost: malloc, free, memcpy, and callbacks that qsort makes.

use crate::handler::{Armed, Capture, ThreadTimer, arm, capture_here};
use crate::symbols::known_frames;
use perfwright_stack::{Image, WalkEnd};
use std::ffi::c_void;
use std::hint::black_box;

/// Interrupts `work` at 300 moments. `work` starts the capturing and runs until the signal has come.
fn sample(image: &Image, work: impl Fn(&Armed<'_>)) -> Vec<Capture> {
    let map = image.code_map();
    let _timer = ThreadTimer::every_nanos(211_000);
    let one = |_| {
        let armed = arm(&map);
        work(&armed);
        armed.capture()
    };
    (0..300).map(one).collect()
}

/// Every capture must show `chain` without a gap, and reach the root of the thread, once the
/// collector has repaired what the handler couldn't. Prints how often that was.
fn check(image: &mut Image, captures: &[Capture], chain: &[&str]) {
    let (mut repaired, mut out) = (0, Vec::new());
    let mut elsewhere = 0;
    for capture in captures {
        let mut reached_root = capture.walk.end == WalkEnd::Root;
        out.clone_from(&capture.addresses);
        if capture.walk.needs_copy {
            repaired += 1;
            let unwound = image.unwind(&capture.regs, &capture.stack, &capture.addresses, &mut out);
            reached_root = unwound.reached_root || (unwound.resumed && reached_root);
        }
        let frames = known_frames(image, &out, chain);
        assert_eq!(frames, chain, "{:x?} {:x?}", capture.walk, out);
        assert!(reached_root, "{:x?} {out:x?}", capture.walk);
        let leaf = image.module_at(capture.regs.pc);
        elsewhere += u32::from(leaf.is_none_or(|module| !module.is_main));
    }
    println!(
        "{}: {} captures, {elsewhere} in libraries, {repaired} repaired from the copy",
        chain[0],
        captures.len()
    );
    assert!(elsewhere > 0, "no capture hit the library");
}

#[inline(never)]
fn calls_malloc_and_free(armed: &Armed<'_>) {
    let mut size = 1;
    armed.start();
    while !armed.has_fired() {
        // SAFETY: freed once, whatever malloc gave.
        unsafe {
            let blocks = [size, size * 7, size * 113].map(|bytes| libc::malloc(bytes));
            for block in black_box(blocks) {
                libc::free(block);
            }
        }
        size = size % 2000 + 13;
    }
}

#[inline(never)]
fn calls_memcpy(armed: &Armed<'_>) {
    let from = vec![1_u8; 100_000];
    let mut to = vec![0_u8; 100_000];
    armed.start();
    while !armed.has_fired() {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    }
}

#[inline(never)]
fn outer_of_malloc(armed: &Armed<'_>) {
    calls_malloc_and_free(armed);
    black_box(());
}

#[inline(never)]
fn outer_of_memcpy(armed: &Armed<'_>) {
    calls_memcpy(armed);
    black_box(());
}

#[test]
fn malloc_and_free_keep_their_caller() {
    let mut image = Image::load().expect("own maps");
    let captures = sample(&image, outer_of_malloc);
    check(
        &mut image,
        &captures,
        &["calls_malloc_and_free", "outer_of_malloc"],
    );
}

#[test]
fn memcpy_keeps_its_caller() {
    let mut image = Image::load().expect("own maps");
    let captures = sample(&image, outer_of_memcpy);
    check(&mut image, &captures, &["calls_memcpy", "outer_of_memcpy"]);
}

extern "C" fn compares_slowly(a: *const c_void, b: *const c_void) -> i32 {
    // SAFETY: qsort passes pointers to elements of the array of u64 below.
    let (a, b) = unsafe { (*a.cast::<u64>(), *b.cast::<u64>()) };
    (0..black_box(50_u64)).sum::<u64>() as i32 / 100_000 + a.cmp(&b) as i32
}

#[inline(never)]
fn calls_qsort(armed: &Armed<'_>) {
    let mut numbers: Vec<u64> = (0..300)
        .map(|i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect();
    armed.start();
    while !armed.has_fired() {
        // SAFETY: the array has this many elements of this size, and the callback compares them.
        unsafe {
            libc::qsort(
                numbers.as_mut_ptr().cast(),
                numbers.len(),
                8,
                Some(compares_slowly),
            );
        }
        numbers.reverse();
        numbers.swap(7, 200);
    }
}

#[test]
fn a_callback_from_qsort_keeps_the_caller_of_qsort() {
    let mut image = Image::load().expect("own maps");
    let mut captures = sample(&image, calls_qsort);
    let is_callback = |capture: &Capture| {
        !known_frames(&image, &capture.addresses, &["compares_slowly"]).is_empty()
    };
    let (callbacks, others): (Vec<_>, Vec<_>) = captures.drain(..).partition(is_callback);
    assert!(
        callbacks.len() > 30,
        "only {} of 300 in the callback",
        callbacks.len()
    );
    for capture in &callbacks {
        let mut out = Vec::new();
        image.unwind(&capture.regs, &capture.stack, &capture.addresses, &mut out);
        let chain = ["compares_slowly", "calls_qsort"];
        assert_eq!(known_frames(&image, &out, &chain), chain);
        assert_eq!(known_frames(&image, &capture.addresses, &chain), chain);
    }
    check(&mut image, &others, &["calls_qsort"]);
}

#[inline(never)]
fn depth_three(image: &Image) -> Capture {
    black_box(capture_here(image))
}
#[inline(never)]
fn depth_two(image: &Image) -> Capture {
    black_box(depth_three(image))
}
#[inline(never)]
fn depth_one(image: &Image) -> Capture {
    black_box(depth_two(image))
}

const DEPTHS: [&str; 4] = ["capture_here", "depth_three", "depth_two", "depth_one"];

#[test]
fn a_chain_is_told_innermost_first_down_to_the_root() {
    let image = Image::load().expect("own maps");
    let capture = depth_one(&image);
    assert_eq!(known_frames(&image, &capture.addresses, &DEPTHS), DEPTHS);
    assert_eq!(capture.addresses[0], capture.regs.pc);
    assert_eq!(capture.walk.end, WalkEnd::Root);
    assert_eq!(capture.walk.exact, capture.walk.len);
    assert!(!capture.walk.needs_copy);
    assert!(image.is_root(capture.addresses[capture.walk.len - 1]));
    assert!(!image.is_root(capture.addresses[2]));
}

#[test]
fn the_copy_alone_gives_the_same_chain_as_the_walk() {
    let mut image = Image::load().expect("own maps");
    let capture = depth_one(&image);
    let mut out = Vec::new();
    let unwound = image.unwind(&capture.regs, &capture.stack, &[], &mut out);
    assert!(unwound.reached_root && !unwound.truncated && !unwound.resumed);
    assert_eq!(out, capture.addresses);
}

#[test]
fn a_short_copy_is_continued_by_the_walk() {
    let mut image = Image::load().expect("own maps");
    let capture = depth_one(&image);
    let mut out = Vec::new();
    let short = &capture.stack[..512];
    let alone = image.unwind(&capture.regs, short, &[], &mut out);
    assert!(alone.truncated && !alone.reached_root);
    assert!(out.len() < capture.addresses.len());
    assert_eq!(out, capture.addresses[..out.len()]);
    let both = image.unwind(&capture.regs, short, &capture.addresses, &mut out);
    assert!(both.resumed && !both.truncated);
    assert_eq!(out, capture.addresses);
}

#[test]
fn a_thread_newer_than_the_map_is_walked_all_the_same() {
    let image = Image::load().expect("own maps");
    let walk_in_thread = |image: &Image| {
        std::thread::scope(|scope| scope.spawn(|| depth_one(image)).join().expect("no panic"))
    };
    let capture = walk_in_thread(&image);
    assert_eq!(known_frames(&image, &capture.addresses, &DEPTHS), DEPTHS);
    assert_eq!(capture.walk.end, WalkEnd::Root);
}
