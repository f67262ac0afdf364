//! What a layer records, for all threads.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use perfwright_context::{Instance, NodeId, Word};
use tracing_core::Metadata;

use crate::clock::Source;
use crate::fields::{Interest, Seen};
use crate::local::{Entered, Local};
use crate::options::Options;
use crate::paths::{PathId, PathTree, Place, PlaceKey};
use crate::request::{Request, request};
use crate::snapshot::{Audit, PathStats, Snapshot, SpanName};
use crate::span::{SpanState, Times};
use crate::sql;
use crate::table::{SlotRef, Table};
use crate::tally::{Shard, Tallies, Tally};
use crate::tree::{RawSlice, Record, Slowest, Tree};

/// The records of one layer.
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) clock: Source,
    pub(crate) fields: Vec<String>,
    table: Table,
    paths: Mutex<PathTree>,
    shards: Mutex<Shards>,
    slowest: Slowest,
    max_tree: usize,
    live_trees: Arc<AtomicUsize>,
    /// The number of the next instance; `None`: words carry none.
    instances: Option<AtomicU64>,
    /// A moment in both clocks.
    epoch: (u64, i64),
}

#[derive(Debug, Default)]
struct Shards {
    live: Vec<Arc<Shard>>,
    retired: Tallies,
    threads: u32,
    /// When the recording began.
    began: u64,
}

/// Where a new span hangs.
pub(crate) enum Parent {
    /// Below what the thread is in.
    Current,
    None,
    Span(Above),
}

/// An open span, as its child needs it.
#[derive(Clone, Copy)]
pub(crate) struct Above {
    slot: SlotRef,
    path: PathId,
    word: Word,
}

