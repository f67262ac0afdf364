//! What a signal handler may look up: immutable, sorted, no pointer chasing beyond one `Arc`.

use super::regs::thread_pointer;
use super::rule::Rule;
use super::table::UnwindTable;
use std::ops::Range;
use std::sync::Arc;

/// Above a stack pointer that lies in no known mapping, this much is looked at at most. Rust's
/// threads have 2 MiB, glibc's 8 MiB; every page of it is probed before it is read, so the number
/// only bounds nonsense.
const UNKNOWN_STACK_BYTES: u64 = 64 << 20;

/// Executable code and possible stacks of the process at one moment. Built by
/// [`Image::code_map`](crate::Image::code_map) off the hot path; lookups neither allocate nor lock.
/// Who publishes it to signal handlers must keep it alive while one may be reading it. Cloning it
/// clones two `Arc`s.
#[derive(Clone, Debug, Default)]
pub struct CodeMap {
    code: Arc<[CodeRange]>,
    stacks: Arc<[StackRange]>,
}

/// One executable mapping; AVMAs.
#[derive(Clone, Debug)]
pub(crate) struct CodeRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The AVMA that the table's relative addresses count from.
    pub(crate) table_base: u64,
    /// `None`: executable memory without a file (generated code), or a file without call frame
    /// information.
    pub(crate) table: Option<Arc<UnwindTable>>,
}

/// One mapping that can hold a stack (private, writable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The main thread's, which grows downwards by itself.
    pub(crate) is_main: bool,
}

/// Where a thread's stack may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    /// The stack pointer: nothing below it is live.
    pub low: u64,
    /// One byte past the last that may be read.
    pub high: u64,
    /// True if this is a guess (a stack newer than the map, a coroutine's, an alternate signal
    /// stack): each page is probed by a system call before it is first read.
    pub probe: bool,
}

/// Whether the frame pointer can be followed at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FpState {
    /// The frame pointer register points at this function's frame record.
    Frame,
    /// It doesn't (code without frame pointers, or a prologue); the caller can be found another
    /// way.
    NoFrame,
    /// No call frame information covers the address.
    UnknownCode,
}

impl CodeMap {
    /// `code` and `stacks` sorted by start, not overlapping.
    pub(crate) fn new(code: Vec<CodeRange>, stacks: Vec<StackRange>) -> CodeMap {
        CodeMap {
            code: code.into(),
            stacks: stacks.into(),
        }
    }

    /// Where the calling thread may read its stack, given its stack pointer. Only meaningful on the
    /// thread itself: it consults the thread pointer. `None` only for a stack pointer at the end of
    /// the address space.
    #[must_use]
    pub fn stack_bounds(&self, sp: u64) -> Option<StackBounds> {
        self.stack_bounds_of(sp, thread_pointer())
    }

    /// The same for any thread pointer.
    ///
    /// A thread's own stack needs no probing: from its stack pointer to its thread control block
    /// everything is mapped. A mapping merged with its neighbour can't lead further, for the block
    /// ends it. All else is guessed and probed.
    #[must_use]
    pub fn stack_bounds_of(&self, sp: u64, thread_pointer: u64) -> Option<StackBounds> {
        let after = self.stacks.partition_point(|range| range.end <= sp);
        let range = self.stacks.get(after);
        let own_end = |limit: u64| {
            (sp..limit)
                .contains(&thread_pointer)
                .then_some(thread_pointer)
        };
        let (high, probe) = match range {
            Some(range) if range.start <= sp => match own_end(range.end) {
                Some(high) => (high, false),
                None => (range.end, !range.is_main),
            },
            // The main stack has grown below what the map knew.
            Some(range) if range.is_main && range.start - sp <= UNKNOWN_STACK_BYTES => {
                (range.end, true)
            }
            next => {
                let limit = sp.checked_add(UNKNOWN_STACK_BYTES)?;
                let limit = next.map_or(limit, |range| limit.min(range.start));
                (own_end(limit).unwrap_or(limit), true)
            }
        };
        Some(StackBounds {
            low: sp,
            high: high & !7,
            probe,
        })
    }

    /// Whether the frame pointer can be followed at the instruction `pc` (for a return address,
    /// pass it minus one).
    #[must_use]
    pub fn frame_pointer_at(&self, pc: u64) -> FpState {
        match self.rule(pc) {
            Rule::Unknown => FpState::UnknownCode,
            rule if rule.has_frame_pointer() => FpState::Frame,
            _ => FpState::NoFrame,
        }
    }

