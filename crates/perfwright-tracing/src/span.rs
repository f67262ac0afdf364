//! An open span: what it has come to so far.

use std::sync::Arc;

use perfwright_context::{Instance, NodeId, Word};

use crate::paths::{PathId, RouteId};
use crate::table::SlotRef;
use crate::tree::{Fields, RawSlice, Tree};

/// An open span, as a state machine over times that never go back.
///
/// ```text
///  created ──enter──> busy ──exit──> idle ──enter──> busy ──exit──> (idle or held) ──close──>
///     └── idle until the first enter          a gap that no enter ends is held, not idle ┘
/// ```
/// It is busy while at least one thread has it entered. Idle time while a child is open is the child's to
/// explain: it is `covered`, and the rest is the span's own.
#[derive(Debug, Default)]
pub(crate) struct SpanState {
    pub(crate) path: PathId,
    pub(crate) route: RouteId,
    pub(crate) word: Word,
    /// The context that it was created in.
    pub(crate) origin: NodeId,
    pub(crate) is_labelled: bool,
    pub(crate) instance: Option<Instance>,
    pub(crate) parent: Option<SlotRef>,
    pub(crate) created: u64,
    pub(crate) polls: u64,
    pub(crate) busy: u64,
    pub(crate) self_busy: u64,
    pub(crate) max_poll: u64,
    pub(crate) error: bool,
    /// The thread of the last exit.
    pub(crate) last_thread: u32,
    /// The first poll; later ones are in the tree.
    pub(crate) first: RawSlice,
    pub(crate) tree: Option<Arc<Tree>>,
    /// Spans and polls of a root for which there was no tree, because too many were under construction.
    pub(crate) missed: u64,
    pub(crate) fields: Option<Box<Fields>>,
    idle: u64,
    covered: u64,
    /// Enters without exit, on all threads; a thread that has entered it twice counts once.
    active: u32,
    /// Open children.
    children: u32,
    /// The last exit; creation before it.
    left: u64,
    /// Up to when the gap is accounted for.
    mark: u64,
    /// The gap since the last exit, and what of it was covered.
    gap: u64,
    gap_covered: u64,
}

/// What a closed span comes to, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Times {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) busy: u64,
    pub(crate) self_busy: u64,
    pub(crate) idle: u64,
    pub(crate) self_idle: u64,
    pub(crate) held: u64,
    pub(crate) polls: u64,
    pub(crate) max_poll: u64,
}

impl Times {
    pub(crate) fn total(&self) -> u64 {
        self.end - self.start
    }
}

impl SpanState {
    /// Begins anew; what is not set here is set by whoever opens the span.
    #[inline]
    pub(crate) fn open(&mut self, now: u64) {
        (self.created, self.left, self.mark) = (now, now, now);
        (self.polls, self.busy, self.self_busy, self.max_poll) = (0, 0, 0, 0);
        (self.idle, self.covered, self.gap, self.gap_covered) = (0, 0, 0, 0);
        (self.active, self.children, self.error) = (0, 0, false);
        self.first = RawSlice::default();
        (self.tree, self.missed, self.fields) = (None, 0, None);
    }

    /// It was only created.
    pub(crate) fn is_untouched(&self) -> bool {
        self.active == 0 && self.polls == 0 && self.children == 0
    }

    pub(crate) fn is_entered(&self) -> bool {
        self.active > 0
    }

    /// A thread that had not entered it enters it.
    #[inline]
    pub(crate) fn enter(&mut self, now: u64) {
        if self.active == 0 {
            self.advance(now);
            self.commit_gap();
        }
        self.active += 1;
    }

    /// The thread leaves it after `busy`, of which it was the innermost span for `self_busy`.
    #[inline]
    pub(crate) fn exit(&mut self, now: u64, busy: u64, self_busy: u64) {
        self.active = self.active.saturating_sub(1);
        self.polls += 1;
        self.busy += busy;
        self.self_busy += self_busy;
        self.max_poll = self.max_poll.max(busy);
        // Clocks of two threads may be apart.
        self.left = self.left.max(now);
        self.mark = self.left;
    }

    pub(crate) fn child_opened(&mut self, now: u64) {
        self.advance(now);
        self.children += 1;
    }

    pub(crate) fn child_closed(&mut self, now: u64) {
        self.advance(now);
        self.children = self.children.saturating_sub(1);
    }

    /// Something that took `elapsed` until now was reported as a whole; returns what of it the span was idle
    /// for, as far as nothing else explains that.
    pub(crate) fn explain(&mut self, elapsed: u64) -> u64 {
        let idle = elapsed.min(self.idle - self.covered);
        self.covered += idle;
        idle
    }

    /// The account of the span, which is closed now. `is_dropped`: the last poll was the drop of a future.
    pub(crate) fn close(&mut self, now: u64, is_dropped: bool) -> Times {
        if self.polls == 0 {
            self.advance(now);
            self.commit_gap();
            self.left = self.left.max(now);
        }
        Times {
            start: self.created,
            end: self.left,
            busy: self.busy,
            self_busy: self.self_busy,
            idle: self.idle,
            self_idle: self.idle - self.covered,
            held: now.saturating_sub(self.left),
            polls: self.polls - u64::from(is_dropped && self.polls > 1),
            max_poll: self.max_poll,
        }
    }

    #[inline]
    fn advance(&mut self, now: u64) {
        if self.active > 0 {
            return;
        }
        let passed = now.saturating_sub(self.mark);
        self.mark += passed;
        self.gap += passed;
        if self.children > 0 {
            self.gap_covered += passed;
        }
    }

    #[inline]
    fn commit_gap(&mut self) {
        self.idle += self.gap;
        self.covered += self.gap_covered;
        (self.gap, self.gap_covered) = (0, 0);
    }
}