impl fmt::Debug for Shared {
    /// Not of the records: a subscriber that is printed prints its layers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Shared");
        fields
            .field("id", &self.id)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// The layers of the process, for [`installed`](crate::installed).
static LAYERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

pub(crate) fn latest() -> Option<Arc<Shared>> {
    let mut layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
    layers.retain(|layer| layer.strong_count() > 0);
    layers.iter().rev().find_map(Weak::upgrade)
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Shared> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let clock = options.clock.map_or_else(Source::fastest, Source::Custom);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = since.map_or(0, |since| since.as_nanos() as i64);
        let now = clock.now();
        let shards = Shards {
            began: now,
            ..Shards::default()
        };
        let shared = Arc::new(Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            clock,
            fields: options.fields,
            table: Table::new(options.max_open),
            paths: Mutex::new(PathTree::new(options.max_paths)),
            shards: Mutex::new(shards),
            slowest: Slowest::new(options.slowest, options.max_routes),
            max_tree: options.max_tree.max(1),
            live_trees: Arc::default(),
            instances: options.instances.then(|| AtomicU64::new(1)),
            epoch: (now, unix),
        });
        let mut layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
        layers.retain(|layer| layer.strong_count() > 0);
        layers.push(Arc::downgrade(&shared));
        shared
    }

    /// A shard for a thread, and the thread's number.
    pub(crate) fn add_shard(&self) -> (Arc<Shard>, u32) {
        let shard = Arc::new(Shard::default());
        let mut shards = self.shards();
        shards.live.push(shard.clone());
        shards.threads += 1;
        (shard, shards.threads)
    }

    /// Takes over what a thread that ends has recorded.
    pub(crate) fn retire(&self, shard: &Arc<Shard>) {
        let mut shards = self.shards();
        shards.live.retain(|other| !Arc::ptr_eq(other, shard));
        shards.retired.merge(&shard.lock());
    }

    pub(crate) fn new_tree(&self) -> Option<Arc<Tree>> {
        Tree::new(self.max_tree, &self.live_trees)
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paths(&self) -> MutexGuard<'_, PathTree> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of a span, as its thread sees it.
impl Shared {
    /// What a child of the span `id` needs of it; `None` if it is not followed.
    pub(crate) fn above(&self, id: u64) -> Option<Above> {
        let (slot, tenant) = self.table.get(id)?;
        Some(Above {
            slot,
            path: tenant.span.path,
            word: tenant.span.word,
        })
    }

    pub(crate) fn opened(
        &self,
        local: &mut Local,
        id: u64,
        metadata: &'static Metadata<'static>,
        parent: &Parent,
        now: u64,
    ) -> Interest {
        local.last_exit = None;
        let callsite = std::ptr::from_ref(metadata) as usize;
        let (above, origin, tree) = self.join(local, parent, now);
        let place = self.place(local, callsite as u64, above, origin, || {
            (
                span_name(metadata),
                Interest::in_span(metadata, &self.fields),
            )
        });
        if place.is_labelled
            && let Some(tree) = &tree
        {
            tree.set_route(place.route);
        }
        let instance = self.instances.as_ref().and_then(|next| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            Instance::acquire(number)
        });
        let opened = self.table.open(id, |span| {
            span.open(now);
            (span.path, span.route, span.is_labelled) =
                (place.path, place.route, place.is_labelled);
            (span.origin, span.parent) = (origin, above.map(|above| above.slot));
            span.word = Word::new(place.node).with_instance(instance);
            (span.instance, span.tree) = (instance, tree);
        });
        if opened.is_none() {
            local.shard.lock().untracked += 1;
            if let Some(mut tenant) = above.and_then(|above| self.table.at(above.slot)) {
                tenant.span.child_closed(now);
            }
            if let Some(instance) = instance {
                instance.release();
            }
        }
        place.interest
    }

    /// Tells the parent of a new span that it has a child. The parent, the context that the span is created
    /// in, and the tree that both belong to.
    #[inline]
    fn join(
        &self,
        local: &mut Local,
        parent: &Parent,
        now: u64,
    ) -> (Option<Above>, NodeId, Option<Arc<Tree>>) {
        loop {
            let (above, origin) = local.above(parent);
            let Some(slot) = above.map(|above| above.slot) else {
                return (None, origin, None);
            };
            if let Some(mut tenant) = self.table.at(slot) {
                tenant.span.child_opened(now);
                return (above, origin, self.tree(local, &mut tenant.span).cloned());
            }
            // It was closed while it was entered.
            if !local.forget(slot) {
                return (None, origin, None);
            }
        }
    }

    pub(crate) fn entered(&self, local: &mut Local, id: u64, now: u64) {
        let Some((slot, mut tenant)) = self.table.get(id) else {
            return;
        };
        let again = tenant.span.is_entered() && local.has_entered(slot);
        let entered = Entered {
            id,
            slot,
            path: tenant.span.path,
            word: tenant.span.word,
            start: now,
            self_busy: 0,
            before: perfwright_context::current(),
            again,
        };
        if !local.push(entered) {
            return;
        }
        if !again {
            tenant.span.enter(now);
        }
        #[cfg(feature = "tokio")]
        if let Some(instance) = tenant.span.instance
            && let Some(task) = crate::spawn::task_number()
        {
            instance.set_task(task);
        }
        perfwright_context::set(tenant.span.word);
    }

    pub(crate) fn exited(&self, local: &mut Local, id: u64, now: u64) {
        let Some((entered, word)) = local.pop(id, now) else {
            // Of a span that is not followed we saw no enter either.
            let is_stray = self.table.get(id).is_some();
            local.shard.lock().stray_exits += u64::from(is_stray);
            return;
        };
        match word {
            Some(word) => {
                perfwright_context::set(word);
            }
            None => self.forget_closed(local),
        }
        local.last_exit = Some(entered.slot);
        if entered.again {
            return;
        }
        let Some(mut tenant) = self.table.at(entered.slot) else {
            return;
        };
        let span = &mut tenant.span;
        let slice = RawSlice {
            start: entered.start,
            end: now.max(entered.start),
            thread: local.thread,
        };
        if span.polls == 0 {
            span.first = slice;
        } else if let Some(tree) = self.tree(local, span) {
            tree.push_slice(entered.slot, slice);
        }
        span.last_thread = local.thread;
        span.exit(now, slice.end - slice.start, entered.self_busy);
    }

    /// Leaves spans that were closed while they were entered, as far as the thread is in nothing else.
    #[cold]
    fn forget_closed(&self, local: &mut Local) {
        while let Some(slot) = local.entered.last().map(|last| last.slot) {
            if self.table.at(slot).is_some() || !local.forget(slot) {
                return;
            }
        }
    }

    /// `local` is missing on a thread that is ending.
    pub(crate) fn closed(&self, local: Option<&mut Local>, id: u64, now: u64) {
        // A future's drop enters its span and leaves it, and then lets go of it: the last exit was here, just
        // now.
        let last_exit = local
            .as_ref()
            .and_then(|local| Some((local.last_exit?, local.thread)));
        let closed = self.table.close(id, |slot, span| {
            if let Some(instance) = span.instance.take() {
                instance.release();
            }
            let times = span.close(now, last_exit == Some((slot, span.last_thread)));
            match &local {
                Some(local) => local.shard.lock().of(span.path).add(&times, span.error),
                None => self.shards().retired.of(span.path).add(&times, span.error),
            }
            let (tree, fields) = (span.tree.take(), span.fields.take());
            let record = || Record {
                slot,
                parent: span.parent,
                path: span.path,
                start: times.start,
                end: times.end,
                busy: times.busy,
                polls: times.polls,
                first: span.first,
                error: span.error,
                fields,
            };
            if span.parent.is_none() {
                let below = tree.as_ref().and_then(|tree| tree.route());
                let route = below.filter(|_| !span.is_labelled).unwrap_or(span.route);
                let missed = span.missed;
                self.slowest
                    .offer(route, times.total(), tree.as_deref(), missed, record);
                return (None, tree);
            }
            if let Some(tree) = tree {
                tree.push(record);
            }
            (span.parent, None)
        });
        let Some((parent, tree)) = closed else {
            return;
        };
        if let Some(mut tenant) = parent.and_then(|parent| self.table.at(parent)) {
            tenant.span.child_closed(now);
        }
        if let (Some(tree), Some(local)) = (tree, local) {
            local.give_tree(tree);
        }
    }

    /// Notes what fields of a span said, at its creation or later.
    pub(crate) fn noted(&self, local: &mut Local, id: u64, mut seen: Seen<'_>) {
        let name = match seen
            .statement
            .as_deref()
            .filter(|sql| !sql.trim().is_empty())
        {
            Some(statement) => Some((hash(statement), Name::Statement(statement))),
            None => seen
                .request()
                .map(|request| (hash(&request), Name::Text(request))),
        };
        if let Some((hash, name)) = name {
            self.rename(local, id, hash, &name);
        }
        let Some((_, mut tenant)) = self.table.get(id) else {
            return;
        };
        tenant.span.error |= seen.error;
        self.keep_fields(&mut tenant.span, &mut seen);
    }

    /// Names a span by what it asks for: as long as it has done nothing under its old name.
    fn rename(&self, local: &mut Local, id: u64, hash: u64, name: &Name<'_>) {
        let Some((slot, tenant)) = self.table.get(id) else {
            return;
        };
        if !tenant.span.is_untouched() {
            return;
        }
        let (parent, origin, path) = (tenant.span.parent, tenant.span.origin, tenant.span.path);
        drop(tenant);
        let above = parent.and_then(|slot| {
            let tenant = self.table.at(slot)?;
            Some(Above {
                slot,
                path: tenant.span.path,
                word: tenant.span.word,
            })
        });
        if path == PathId::OTHER {
            return;
        }
        // The old path is the callsite's: mixed with the text it tells what is asked for.
        let key = hash ^ (u64::from(path.0) << 32);
        let place = self.place(local, key, above, origin, || {
            let old = self.paths().name(path).clone();
            let name = SpanName {
                name: name.text(),
                ..old
            };
            (name, Interest::default())
        });
        if let Some(mut tenant) = self.table.at(slot) {
            let span = &mut tenant.span;
            (span.path, span.route) = (place.path, place.route);
            span.is_labelled = place.is_labelled;
            span.word = span.word.with_node(place.node);
        }
    }

    /// Notes an event: in the span `id`, in what the thread is in (`None`), or in none.
    pub(crate) fn happened(
        &self,
        local: &mut Local,
        parent: &Parent,
        metadata: &'static Metadata<'static>,
        seen: &mut Seen<'_>,
        is_query: bool,
        now: u64,
    ) {
        let (above, origin) = local.above(parent);
        if let Some(mut tenant) = above.and_then(|above| self.table.at(above.slot)) {
            tenant.span.error |= *metadata.level() == tracing_core::Level::ERROR;
            self.keep_fields(&mut tenant.span, seen);
        }
        if !is_query {
            return;
        }
        let Some(elapsed) = seen.elapsed_ns else {
            return;
        };
        let name = seen
            .query()
            .map_or(Name::Fixed("acquire connection"), Name::Statement);
        let callsite = std::ptr::from_ref(metadata) as u64;
        let place = self.place(local, callsite ^ name.hash(), above, origin, || {
            let name = SpanName {
                name: name.text(),
                target: metadata.target().into(),
                // The callsite is the library's, and says nothing about the query.
                ..SpanName::default()
            };
            (name, Interest::default())
        });
        let mut times = Times {
            start: now.saturating_sub(elapsed),
            end: now,
            ..Times::default()
        };
        let mut tree = None;
        if let Some(mut tenant) = above.and_then(|above| self.table.at(above.slot)) {
            times.idle = tenant.span.explain(times.total());
            times.self_idle = times.idle;
            tree = self.tree(local, &mut tenant.span).cloned();
        }
        if let Some(tree) = tree {
            let parent = above.map(|above| above.slot);
            tree.push(|| Record::new(SlotRef::NONE, parent, place.path, &times));
        }
        let mut tallies = local.shard.lock();
        let tally = tallies.of(place.path);
        tally.add(&times, false);
        tally.rows = tally.rows.saturating_add(seen.rows());
    }

    fn keep_fields(&self, span: &mut SpanState, seen: &mut Seen<'_>) {
        if self.slowest.is_on() && !seen.fields.is_empty() {
            let fields = std::mem::take(&mut seen.fields);
            span.fields.get_or_insert_default().extend(fields);
        }
    }

    /// The tree of a span, which a root gets when it is first asked for.
    #[inline]
    fn tree<'a>(&self, local: &mut Local, span: &'a mut SpanState) -> Option<&'a Arc<Tree>> {
        if span.tree.is_none() && span.parent.is_none() && self.slowest.is_on() {
            span.tree = local.take_tree(self);
            span.missed += u64::from(span.tree.is_none());
        }
        span.tree.as_ref()
    }

    #[inline]
    fn place(
        &self,
        local: &mut Local,
        callsite: u64,
        above: Option<Above>,
        origin: NodeId,
        name: impl FnOnce() -> (SpanName, Interest),
    ) -> Place {
        let parent = above.map(|above| (above.path, above.word.node()));
        let key = PlaceKey {
            callsite,
            parent,
            word: origin,
        };
        if let Some(place) = local.place(&key) {
            return place;
        }
        local.meet(key, || {
            let (name, interest) = name();
            let place = self.paths().place(&name, parent, origin);
            Place { interest, ..place }
        })
    }
}

