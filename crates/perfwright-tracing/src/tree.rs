//! Span trees under construction, and the slowest of them, which are kept.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::paths::{PathId, RouteId};
use crate::span::Times;
use crate::table::SlotRef;

/// How many trees may be under construction (more than their root) at once: at most 50 KB each at the default
/// size.
const MAX_TREES: usize = 512;

/// Fields of one span that are kept, in bytes of keys and values.
const MAX_FIELD_BYTES: usize = 1_024;

/// Fields of one tree that are kept, its root's aside.
const MAX_TREE_FIELD_BYTES: usize = 16 * 1_024;

/// The texts of chosen fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) trace_id: Option<String>,
    pub(crate) chosen: Vec<(&'static str, String)>,
    bytes: usize,
}

impl Fields {
    pub(crate) fn push(&mut self, key: &'static str, value: fmt::Arguments<'_>) {
        let room = MAX_FIELD_BYTES.saturating_sub(self.bytes + key.len());
        if room == 0 {
            return;
        }
        let value = cut(value, room);
        self.bytes += key.len() + value.len();
        self.chosen.push((key, value));
    }

    pub(crate) fn extend(&mut self, other: Fields) {
        self.trace_id = other.trace_id.or(self.trace_id.take());
        for (key, value) in other.chosen {
            self.push(key, format_args!("{value}"));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trace_id.is_none() && self.chosen.is_empty()
    }
}

/// At most `max` bytes of a text, of which no more is formatted than that.
pub(crate) fn cut(text: fmt::Arguments<'_>, max: usize) -> String {
    struct Cut(String, usize);
    impl fmt::Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.floor_char_boundary(self.1 - self.0.len());
            self.0.push_str(&text[..end]);
            if end < text.len() {
                Err(fmt::Error)
            } else {
                Ok(())
            }
        }
    }
    let mut cut = Cut(String::new(), max);
    // An error means that it is cut, or that the value's own formatting failed: what there is will do.
    let _ = fmt::Write::write_fmt(&mut cut, text);
    cut.0
}

/// A span was entered on a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawSlice {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) thread: u32,
}

/// A closed span of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) slot: SlotRef,
    pub(crate) parent: Option<SlotRef>,
    pub(crate) path: PathId,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) busy: u64,
    pub(crate) polls: u64,
    pub(crate) first: RawSlice,
    pub(crate) error: bool,
    pub(crate) fields: Option<Box<Fields>>,
}

impl Record {
    pub(crate) fn new(
        slot: SlotRef,
        parent: Option<SlotRef>,
        path: PathId,
        times: &Times,
    ) -> Record {
        Record {
            slot,
            parent,
            path,
            start: times.start,
            end: times.end,
            busy: times.busy,
            polls: times.polls,
            first: RawSlice::default(),
            error: false,
            fields: None,
        }
    }
}

/// What the spans of an open root leave behind when they close.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The first labelled route below a root that has none; `u32::MAX` for none.
    route: AtomicU32,
    records_full: AtomicBool,
    slices_full: AtomicBool,
    cut: AtomicU64,
    limit: usize,
    buffers: Mutex<Buffers>,
    live: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Buffers {
    records: Vec<Record>,
    slices: Vec<(SlotRef, RawSlice)>,
    field_bytes: usize,
}

impl Tree {
    /// A tree of at most `limit` spans and as many polls; `None` when too many are under construction.
    pub(crate) fn new(limit: usize, live: &Arc<AtomicUsize>) -> Option<Arc<Tree>> {
        if live.fetch_add(1, Ordering::Relaxed) >= MAX_TREES {
            live.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Arc::new(Tree {
            route: AtomicU32::new(u32::MAX),
            records_full: AtomicBool::new(false),
            slices_full: AtomicBool::new(false),
            cut: AtomicU64::new(0),
            limit,
            buffers: Mutex::default(),
            live: live.clone(),
        }))
    }

    pub(crate) fn route(&self) -> Option<RouteId> {
        match self.route.load(Ordering::Relaxed) {
            u32::MAX => None,
            route => Some(RouteId(route)),
        }
    }

