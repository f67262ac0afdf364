//! A byte ring from one thread's signal handler to the collector: single producer, single consumer, no lock.
//!
//! ```text
//!        tail (consumer)            head (producer)
//!          v                          v
//! |........[record][record][record]...|..........|      positions only grow; offset = position % capacity
//! ```
//! A record never wraps: what does not fit before the end is preceded by a filler. When the ring is empty, the
//! producer goes back to its front, so that a thread that is drained in time touches little memory.

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::sys::map_memory;

/// Address space of one ring. Pages cost memory only once they are written.
pub(crate) const CAPACITY: usize = 512 << 10;
/// An empty ring starts again at the front once it is past this offset.
const REWIND_BYTES: usize = 32 << 10;

/// What precedes the frames of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    /// Of the whole record, a multiple of 8. Always written, in fillers too, together with `flags`.
    pub(crate) total_bytes: u32,
    pub(crate) flags: u32,
    pub(crate) frame_count: u32,
    pub(crate) copy_bytes: u32,
    /// The thread's context word.
    pub(crate) context: u64,
    /// The time that the sample stands for.
    pub(crate) weight_nanos: u64,
    /// Program counter, stack pointer, frame pointer, link register.
    pub(crate) regs: [u64; 4],
}

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

/// Flags of a record.
pub(crate) mod flags {
    pub(crate) const FILLER: u32 = 1;
    /// The walk reached the thread's outermost frame.
    pub(crate) const ROOT: u32 = 2;
    /// The stack is deeper than the depth limit.
    pub(crate) const FULL: u32 = 4;
    /// Only the program counter is known.
    pub(crate) const NO_STACK: u32 = 8;
    /// The stack lay in no mapping that the published map knew.
    pub(crate) const PROBED: u32 = 16;
    /// Wall mode: the thread was waiting.
    pub(crate) const OFF_CPU: u32 = 32;
    /// The walk asked for a copy of the stack.
    pub(crate) const NEEDS_COPY: u32 = 64;
}

/// A record as the collector sees it.
pub(crate) struct Record<'a> {
    pub(crate) header: Header,
    pub(crate) frames: &'a [u64],
    pub(crate) copy: &'a [u8],
}

/// The ring. Its memory is mapped once and never unmapped: a late signal may still look at it.
pub(crate) struct Ring {
    base: AtomicPtr<u8>,
    head: AtomicU64,
    tail: AtomicU64,
}

/// Room for one record, from [`Ring::reserve`].
pub(crate) struct Space {
    /// Where the record starts; 8-aligned.
    pub(crate) start: *mut u8,
    pub(crate) bytes: usize,
    position: u64,
}

impl Ring {
    /// Maps the memory, the first time.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.base.load(Ordering::Acquire).is_null() {
            self.base.store(map_memory(CAPACITY)?, Ordering::Release);
        }
        Ok(())
    }

    /// Room for `min` to `max` bytes (multiples of 8), or `None` when the ring is too full.
    ///
    /// # Safety
    /// Only one caller at a time: the signal handler of the thread that owns the ring.
    pub(crate) unsafe fn reserve(&self, min: usize, max: usize) -> Option<Space> {
        let base = self.base.load(Ordering::Acquire);
        if base.is_null() {
            return None;
        }
        let head = self.head.load(Ordering::Relaxed);
        let used = (head - self.tail.load(Ordering::Acquire)) as usize;
        let offset = head as usize % CAPACITY;
        let (free, to_end) = (CAPACITY - used, CAPACITY - offset);
        let here = free.min(to_end);
        let in_front = free.saturating_sub(to_end);
        let rewind = used == 0 && offset > REWIND_BYTES && in_front >= max;
        if !rewind && (here >= max || (here >= min && in_front < min)) {
            // SAFETY: offset < CAPACITY, the size of the mapping.
            let start = unsafe { base.add(offset) };
            return Some(Space {
                start,
                bytes: here.min(max),
                position: head,
            });
        }
        if in_front < min {
            return None;
        }
        // SAFETY: the filler's first 8 bytes lie between head and the end (offsets are multiples of 8), in
        // memory that the consumer has released; it sees them only after the commit.
        unsafe { write_filler(base.add(offset), to_end) };
        Some(Space {
            start: base,
            bytes: in_front.min(max),
            position: head + to_end as u64,
        })
    }

    /// Publishes the record that was written to the space. Returns true if the ring is now half full.
    ///
    /// # Safety
    /// As for [`Ring::reserve`], whose space this is; `used` bytes of it (a multiple of 8, at most
    /// `space.bytes`) hold a record whose header says so.
    pub(crate) unsafe fn commit(&self, space: &Space, used: usize) -> bool {
        let head = space.position + used as u64;
        self.head.store(head, Ordering::Release);
        head - self.tail.load(Ordering::Relaxed) > CAPACITY as u64 / 2
    }

    /// Hands all records to `visit` and frees their room. Returns how many there were.
    ///
    /// # Safety
    /// Only one caller at a time: the collector, under its lock.
    pub(crate) unsafe fn drain(&self, mut visit: impl FnMut(Record<'_>)) -> usize {
        let base = self.base.load(Ordering::Acquire);
        let head = self.head.load(Ordering::Acquire);
        let mut tail = self.tail.load(Ordering::Relaxed);
        let mut count = 0;
        while tail < head {
            // SAFETY: between tail and head the producer has published whole records, which it will not
            // touch before the tail passes them.
            let total =
                unsafe { visit_record(base.add(tail as usize % CAPACITY), &mut count, &mut visit) };
            tail += total as u64;
            self.tail.store(tail, Ordering::Release);
        }
        count
    }

    /// Gives the pages back to the system and empties the ring.
    ///
    /// # Safety
    /// Neither producer nor consumer is active.
    pub(crate) unsafe fn reset(&self) {
        let base = self.base.load(Ordering::Acquire);
        if !base.is_null() {
            // SAFETY: the mapping is ours and nobody reads it; it stays mapped and reads as zero.
            unsafe { libc::madvise(base.cast(), CAPACITY, libc::MADV_DONTNEED) };
        }
        self.head.store(0, Ordering::Release);
        self.tail.store(0, Ordering::Release);
    }
}

