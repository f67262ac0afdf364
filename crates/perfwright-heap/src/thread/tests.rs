//! The hot path without an allocator: nothing else in this test program calls it.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;

/// The counts are the process's: tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const BLOCK: *mut u8 = ptr::without_provenance_mut(0x7000_1000);
const THREADS_IN_TEST: u64 = if cfg!(miri) { 10 } else { 1_000 };

fn difference(after: Totals, before: Totals) -> Totals {
    Totals {
        allocations: after.allocations - before.allocations,
        allocated_bytes: after.allocated_bytes - before.allocated_bytes,
        frees: after.frees - before.frees,
        freed_bytes: after.freed_bytes - before.freed_bytes,
    }
}

/// As the allocator does it.
fn allocated(block: *mut u8, size: usize) {
    if allocating(size) {
        allocated_slowly(block, size);
    }
}

fn allocate_and_free(bytes: usize) {
    allocated(BLOCK, bytes);
    if freed(BLOCK, bytes) {
        freed_slowly(BLOCK);
    }
}

/// How many threads are in the list.
fn listed() -> usize {
    let mut count = 0;
    THREADS.lock().for_each(|_| count += 1);
    count
}

#[test]
fn running_and_ended_threads_are_summed() {
    let _turn = turn();
    let before = totals();
    let listed_before = listed();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (did, done) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        allocate_and_free(7);
        did.send(()).unwrap();
        let _ = wait.recv();
    });
    done.recv().unwrap();
    for _ in 0..THREADS_IN_TEST {
        std::thread::spawn(|| {
            allocate_and_free(100);
            reallocated(10, BLOCK, 30, None);
            reallocated(10, ptr::null_mut(), 30, None);
            allocated(ptr::null_mut(), 1 << 40);
            assert_eq!(own_counts().reallocations, 1);
        })
        .join()
        .unwrap();
    }
    let expected = Totals {
        allocations: 2 * THREADS_IN_TEST + 1,
        allocated_bytes: 130 * THREADS_IN_TEST + 7,
        frees: 2 * THREADS_IN_TEST + 1,
        freed_bytes: 110 * THREADS_IN_TEST + 7,
    };
    assert_eq!(difference(totals(), before), expected);
    if cfg!(target_os = "linux") {
        assert_eq!(listed(), listed_before + 1, "the one that waits");
    }
    drop(go_on);
    waiting.join().unwrap();
    assert_eq!(difference(totals(), before), expected);
    assert_eq!(listed(), listed_before);
}

struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        allocate_and_free(11);
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_count() {
    let _turn = turn();
    let before = totals();
    std::thread::spawn(|| LATE.with(|late| *late.borrow_mut() = Some(Late)))
        .join()
        .unwrap();
    let counted = difference(totals(), before);
    assert_eq!((counted.allocations, counted.allocated_bytes), (1, 11));
    assert_eq!((counted.frees, counted.freed_bytes), (1, 11));
}

#[test]
fn a_thread_that_counts_after_its_end_is_summed_at_once() {
    let _turn = turn();
    let before = totals();
    std::thread::spawn(move || {
        allocate_and_free(5);
        STATE.with(ThreadState::unlist);
        assert_eq!(difference(totals(), before).allocated_bytes, 5);
        allocate_and_free(6);
        assert_eq!(difference(totals(), before).allocated_bytes, 11);
        STATE.with(ThreadState::unlist);
    })
    .join()
    .unwrap();
    let counted = difference(totals(), before);
    assert_eq!((counted.allocations, counted.allocated_bytes), (2, 11));
    assert_eq!((counted.frees, counted.freed_bytes), (2, 11));
}

#[test]
fn the_list_holds_what_was_not_removed() {
    let states: Vec<ThreadState> = (0..5).map(|_| ThreadState::new()).collect();
    let mut threads = Threads {
        first: ptr::null_mut(),
        listed: 0,
        ended: Totals::default(),
    };
    for (i, state) in states.iter().enumerate() {
        bump(&state.allocated_bytes, 1 << i);
        threads.insert(state);
    }
    let mut left = 0b11111;
    // The middle, the last, the first, one alone.
    for removed in [2, 0, 4, 1, 3] {
        threads.remove(&states[removed]);
        left &= !(1 << removed);
        let mut sum = 0;
        threads.for_each(|state| sum += state.totals().allocated_bytes);
        assert_eq!(sum, left);
    }
    assert!(threads.first.is_null());
}

#[test]
fn an_observer_sees_each_allocation_until_it_is_gone() {
    // SAFETY: of its callers it wants the vector that the observer was set with.
    unsafe fn note(data: *mut (), event: Event, size: usize) {
        // SAFETY: the vector below.
        unsafe { &mut *data.cast::<Vec<(Event, usize)>>() }.push((event, size));
    }

    let _turn = turn();
    let mut seen: Vec<(Event, usize)> = Vec::new();
    let observer = Observer {
        call: note,
        data: (&raw mut seen).cast(),
    };
    // SAFETY: `seen` lives until the observer is gone.
    unsafe { observe(Some(observer)) };
    allocate_and_free(1);
    reallocated(1, BLOCK, 2, None);
    // SAFETY: none is always right.
    unsafe { observe(None) };
    allocate_and_free(3);
    assert_eq!(seen, [(Event::Allocation, 1), (Event::Reallocation, 2)]);
}

#[test]
fn a_new_rate_reaches_threads_and_off_comes_by_the_slow_path_once_a_gib() {
    let _turn = turn();
    let next_slow = || STATE.with(|state| state.slow_at.load(Ordering::Relaxed));
    let counted = || own_counts().totals.allocated_bytes;
    allocate_and_free(1);
    if !cfg!(target_os = "linux") {
        return;
    }
    assert!(next_slow() > counted() + UNSAMPLED_DISTANCE / 2);
    configure(1000, 7);
    assert_eq!(next_slow(), 0);
    allocate_and_free(1);
    let first = next_slow();
    assert!((counted()..counted() + 100_000).contains(&first), "{first}");
    configure(1 << 40, 7);
    allocate_and_free(1);
    assert!(next_slow() > counted() + 1_000_000, "{}", next_slow());
    configure(0, 7);
    allocate_and_free(1);
    assert_eq!(next_slow(), counted() + UNSAMPLED_DISTANCE);
}
