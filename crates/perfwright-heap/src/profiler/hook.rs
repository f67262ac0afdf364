//! Where the allocator comes in. Nothing here allocates.
//!
//! Locks, in the order that they are taken: the books, a shard of the live blocks, the list of threads. None is
//! held across the inner allocator.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use perfwright_context::Word;

use super::books::{Books, Sample, Shards};
pub(crate) use super::live::Record;
use super::stacks;
use crate::draw;
use crate::lock::{Guard, Lock};
use crate::thread;

static BOOKS: Lock<Books> = Lock::new(Books::new(thread::publish_filter));
static SHARDS: Shards = Shards::new();
/// Whether there is a session. Frees are let through by a filter that says yes to everything in some threads.
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// Frees that the filter let through for nothing.
static FALSE_HITS: AtomicU64 = AtomicU64::new(0);

/// The accounts, locked. Whoever holds them must not allocate or free.
pub(crate) fn books() -> Guard<'static, Books> {
    BOOKS.lock()
}

/// Opens the accounts; false if there is no memory for them.
pub(crate) fn open(max_bytes: usize) -> bool {
    FALSE_HITS.store(0, Ordering::Relaxed);
    // Before any block is sampled.
    ACTIVE.store(true, Ordering::SeqCst);
    let opened = BOOKS.lock().open(&SHARDS, max_bytes);
    if !opened {
        ACTIVE.store(false, Ordering::SeqCst);
    }
    opened
}

/// Closes the accounts and forgets what they say.
pub(crate) fn close() {
    BOOKS.lock().close(&SHARDS);
    ACTIVE.store(false, Ordering::SeqCst);
}

pub(crate) fn false_hits() -> u64 {
    FALSE_HITS.load(Ordering::Relaxed)
}

/// Takes a sample: a block of `size` bytes, met at a mean distance of `rate`.
#[inline(never)]
pub(crate) fn sampled(block: *mut u8, size: usize, rate: u64) {
    let errno = errno();
    let mut stack = stacks::Stack::new();
    stacks::capture(&mut stack);
    let context: Word = perfwright_context::current().with_instance(None);
    BOOKS.lock().add(
        &SHARDS,
        Sample {
            block: block.addr() as u64,
            size: size as u64,
            weight: draw::weight(size as u64, rate),
            context: context.to_bits(),
            stack: stack.frames(),
            flaws: stack.flaws,
        },
    );
    set_errno(errno);
}

/// Takes out the record of a block that is about to be freed, if it was sampled.
pub(crate) fn take(block: *mut u8) -> Option<Record> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    let block = block.addr() as u64;
    // Nobody else frees this block: if it is there, it stays there.
    if !SHARDS.of(block).lock().holds(block) {
        FALSE_HITS.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    BOOKS.lock().remove(&SHARDS, block)
}

/// Puts a record back: its block was not freed after all.
#[cold]
pub(crate) fn put_back(record: Record) {
    BOOKS.lock().restore(&SHARDS, record);
}

/// Takes all locks for the time of a fork.
pub(crate) fn hold_for_fork() {
    BOOKS.hold_for_fork();
    for shard in SHARDS.each() {
        shard.hold_for_fork();
    }
}

/// Gives them back in the parent.
///
/// # Safety
/// This thread took them with [`hold_for_fork`].
pub(crate) unsafe fn release_after_fork() {
    for shard in SHARDS.each() {
        // SAFETY: the caller's contract.
        unsafe { shard.release_after_fork() };
    }
    // SAFETY: as above.
    unsafe { BOOKS.release_after_fork() };
}

/// In the child no profiler runs: its thread is gone.
pub(crate) fn end_in_child() {
    thread::configure(0, 0);
    stacks::forget_readers();
    close();
    super::session::forget_running();
}

fn errno() -> i32 {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() }
}

fn set_errno(errno: i32) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = errno };
}
