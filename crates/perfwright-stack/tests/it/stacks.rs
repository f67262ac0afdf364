//! Where stacks are, and walks across signal frames.

use crate::handler::{Capture, arm, capture_here, install, raise};
use crate::symbols::known_frames;
use perfwright_stack::{Image, Regs, WalkEnd, thread_pointer, walk};
use std::ffi::c_void;
use std::hint::black_box;
use std::ops::Range;

fn here() -> u64 {
    let local = 0_u64;
    std::ptr::from_ref(black_box(&local)) as u64 & !7
}

#[test]
fn a_known_thread_may_read_up_to_its_control_block() {
    let map = Image::load().expect("own maps").code_map();
    let sp = here();
    let bounds = map.stack_bounds(sp).expect("own stack");
    assert_eq!(
        (bounds.low, bounds.high, bounds.probe),
        (sp, thread_pointer() & !7, false)
    );
}

#[test]
fn a_new_thread_is_probed_until_the_map_knows_it() {
    let mut image = Image::load().expect("own maps");
    // Many, so that at least one stack can't be a recycled one that the map has seen.
    let (report, reports) = std::sync::mpsc::channel();
    let (finish, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                report.send((here(), thread_pointer())).expect("a listener");
                let _ = wait.lock().expect("not poisoned").recv();
            });
        }
        let threads: Vec<_> = reports.iter().take(8).collect();
        let probed = |image: &Image| {
            let bounds = threads
                .iter()
                .map(|(sp, tp)| image.code_map().stack_bounds_of(*sp, *tp));
            bounds
                .filter(|bounds| bounds.is_none_or(|bounds| bounds.probe))
                .count()
        };
        let before = probed(&image);
        let changed = image.refresh().expect("own maps");
        assert!(
            before > 0 && changed,
            "{before} of 8 unknown, changed: {changed}"
        );
        assert_eq!(probed(&image), 0);
        drop(finish);
    });
}

fn main_stack() -> Range<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own maps");
    let line = maps
        .lines()
        .find(|line| line.ends_with("[stack]"))
        .expect("a main stack");
    let (start, end) = line
        .split(' ')
        .next()
        .and_then(|range| range.split_once('-'))
        .expect("a range");
    let hex = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
    hex(start)..hex(end)
}

#[test]
fn the_main_stack_grows_downwards() {
    let map = Image::load().expect("own maps").code_map();
    let stack = main_stack();
    let known = map.stack_bounds(stack.end - 4096).expect("the main stack");
    assert_eq!((known.high, known.probe), (stack.end, false));
    let grown = map
        .stack_bounds(stack.start - (256 << 10))
        .expect("the main stack");
    assert_eq!((grown.high, grown.probe), (stack.end, true));
}

#[inline(never)]
fn interrupted_by_a_handler() {
    // SAFETY: a plain system call.
    unsafe { libc::raise(libc::SIGUSR2) };
    black_box(());
}

extern "C" fn handler_that_is_sampled(_: i32, _: *mut libc::siginfo_t, _: *mut c_void) {
    raise();
    black_box(());
}

fn sample_inside_a_handler(image: &Image, flags: i32) -> Capture {
    install(libc::SIGUSR2, handler_that_is_sampled as *const (), flags);
    let map = image.code_map();
    let armed = arm(&map);
    armed.start();
    interrupted_by_a_handler();
    armed.capture()
}

/// The one that std gives a thread is too small for two signals.
fn use_alternate_stack(memory: &mut [u8]) {
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: memory.len(),
    };
    // SAFETY: the caller keeps the memory, and disables the stack before it goes.
    let result = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

fn disable_alternate_stack() {
    let none = libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: no handler is running on it.
    let result = unsafe { libc::sigaltstack(&none, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn a_walk_goes_through_another_signal_handler() {
    let image = Image::load().expect("own maps");
    let chain = [
        "handler_that_is_sampled",
        "interrupted_by_a_handler",
        "sample_inside_a_handler",
    ];
    let capture = sample_inside_a_handler(&image, 0);
    assert_eq!(known_frames(&image, &capture.addresses, &chain), chain);
    assert_eq!(
        (capture.walk.end, capture.walk.needs_copy),
        (WalkEnd::Root, false)
    );

    // On an alternate stack the walk ends with the handler, in bounds.
    let mut memory = vec![0; 256 << 10];
    use_alternate_stack(&mut memory);
    let capture = sample_inside_a_handler(&image, libc::SA_ONSTACK);
    disable_alternate_stack();
    assert_eq!(known_frames(&image, &capture.addresses, &chain), chain[..1]);
    assert_eq!(capture.walk.end, WalkEnd::LeftBounds);
    assert!(capture.walk.probed);
}

#[test]
fn the_copy_starts_at_the_stack_pointer() {
    let image = Image::load().expect("own maps");
    let capture = capture_here(&image);
    let bounds = capture.bounds.expect("own stack");
    assert_eq!(bounds.low, capture.regs.sp);
    let all = (bounds.high - bounds.low) as usize;
    assert_eq!(capture.stack.len(), all.min(32 << 10));
    // Every return address of the walk is in it (as far as it goes).
    let words: Vec<u64> = capture
        .stack
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    for address in &capture.addresses[1..6] {
        assert!(words.contains(address), "{address:x}");
    }
}

#[inline(never)]
fn walks_from_here(image: &Image) -> (Regs, WalkEnd, Vec<u64>) {
    let regs = Regs::current();
    let mut out = [0; 128];
    let map = image.code_map();
    // SAFETY: this function has not returned.
    let walk = unsafe { walk(&regs, &map, &mut out) };
    (regs, walk.end, out[..walk.len].to_vec())
}

#[inline(never)]
fn calls_the_walk(image: &Image) -> (Regs, WalkEnd, Vec<u64>) {
    black_box(walks_from_here(image))
}

#[test]
fn a_walk_may_start_without_a_signal() {
    let image = Image::load().expect("own maps");
    let (regs, end, stack) = calls_the_walk(&image);
    assert_eq!(end, WalkEnd::Root);
    assert_eq!(stack[0], regs.pc);
    let chain = [
        "walks_from_here",
        "calls_the_walk",
        "a_walk_may_start_without",
    ];
    assert_eq!(known_frames(&image, &stack, &chain), chain);
}
