//! The calling thread's stack, without a lock: walked with the code map that was published last.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use perfwright_stack::{CodeMap, Regs, WalkEnd};

use super::books::Flaws;
use crate::thread::{self, Event, Observer};

/// Frames kept of a stack, from the leaf.
pub(crate) const MAX_DEPTH: usize = 128;

/// Frames between a walk and the allocator's method: the function that walks, and the slow path that calls it.
const OWN_FRAMES: usize = 2;
/// Frames that the slow path and the shims may take, without optimisation too.
const MAX_SHIMS: usize = 16;

static MAP: AtomicPtr<CodeMap> = AtomicPtr::new(ptr::null_mut());
/// Walks under way.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Return addresses in the shims between the slow path and who allocates (`__rust_alloc` and the like): each is
/// one function, in which our method is inlined. 0: unused.
static SHIMS: [AtomicU64; 4 * MAX_SHIMS] = [const { AtomicU64::new(0) }; 4 * MAX_SHIMS];

/// A walked stack.
pub(crate) struct Stack {
    frames: [u64; MAX_DEPTH],
    start: usize,
    end: usize,
    pub(crate) flaws: Flaws,
}

impl Stack {
    /// Leaf first: a place in the call in the leaf, then return addresses.
    pub(crate) fn frames(&self) -> &[u64] {
        &self.frames[self.start..self.end]
    }

    /// No frames.
    #[inline(always)]
    pub(crate) fn new() -> Stack {
        Stack {
            frames: [0; MAX_DEPTH],
            start: 0,
            end: 0,
            flaws: Flaws::default(),
        }
    }

    /// Walks a function's stack into this one, in place: it is a KiB.
    ///
    /// # Safety
    /// `regs` were taken in a function that has not returned.
    #[inline(always)]
    unsafe fn walk(&mut self, regs: &Regs) {
        READERS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: a map is freed only when there was a moment without readers since it was replaced.
        if let Some(map) = unsafe { MAP.load(Ordering::SeqCst).as_ref() } {
            // SAFETY: the caller's registers; the map is this process's.
            let walk = unsafe { perfwright_stack::walk(regs, map, &mut self.frames) };
            self.end = walk.len;
            self.flaws = Flaws {
                truncated: walk.end == WalkEnd::Full,
                rootless: walk.end != WalkEnd::Root,
                unknown: walk.end == WalkEnd::NoStack,
                probed: walk.probed,
            };
        }
        READERS.fetch_sub(1, Ordering::SeqCst);
    }

    /// Drops the frames between the walk and who allocates.
    fn drop_shims(&mut self) {
        self.start = OWN_FRAMES.min(self.end);
        let is_shim = |address: u64| {
            SHIMS
                .iter()
                .map(|shim| shim.load(Ordering::Relaxed))
                .take_while(|&shim| shim != 0)
                .any(|shim| shim == address)
        };
        while self.start < self.end && is_shim(self.frames[self.start]) {
            self.start += 1;
        }
        // A return address may be the next function's already; the others are taken as such by who reads them.
        if let Some(leaf) = self.frames[..self.end].get_mut(self.start) {
            *leaf = leaf.wrapping_sub(1);
        }
    }
}

/// Puts the stack of who allocates into `stack`, which is empty. Call it from a function of its own that the slow
/// path calls.
#[inline(always)]
pub(crate) fn capture(stack: &mut Stack) {
    let regs = Regs::current();
    // SAFETY: inlined into the caller, which has not returned.
    unsafe { stack.walk(&regs) };
    stack.drop_shims();
}

/// In a forked child no other thread walks any more.
pub(crate) fn forget_readers() {
    READERS.store(0, Ordering::SeqCst);
}

/// Publishes code maps, and frees those that nobody reads any more.
#[derive(Default)]
pub(crate) struct Publisher {
    retired: Vec<RetiredMap>,
}

struct RetiredMap(*mut CodeMap);

// SAFETY: it owns the map, which is Send.
unsafe impl Send for RetiredMap {}

impl Publisher {
    /// Walks that begin from now on use `map`.
    pub(crate) fn publish(&mut self, map: CodeMap) {
        self.replace(Box::into_raw(Box::new(map)));
    }

    fn replace(&mut self, map: *mut CodeMap) {
        let before = MAP.swap(map, Ordering::SeqCst);
        if !before.is_null() {
            self.retired.push(RetiredMap(before));
        }
        // Who comes after this moment sees the new map.
        if READERS.load(Ordering::SeqCst) == 0 {
            for RetiredMap(map) in self.retired.drain(..) {
                // SAFETY: it came from a box, and no reader has it.
                drop(unsafe { Box::from_raw(map) });
            }
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // A map that is being read at this very moment is leaked: there is nobody to free it later.
        self.replace(ptr::null_mut());
    }
}

/// Finds the shims, by allocating here and comparing stacks. A map must be published.
pub(crate) fn find_shims() {
    let mut found: Vec<u64> = Vec::with_capacity(SHIMS.len());
    for method in [Method::Alloc, Method::AllocZeroed, Method::Realloc] {
        let (own, seen) = probe(method);
        // From this function's caller on, both are the same; above are its own frame and the shims.
        let callers = own.end.saturating_sub(1);
        let Some(here) = seen.end.checked_sub(callers + 1) else {
            continue;
        };
        if own.flaws.rootless
            || seen.frames[here + 1..seen.end] != own.frames[1..own.end]
            || !(OWN_FRAMES..OWN_FRAMES + MAX_SHIMS).contains(&here)
        {
            continue;
        }
        for &shim in &seen.frames[OWN_FRAMES..here] {
            if !found.contains(&shim) {
                found.push(shim);
            }
        }
    }
    for (slot, shim) in SHIMS
        .iter()
        .zip(found.into_iter().chain(std::iter::repeat(0)))
    {
        slot.store(shim, Ordering::Relaxed);
    }
}

enum Method {
    Alloc,
    AllocZeroed,
    Realloc,
}

/// This function's stack, and that of an allocation made in it.
#[inline(never)]
fn probe(method: Method) -> (Stack, Stack) {
    use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
    use std::hint::black_box;

    let regs = Regs::current();
    let (mut own, mut seen) = (Stack::new(), Stack::new());
    // SAFETY: this function has not returned.
    unsafe { own.walk(&regs) };
    let observer = Observer {
        call: probed,
        data: (&raw mut seen).cast(),
    };
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: `seen` is alive until the observer before is back; the blocks are freed with their own layouts.
    unsafe {
        let outer = thread::observe(None);
        let block = match method {
            Method::Alloc => {
                thread::observe(Some(observer));
                black_box(alloc(black_box(layout)))
            }
            Method::AllocZeroed => {
                thread::observe(Some(observer));
                black_box(alloc_zeroed(black_box(layout)))
            }
            Method::Realloc => {
                let block = black_box(alloc(black_box(Layout::new::<u64>())));
                thread::observe(Some(observer));
                black_box(realloc(block, Layout::new::<u64>(), layout.size()))
            }
        };
        thread::observe(outer);
        if !block.is_null() {
            dealloc(block, layout);
        }
    }
    (own, seen)
}

/// # Safety
/// `data` is a [`Stack`].
#[inline(never)]
unsafe fn probed(data: *mut (), _: Event, _: usize) {
    let regs = Regs::current();
    // SAFETY: this function has not returned; the caller's contract.
    unsafe { (*data.cast::<Stack>()).walk(&regs) };
}
