//! What closed spans add up to: one tally per thread and path, added up when somebody asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::histogram::Histogram;
use crate::paths::PathId;
use crate::span::Times;

/// The sums of one path.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) polls: u64,
    pub(crate) busy: u64,
    pub(crate) self_busy: u64,
    pub(crate) idle: u64,
    pub(crate) self_idle: u64,
    pub(crate) held: u64,
    pub(crate) total: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) max_poll: u64,
    pub(crate) errors: u64,
    pub(crate) rows: u64,
    pub(crate) totals: Histogram,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            count: 0,
            polls: 0,
            busy: 0,
            self_busy: 0,
            idle: 0,
            self_idle: 0,
            held: 0,
            total: 0,
            min: u64::MAX,
            max: 0,
            max_poll: 0,
            errors: 0,
            rows: 0,
            totals: Histogram::default(),
        }
    }
}

impl Tally {
    #[inline]
    pub(crate) fn add(&mut self, times: &Times, error: bool) {
        let total = times.total();
        self.count += 1;
        self.polls += times.polls;
        self.busy += times.busy;
        self.self_busy += times.self_busy;
        self.idle += times.idle;
        self.self_idle += times.self_idle;
        self.held += times.held;
        self.total += total;
        self.min = self.min.min(total);
        self.max = self.max.max(total);
        self.max_poll = self.max_poll.max(times.max_poll);
        self.errors += u64::from(error);
        self.totals.record(total);
    }

    fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        self.polls += other.polls;
        self.busy += other.busy;
        self.self_busy += other.self_busy;
        self.idle += other.idle;
        self.self_idle += other.self_idle;
        self.held += other.held;
        self.total += other.total;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.max_poll = self.max_poll.max(other.max_poll);
        self.errors += other.errors;
        self.rows += other.rows;
        self.totals.merge(&other.totals);
    }
}

/// Tallies by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    by_path: Vec<Option<Box<Tally>>>,
    pub(crate) stray_exits: u64,
    pub(crate) untracked: u64,
}

impl Tallies {
    #[inline]
    pub(crate) fn of(&mut self, path: PathId) -> &mut Tally {
        let index = path.index();
        if index >= self.by_path.len() {
            self.by_path.resize(index + 1, None);
        }
        self.by_path[index].get_or_insert_default()
    }

    pub(crate) fn merge(&mut self, other: &Tallies) {
        self.stray_exits += other.stray_exits;
        self.untracked += other.untracked;
        for (path, tally) in other.iter() {
            self.of(path).merge(tally);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PathId, &Tally)> {
        let tallies = self.by_path.iter().enumerate();
        tallies.filter_map(|(path, tally)| Some((PathId(path as u32), tally.as_deref()?)))
    }
}

/// The tallies of one thread. The lock is the thread's own except while a snapshot is made.
#[derive(Debug, Default)]
pub(crate) struct Shard(Mutex<Tallies>);

impl Shard {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