    pub(crate) fn set_route(&self, route: RouteId) {
        if self.route.load(Ordering::Relaxed) == u32::MAX {
            self.route.store(route.0, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn push(&self, record: impl FnOnce() -> Record) {
        self.add(&self.records_full, |buffers| {
            let mut record = record();
            let bytes = record.fields.as_ref().map_or(0, |fields| fields.bytes);
            if buffers.field_bytes + bytes > MAX_TREE_FIELD_BYTES {
                record.fields = None;
            } else {
                buffers.field_bytes += bytes;
            }
            buffers.records.push(record);
            buffers.records.len() >= self.limit
        });
    }

    #[inline]
    pub(crate) fn push_slice(&self, slot: SlotRef, slice: RawSlice) {
        self.add(&self.slices_full, |buffers| {
            buffers.slices.push((slot, slice));
            buffers.slices.len() >= self.limit
        });
    }

    /// What comes after a buffer is full is only counted, and takes no lock.
    #[inline]
    fn add(&self, is_full: &AtomicBool, add: impl FnOnce(&mut Buffers) -> bool) {
        if is_full.load(Ordering::Relaxed) {
            self.cut.fetch_add(1, Ordering::Relaxed);
        } else if add(&mut self.lock()) {
            is_full.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Empties it for the next root; the buffers keep their room.
    pub(crate) fn clear(&self) {
        let mut buffers = self.lock();
        buffers.records.clear();
        buffers.slices.clear();
        buffers.field_bytes = 0;
        self.route.store(u32::MAX, Ordering::Relaxed);
        self.records_full.store(false, Ordering::Relaxed);
        self.slices_full.store(false, Ordering::Relaxed);
        self.cut.store(0, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A tree that is kept, as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) route: RouteId,
    pub(crate) root: Record,
    pub(crate) records: Box<[Record]>,
    pub(crate) slices: Box<[(SlotRef, RawSlice)]>,
    pub(crate) cut: u64,
}

impl Kept {
    pub(crate) fn total(&self) -> u64 {
        self.root.end - self.root.start
    }
}

/// The slowest trees of each route.
#[derive(Debug)]
pub(crate) struct Slowest {
    per_route: usize,
    /// For each of the first routes the total from which on a tree is a candidate.
    thresholds: Box<[AtomicU64]>,
    kept: Mutex<Vec<Vec<Kept>>>,
    unrouted: AtomicU64,
    cut: AtomicU64,
}

impl Slowest {
    pub(crate) fn new(per_route: usize, max_routes: usize) -> Slowest {
        Slowest {
            per_route,
            thresholds: (0..=max_routes).map(|_| AtomicU64::new(0)).collect(),
            kept: Mutex::default(),
            unrouted: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.per_route > 0
    }

    pub(crate) fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Keeps a tree that has just closed, if it is among the slowest of its route.
    #[inline]
    pub(crate) fn offer(
        &self,
        route: RouteId,
        total: u64,
        tree: Option<&Tree>,
        missed: u64,
        root: impl FnOnce() -> Record,
    ) {
        if !self.is_on() {
            return;
        }
        match self.thresholds.get(route.0 as usize) {
            Some(threshold) if total >= threshold.load(Ordering::Relaxed) => {
                self.keep(route, threshold, tree, missed, root());
            }
            Some(_) => {}
            None => {
                self.unrouted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[cold]
    fn keep(
        &self,
        route: RouteId,
        threshold: &AtomicU64,
        tree: Option<&Tree>,
        missed: u64,
        root: Record,
    ) {
        let (records, slices, cut) = match tree {
            Some(tree) => {
                let buffers = tree.lock();
                (
                    buffers.records.as_slice().into(),
                    buffers.slices.as_slice().into(),
                    tree.cut(),
                )
            }
            None => Default::default(),
        };
        let cut = cut + missed;
        self.cut.fetch_add(cut, Ordering::Relaxed);
        let kept = Kept {
            route,
            root,
            records,
            slices,
            cut,
        };
        let mut routes = self.lock();
        let index = route.0 as usize;
        if routes.len() <= index {
            routes.resize_with(index + 1, Vec::new);
        }
        let trees = &mut routes[index];
        let at = trees.partition_point(|other| other.total() >= kept.total());
        trees.insert(at, kept);
        trees.truncate(self.per_route);
        if trees.len() == self.per_route
            && let Some(last) = trees.last()
        {
            // As slow as the last is not slower.
            threshold.store(last.total() + 1, Ordering::Relaxed);
        }
    }

    /// All that are kept, the slowest first; `take`: begins anew.
    pub(crate) fn all(&self, take: bool) -> Vec<Kept> {
        let mut routes = self.lock();
        let mut all: Vec<Kept>;
        if take {
            all = std::mem::take(&mut *routes).into_iter().flatten().collect();
            for threshold in &self.thresholds {
                threshold.store(0, Ordering::Relaxed);
            }
        } else {
            all = routes.iter().flatten().cloned().collect();
        }
        drop(routes);
        all.sort_by_key(|kept| std::cmp::Reverse(kept.total()));
        all
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
