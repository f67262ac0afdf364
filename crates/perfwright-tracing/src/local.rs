//! What a thread keeps for a layer: the spans it has entered, its tallies, what it remembers of paths.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Weak};

use perfwright_context::Word;

use crate::fields::Interest;
use crate::paths::{MAX_CACHED, Mix, PathId, Place, PlaceCache, PlaceKey, RECENT};
use crate::shared::Shared;
use crate::table::SlotRef;
use crate::tally::Shard;
use crate::tree::Tree;

/// Enters without exit beyond these are not followed: nobody nests so deep, but guards can be forgotten.
const MAX_ENTERED: usize = 4_096;

/// How many emptied trees a thread keeps for its next roots.
const MAX_SPARE: usize = 8;

/// A span that the thread has entered.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) id: u64,
    pub(crate) slot: SlotRef,
    pub(crate) path: PathId,
    pub(crate) word: Word,
    pub(crate) start: u64,
    /// How long it was the last of the list.
    pub(crate) self_busy: u64,
    /// The thread's word before.
    pub(crate) before: Word,
    /// The thread has entered it before, further up in the list.
    pub(crate) again: bool,
}

/// A layer's state on one thread.
#[derive(Debug)]
pub(crate) struct Local {
    layer: u64,
    shared: Weak<Shared>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) thread: u32,
    /// In the order of their enters. The last one is what the thread is in.
    pub(crate) entered: Vec<Entered>,
    /// Up to when the time of the last one of the list is accounted for.
    mark: u64,
    /// The span of the last exit, unless anything happened since.
    pub(crate) last_exit: Option<SlotRef>,
    /// The places of late, each where its key says: most spans are of few paths.
    recent: Box<[Option<(PlaceKey, Place)>; RECENT]>,
    places: PlaceCache,
    event_interests: HashMap<usize, Interest, BuildHasherDefault<Mix>>,
    spare: Vec<Arc<Tree>>,
}

thread_local! {
    static LOCALS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with the thread's state for a layer. `None` where there is none any more (the thread is
/// ending), or we are in its midst (a `Debug` that traces, an allocator that does).
#[inline]
pub(crate) fn with<T>(shared: &Arc<Shared>, work: impl FnOnce(&mut Local) -> T) -> Option<T> {
    LOCALS
        .try_with(|locals| {
            let mut locals = locals.try_borrow_mut().ok()?;
            if locals.first().is_none_or(|local| local.layer != shared.id) {
                find_or_add(&mut locals, shared);
            }
            Some(work(locals.first_mut()?))
        })
        .ok()?
}

/// Makes the state for this layer the first of the list.
#[cold]
fn find_or_add(locals: &mut Vec<Local>, shared: &Arc<Shared>) {
    match locals.iter().position(|local| local.layer == shared.id) {
        Some(at) => locals.swap(0, at),
        None => {
            locals.retain(|local| local.shared.strong_count() > 0);
            locals.insert(0, Local::new(shared));
        }
    }
}

impl Local {
    fn new(shared: &Arc<Shared>) -> Local {
        let (shard, thread) = shared.add_shard();
        Local {
            layer: shared.id,
            shared: Arc::downgrade(shared),
            shard,
            thread,
            entered: Vec::new(),
            mark: 0,
            last_exit: None,
            recent: Box::new([None; RECENT]),
            places: PlaceCache::default(),
            event_interests: HashMap::default(),
            spare: Vec::new(),
        }
    }

    /// Charges the time since the last event to the innermost span.
    #[inline]
    fn advance(&mut self, now: u64) {
        if let Some(last) = self.entered.last_mut() {
            last.self_busy += now.saturating_sub(self.mark);
        }
        self.mark = now;
    }

    /// The thread enters a span; `false` if too many are entered already.
    #[inline]
    pub(crate) fn push(&mut self, entered: Entered) -> bool {
        if self.entered.len() >= MAX_ENTERED {
            return false;
        }
        self.advance(entered.start);
        self.last_exit = None;
        self.entered.push(entered);
        true
    }

    /// The thread leaves a span: the latest enter of it, and the word to go back to if it was the innermost.
    #[inline]
    pub(crate) fn pop(&mut self, id: u64, now: u64) -> Option<(Entered, Option<Word>)> {
        let (mut entered, word) = match self.entered.pop_if(|last| last.id == id) {
            Some(mut last) => {
                last.self_busy += now.saturating_sub(self.mark);
                self.mark = now;
                let before = last.before;
                (last, Some(before))
            }
            None => (self.remove(id, now)?, None),
        };
        if entered.again
            && let Some(outer) = self
                .entered
                .iter_mut()
                .rfind(|outer| outer.slot == entered.slot)
        {
            // One stay in the span, of which this was a part.
            outer.self_busy += entered.self_busy;
            entered.self_busy = 0;
        }
        Some((entered, word))
    }

    /// Takes out the latest enter of a span that is not the innermost.
    #[cold]
    fn remove(&mut self, id: u64, now: u64) -> Option<Entered> {
        let at = self.entered.iter().rposition(|entered| entered.id == id)?;
        self.advance(now);
        let entered = self.entered.remove(at);
        // Those further in stay entered; the last of them goes back to where this one came from.
        if let Some(next) = self.entered.get_mut(at) {
            next.before = entered.before;
        }
        Some(entered)
    }

    pub(crate) fn has_entered(&self, slot: SlotRef) -> bool {
        self.entered.iter().any(|entered| entered.slot == slot)
    }

    /// The place of a span, where it is known.
    #[inline]
    pub(crate) fn place(&self, key: &PlaceKey) -> Option<Place> {
        match &self.recent[key.slot()] {
            Some((known, place)) if known == key => Some(*place),
            _ => None,
        }
    }

    /// The place of a span that `ask` is asked for if it was not met before.
    #[cold]
    pub(crate) fn meet(&mut self, key: PlaceKey, ask: impl FnOnce() -> Place) -> Place {
        if self.places.len() >= MAX_CACHED {
            self.places.clear();
        }
        let place = *self.places.entry(key).or_insert_with(ask);
        self.recent[key.slot()] = Some((key, place));
        place
    }

    /// What the fields of an event's callsite may tell. Callsites are static, so these are as many as the
    /// program has.
    #[inline]
    pub(crate) fn event_interest(
        &mut self,
        callsite: usize,
        ask: impl FnOnce() -> Interest,
    ) -> Interest {
        *self.event_interests.entry(callsite).or_insert_with(ask)
    }

    pub(crate) fn take_tree(&mut self, shared: &Shared) -> Option<Arc<Tree>> {
        self.spare.pop().or_else(|| shared.new_tree())
    }

    /// Takes back the tree of a root that was closed.
    pub(crate) fn give_tree(&mut self, tree: Arc<Tree>) {
        // Where a child outlives its root, what it leaves behind goes nowhere.
        if Arc::strong_count(&tree) == 1 && self.spare.len() < MAX_SPARE {
            tree.clear();
            self.spare.push(tree);
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.retire(&self.shard);
        }
    }
}