/// # Safety
/// `at` has 8 writable, aligned bytes.
unsafe fn write_filler(at: *mut u8, bytes: usize) {
    // SAFETY: the caller's word; `total_bytes` and `flags` are the header's first 8 bytes.
    unsafe {
        at.cast::<u32>().write(bytes as u32);
        at.cast::<u32>().add(1).write(flags::FILLER);
    }
}

/// # Safety
/// `at` is the start of a published record or filler.
unsafe fn visit_record(
    at: *const u8,
    count: &mut usize,
    visit: &mut impl FnMut(Record<'_>),
) -> u32 {
    // SAFETY: every record and filler starts with these 8 bytes.
    let (total, flags) = unsafe { (at.cast::<u32>().read(), at.cast::<u32>().add(1).read()) };
    if flags & flags::FILLER == 0 {
        // SAFETY: a record is a header, then its frames, then its copy, all within `total`.
        unsafe {
            let header = at.cast::<Header>().read();
            let frames = at.add(HEADER_BYTES).cast::<u64>();
            let frame_count = header.frame_count as usize;
            visit(Record {
                header,
                frames: std::slice::from_raw_parts(frames, frame_count),
                copy: std::slice::from_raw_parts(
                    frames.add(frame_count).cast(),
                    header.copy_bytes as usize,
                ),
            });
        }
        *count += 1;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Ring {
        let ring = Ring {
            base: AtomicPtr::new(std::ptr::null_mut()),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
        };
        ring.prepare().unwrap();
        ring
    }

    /// Writes a record of `frames` equal frames and `copy_bytes` bytes; false if there is no room.
    fn put(ring: &Ring, value: u64, frames: usize, copy_bytes: usize) -> bool {
        let total = HEADER_BYTES + frames * 8 + copy_bytes;
        // SAFETY: one producer, and the space holds what is written.
        unsafe {
            let Some(space) = ring.reserve(total, total) else {
                return false;
            };
            assert_eq!(space.start as usize % 8, 0);
            let header = Header {
                total_bytes: total as u32,
                frame_count: frames as u32,
                copy_bytes: copy_bytes as u32,
                context: value,
                ..Header::default()
            };
            space.start.cast::<Header>().write(header);
            for i in 0..frames {
                space
                    .start
                    .add(HEADER_BYTES)
                    .cast::<u64>()
                    .add(i)
                    .write(value);
            }
            space
                .start
                .add(HEADER_BYTES + frames * 8)
                .write_bytes(value as u8, copy_bytes);
            ring.commit(&space, total);
        }
        true
    }

    fn take_all(ring: &Ring) -> Vec<u64> {
        let mut seen = Vec::new();
        // SAFETY: one consumer.
        unsafe {
            ring.drain(|record| {
                let value = record.header.context;
                assert!(record.frames.iter().all(|&frame| frame == value));
                assert!(record.copy.iter().all(|&byte| byte == value as u8));
                seen.push(value);
            })
        };
        seen
    }

    #[test]
    fn a_full_ring_refuses_and_recovers() {
        let ring = ring();
        let mut written = 0;
        while put(&ring, written, 100, 8_000) {
            written += 1;
        }
        assert_eq!(written as usize, CAPACITY / (HEADER_BYTES + 8_800));
        assert_eq!(take_all(&ring), (0..written).collect::<Vec<_>>());
        assert!(put(&ring, 7, 100, 8_000));
        assert_eq!(take_all(&ring), [7]);
    }

    #[test]
    fn an_empty_ring_goes_back_to_its_front() {
        let ring = ring();
        for value in 0..10_000 {
            assert!(put(&ring, value, 50, 1_024));
            assert_eq!(take_all(&ring), [value]);
        }
        let base = ring.base.load(Ordering::Relaxed);
        // SAFETY: the mapping is CAPACITY bytes.
        let untouched =
            unsafe { std::slice::from_raw_parts(base.add(64 << 10), CAPACITY - (64 << 10)) };
        assert!(untouched.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn records_cross_threads_whole_and_in_order() {
        let ring = ring();
        let sizes = |value: u64| ((value % 97) as usize, (value % 1_013) as usize * 8);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 0..20_000 {
                    let (frames, copy) = sizes(value);
                    while !put(&ring, value, frames, copy) {
                        std::thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            while next < 20_000 {
                for value in take_all(&ring) {
                    assert_eq!(value, next);
                    next += 1;
                }
            }
        });
    }
}