    /// Bytes on the heap, unwind tables included (they are shared with the
    /// [`Image`](crate::Image)).
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let tables = self.code.iter().filter_map(|range| range.table.as_ref());
        size_of_val(&*self.code)
            + size_of_val(&*self.stacks)
            + tables.map(|table| table.heap_bytes()).sum::<usize>()
    }

    /// True if the process may execute `pc`, as far as the map knows.
    #[must_use]
    pub fn is_code(&self, pc: u64) -> bool {
        self.code_range(pc).is_some()
    }

    pub(crate) fn rule(&self, pc: u64) -> Rule {
        self.code_range(pc)
            .map_or(Rule::Unknown, |range| range.rule(pc))
    }

    #[inline]
    pub(crate) fn code_range(&self, pc: u64) -> Option<&CodeRange> {
        let after = self.code.partition_point(|range| range.end <= pc);
        self.code.get(after).filter(|range| range.start <= pc)
    }

    pub(crate) fn same_ranges(&self, other: &CodeMap) -> bool {
        let spans = |map: &CodeMap| -> Vec<Range<u64>> {
            map.code
                .iter()
                .map(|range| range.start..range.end)
                .collect()
        };
        self.stacks == other.stacks && spans(self) == spans(other)
    }
}

impl CodeRange {
    #[inline]
    pub(crate) fn contains(&self, pc: u64) -> bool {
        self.start <= pc && pc < self.end
    }

    #[inline]
    pub(crate) fn relative(&self, pc: u64) -> Option<(&UnwindTable, u32)> {
        let relative = u32::try_from(pc.wrapping_sub(self.table_base)).ok()?;
        Some((self.table.as_deref()?, relative))
    }

    pub(crate) fn rule(&self, pc: u64) -> Rule {
        self.relative(pc)
            .map_or(Rule::Unknown, |(table, relative)| table.rule(relative))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(stacks: &[(u64, u64, bool)]) -> CodeMap {
        let range = |(start, end, is_main): &(u64, u64, bool)| StackRange {
            start: *start,
            end: *end,
            is_main: *is_main,
        };
        CodeMap::new(Vec::new(), stacks.iter().map(range).collect())
    }

    fn bounds(map: &CodeMap, sp: u64, thread_pointer: u64) -> (u64, bool) {
        let bounds = map
            .stack_bounds_of(sp, thread_pointer)
            .expect("a guess at least");
        assert_eq!(bounds.low, sp);
        (bounds.high, bounds.probe)
    }

    #[test]
    fn the_control_block_ends_a_stack_merged_with_its_neighbour() {
        let merged = map(&[(0x10_0000, 0x30_0000, false)]);
        assert_eq!(bounds(&merged, 0x18_0000, 0x1F_F000), (0x1F_F000, false));
        // Another thread's stack in the same mapping: the block of this one lies below.
        assert_eq!(bounds(&merged, 0x28_0000, 0x1F_F000), (0x30_0000, true));
        // A coroutine's.
        assert_eq!(bounds(&merged, 0x28_0000, 0x90_0000), (0x30_0000, true));
    }

    #[test]
    fn an_unknown_stack_ends_at_the_control_block_or_the_next_mapping() {
        let other = map(&[(0x10_0000, 0x20_0000, false)]);
        assert_eq!(bounds(&other, 0x30_0000, 0x38_0000), (0x38_0000, true));
        assert_eq!(bounds(&other, 0x8_0000, 0xF00_0000), (0x10_0000, true));
        assert_eq!(
            bounds(&other, 0x30_0000, 0),
            (0x30_0000 + UNKNOWN_STACK_BYTES, true)
        );
        assert_eq!(other.stack_bounds_of(u64::MAX - 7, 0), None);
    }

    #[test]
    fn the_main_stack_needs_no_control_block() {
        let main = map(&[
            (0x10_0000, 0x20_0000, false),
            (0x7F0_0000, 0x7F2_0000, true),
        ]);
        assert_eq!(bounds(&main, 0x7F1_0000, 0x18_0000), (0x7F2_0000, false));
        assert_eq!(
            bounds(&main, 0x7E0_0000, 0x18_0000),
            (0x7F2_0000, true),
            "grown"
        );
    }

    #[test]
    fn an_empty_map_knows_no_code() {
        let empty = CodeMap::default();
        assert_eq!(empty.frame_pointer_at(0x1000), FpState::UnknownCode);
        assert!(!empty.is_code(0x1000));
        assert_eq!(empty.heap_bytes(), 0);
    }
}