/// What names a span or a query in place of its callsite.
enum Name<'a> {
    Statement(&'a str),
    Text(String),
    Fixed(&'static str),
}

impl Name<'_> {
    fn text(&self) -> String {
        match self {
            Name::Statement(sql) => sql::template(sql),
            Name::Text(text) => text.clone(),
            Name::Fixed(text) => (*text).to_owned(),
        }
    }

    fn hash(&self) -> u64 {
        match self {
            Name::Statement(text) | Name::Fixed(text) => hash(text),
            Name::Text(text) => hash(text),
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn span_name(metadata: &Metadata<'_>) -> SpanName {
    SpanName {
        name: metadata.name().into(),
        target: metadata.target().into(),
        file: metadata.file().unwrap_or_default().into(),
        line: metadata.line(),
    }
}

impl Local {
    /// The parent that is meant, and the context in which the new span is created.
    #[inline]
    fn above(&self, parent: &Parent) -> (Option<Above>, NodeId) {
        match parent {
            Parent::Current => {
                // As the `Registry` has it: an enter of what is entered already does not count.
                let last = self.entered.iter().rfind(|entered| !entered.again);
                let above = last.map(|last| Above {
                    slot: last.slot,
                    path: last.path,
                    word: last.word,
                });
                (above, perfwright_context::current().node())
            }
            Parent::Span(above) => (Some(*above), above.word.node()),
            // Not below what the thread is in: the context is what it was outside all spans.
            Parent::None => {
                let outside = self.entered.first().map(|first| first.before);
                let word = outside.unwrap_or_else(perfwright_context::current);
                (None, word.node())
            }
        }
    }

    /// Removes a span that was closed while it was entered from the end of the list.
    fn forget(&mut self, slot: SlotRef) -> bool {
        let before = self.entered.len();
        while let Some(last) = self.entered.pop_if(|last| last.slot == slot) {
            perfwright_context::set(last.before);
        }
        self.entered.len() < before
    }
}

/// What was recorded.
impl Shared {
    pub(crate) fn snapshot(&self, take: bool) -> Snapshot {
        let now = self.clock.now();
        let mut sum = Tallies::default();
        let mut shards = self.shards();
        for shard in &shards.live {
            let mut tallies = shard.lock();
            sum.merge(&tallies);
            if take {
                *tallies = Tallies::default();
            }
        }
        sum.merge(&shards.retired);
        let began = shards.began;
        if take {
            shards.retired = Tallies::default();
            shards.began = now;
        }
        drop(shards);
        let mut open: HashMap<PathId, u64> = HashMap::new();
        self.table
            .for_each(|span| *open.entry(span.path).or_default() += 1);
        let mut snapshot = Snapshot {
            audit: Audit {
                open: open.values().sum(),
                paths: self.paths().len() as u64,
                untracked: sum.untracked,
                stray_exits: sum.stray_exits,
                unrouted_requests: self.slowest.unrouted(),
                cut_from_requests: self.slowest.cut(),
                ..Audit::default()
            },
            time_nanos: self.unix_nanos(began),
            duration_nanos: now.saturating_sub(began),
            ..Snapshot::default()
        };
        for path in open.keys() {
            sum.of(*path);
        }
        let paths = self.paths();
        for (path, tally) in sum.iter() {
            snapshot.audit.spans += tally.count;
            if path == PathId::OTHER {
                snapshot.audit.overflowed = tally.count;
            }
            let open = open.get(&path).copied().unwrap_or(0);
            snapshot.paths.push(stats(&paths, path, tally, open));
        }
        snapshot
    }

    pub(crate) fn slowest(&self, take: bool) -> Vec<Request> {
        let kept = self.slowest.all(take);
        let paths = self.paths();
        kept.into_iter()
            .map(|kept| request(&kept, &paths, self.unix_nanos(kept.root.start)))
            .collect()
    }

    fn unix_nanos(&self, clock: u64) -> i64 {
        let (start, unix) = self.epoch;
        unix.saturating_add(clock.saturating_sub(start) as i64)
    }
}

fn stats(paths: &PathTree, path: PathId, tally: &Tally, open: u64) -> PathStats {
    let (route, names) = paths.describe(path);
    PathStats {
        route,
        path: names,
        count: tally.count,
        open,
        polls: tally.polls,
        busy_ns: tally.busy,
        idle_ns: tally.idle,
        held_ns: tally.held,
        total_ns: tally.total,
        self_busy_ns: tally.self_busy,
        self_idle_ns: tally.self_idle,
        min_ns: if tally.count == 0 { 0 } else { tally.min },
        max_ns: tally.max,
        max_poll_ns: tally.max_poll,
        errors: tally.errors,
        rows: tally.rows,
        histogram: tally.totals.clone(),
    }
}
