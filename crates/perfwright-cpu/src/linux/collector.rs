//! The collector: finds threads, arms and disarms them, drains their rings, keeps the books.
//!
//! Its state is behind one lock, which its own thread takes once a tick and captures take when they are made.
//! Signal handlers never touch it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;

use perfwright_record::loader_generation;
use perfwright_stack::{CodeMap, Image};

use super::engine::perf::PerfEvent;
use super::engine::timer::CpuTimer;
use super::engine::{Armed, wall};
use super::handler;
use super::recorder::{Recorder, ThreadLabels};
use super::ring::flags;
use super::slots::{self, MAX_SLOTS, Slot};
use super::sys::{
    clock_nanos, monotonic_nanos, next_random, random_seed, thread_clock, tick_nanos,
};
use super::threads::{self, ThreadInfo};
use crate::options::{Engine, Mode, Options};

/// Threads are listed afresh at least this often, for their names and clocks.
const SCAN_NANOS: u64 = 100_000_000;
/// Mappings are read afresh at most, and while samples come at least, this often.
const REFRESH_MIN_NANOS: u64 = 50_000_000;
const REFRESH_MAX_NANOS: u64 = 2_000_000_000;
/// Until this age a thread's name is read again at each scan: threads are named after they start.
const NAMING_NANOS: u64 = 1_000_000_000;
/// A timer signal that stands for more than this many ticks came late because the thread was in the kernel or
/// blocked signals. Fewer ticks pass unseen on a busy virtual machine too: with 14 runnable threads on 2 CPUs
/// and nothing blocked, one signal stood for 63 ms (16 ticks) at 250 Hz.
const LONGEST_TICKS: u64 = 25;
/// A thread that ran for less than one part in this many of the time since its last turn counts as waiting: it
/// wakes for our own signal, too.
const IDLE_ONE_IN: u64 = 100;
/// Maps that a handler may still be reading are kept; with more than this waiting, none is published.
const MAX_RETIRED_MAPS: usize = 16;

/// One thread of the process.
pub(crate) struct Thread {
    pub(crate) info: ThreadInfo,
    pub(crate) key: u32,
    /// `None`: not sampled, for want of a slot.
    slot: Option<u32>,
    armed: Option<Armed>,
    found_nanos: u64,
    /// Its CPU clock when the books were opened, and when it was last read.
    cpu_base: u64,
    cpu_last: u64,
    /// What its samples stand for since the books were opened.
    accounted_nanos: u64,
    /// Wall mode: when, and at which CPU time, it was last interrupted.
    wall_last: u64,
    wall_cpu: u64,
}

impl Thread {
    pub(crate) fn labels(&self) -> ThreadLabels<'_> {
        ThreadLabels {
            key: self.key,
            info: &self.info,
        }
    }

    /// CPU time without a sample, unless it is less than one sample would stand for.
    pub(crate) fn lost_nanos(&self, period_nanos: u64) -> u64 {
        let lost = (self.cpu_last - self.cpu_base).saturating_sub(self.accounted_nanos);
        if lost > period_nanos { lost } else { 0 }
    }

    /// The CPU time that this thread's row in the books explains.
    fn explained_nanos(&self) -> u64 {
        (self.cpu_last - self.cpu_base).max(self.accounted_nanos)
    }

    fn open_books(&mut self) {
        self.cpu_base = self.cpu_last;
        self.accounted_nanos = 0;
    }
}

/// What is counted over threads that came and went.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) threads_seen: u64,
    pub(crate) threads_overflow: u64,
    /// Threads that got a timer though the engine is perf.
    pub(crate) timer_fallbacks: u64,
    /// Threads whose perf event excludes the kernel.
    pub(crate) kernel_unseen: u64,
    pub(crate) dropped: u64,
    pub(crate) handler_nanos: u64,
    /// CPU time of ended threads.
    pub(crate) explained_nanos: u64,
}

pub(crate) struct Collector {
    pub(crate) options: Options,
    pub(crate) engine: Engine,
    pub(crate) image: Image,
    pub(crate) recorder: Recorder,
    pub(crate) threads: HashMap<i32, Thread>,
    pub(crate) totals: Totals,
    /// What a reader of the profile should know from the start on.
    pub(crate) notes: Vec<String>,
    pub(crate) tick_nanos: u64,
    own_tid: i32,
    period_nanos: u64,
    #[expect(
        clippy::vec_box,
        reason = "a handler may hold a pointer into the box: it must not move"
    )]
    retired_maps: Vec<Box<CodeMap>>,
    free_slots: Vec<u32>,
    next_slot: u32,
    next_key: u32,
    thread_count: u64,
    scanned_nanos: u64,
    refreshed_nanos: u64,
    loader_generation: u64,
    /// A stack or module that the map did not know was seen.
    is_map_stale: bool,
    random: u64,
    /// Wall mode: whose turn it is.
    turn: Vec<i32>,
    is_stopping: bool,
}

impl Collector {
    pub(crate) fn new(options: Options, engine: Engine, image: Image, own_tid: i32) -> Self {
        let period_nanos = 1_000_000_000 / u64::from(options.frequency_hz);
        let tick_nanos = tick_nanos();
        // Only a timer's overrun can say that time passed in the kernel or with signals blocked.
        let max_weight_nanos = match options.mode {
            Mode::Cpu => period_nanos * 2 + LONGEST_TICKS * tick_nanos,
            Mode::Wall => u64::MAX,
        };
        Collector {
            recorder: Recorder::new(&options, max_weight_nanos),
            period_nanos,
            tick_nanos,
            notes: Vec::new(),
            options,
            engine,
            image,
            threads: HashMap::new(),
            totals: Totals::default(),
            own_tid,
            retired_maps: Vec::new(),
            free_slots: Vec::new(),
            next_slot: 0,
            next_key: 0,
            thread_count: 0,
            scanned_nanos: 0,
            refreshed_nanos: 0,
            loader_generation: 0,
            is_map_stale: false,
            random: random_seed(7),
            turn: Vec::new(),
            is_stopping: false,
        }
    }

    pub(crate) fn period_nanos(&self) -> u64 {
        self.period_nanos
    }

    /// Publishes the first map and arms the threads that exist: their books start here.
    pub(crate) fn begin(&mut self) {
        self.publish_map();
        self.scan(true);
    }

    /// One round: threads, mappings, rings. Returns how many samples came.
    pub(crate) fn tick(&mut self) -> usize {
        let now = monotonic_nanos();
        let count = threads::count().unwrap_or(0);
        if count != self.thread_count || now - self.scanned_nanos > SCAN_NANOS {
            self.is_map_stale |= count > self.thread_count;
            self.thread_count = count;
            self.scan(false);
        }
        self.refresh_image(now);
        let samples = self.drain();
        self.reclaim_maps();
        samples
    }

    /// Brings everything up to this moment, for a capture.
    pub(crate) fn settle(&mut self) {
        self.refresh_image(monotonic_nanos());
        self.drain();
        self.scan(false);
    }

    /// Drains all rings. Returns how many samples came.
    pub(crate) fn drain(&mut self) -> usize {
        let Self {
            threads,
            recorder,
            image,
            is_map_stale,
            ..
        } = self;
        threads
            .values_mut()
            .map(|thread| drain_thread(thread, recorder, image, is_map_stale))
            .sum()
    }

    /// Lists the threads: takes in new ones, lets go of ended ones, reads clocks.
    fn scan(&mut self, is_first: bool) {
        let now = monotonic_nanos();
        self.scanned_nanos = now;
        let tids = threads::tids();
        let ended: Vec<i32> = self
            .threads
            .keys()
            .copied()
            .filter(|tid| !tids.contains(tid))
            .collect();
        ended.into_iter().for_each(|tid| self.let_go(tid));
        for tid in tids {
            if tid != self.own_tid && !self.update(tid, now) && !self.is_stopping {
                self.take_in(tid, now, is_first);
            }
        }
    }

    /// Reads the clock and, while it is young, the name of a known thread. False if the thread is not known, or
    /// its TID now belongs to another.
    fn update(&mut self, tid: i32, now: u64) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        let cpu = clock_nanos(thread_clock(tid));
        let is_young = now - thread.found_nanos < NAMING_NANOS;
        // A clock that went back is another thread's.
        let is_same = cpu.is_some_and(|cpu| cpu >= thread.cpu_last);
        if is_same && !is_young {
            thread.cpu_last = cpu.unwrap_or(thread.cpu_last);
            return true;
        }
        match threads::info(tid) {
            Some(info) if is_same && info.start_time == thread.info.start_time => {
                thread.cpu_last = cpu.unwrap_or(thread.cpu_last);
                if info.name != thread.info.name {
                    thread.info = info;
                    thread.key = self.next_key;
                    self.next_key += 1;
                }
                true
            }
            _ => {
                self.let_go(tid);
                false
            }
        }
    }

    fn take_in(&mut self, tid: i32, now: u64, is_first: bool) {
        let Some(info) = threads::info(tid) else {
            return;
        };
        let Some(cpu) = clock_nanos(thread_clock(tid)) else {
            return;
        };
        let mut thread = Thread {
            info,
            key: self.next_key,
            slot: None,
            armed: None,
            found_nanos: now,
            // What a thread used before the sampler started is none of its business.
            cpu_base: if is_first { cpu } else { 0 },
            cpu_last: cpu,
            accounted_nanos: 0,
            wall_last: now,
            wall_cpu: cpu,
        };
        self.next_key += 1;
        match self.arm(&mut thread) {
            Ok(()) => self.totals.threads_seen += 1,
            // Gone between the listing and now.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {}
            Err(_) => self.totals.threads_overflow += 1,
        }
        self.threads.insert(tid, thread);
    }

    /// Gives the thread a slot and a source of signals.
    fn arm(&mut self, thread: &mut Thread) -> io::Result<()> {
        let index = self.take_slot().ok_or(io::ErrorKind::QuotaExceeded)?;
        let slot = slots::get(index as usize).ok_or(io::ErrorKind::QuotaExceeded)?;
        self.random = next_random(self.random);
        let tid = thread.info.tid;
        let armed = slot
            .assign(tid, self.period_nanos, random_seed(self.random))
            .and_then(|()| self.arm_slot(slot, index, tid));
        match armed {
            Ok(armed) => {
                thread.slot = Some(index);
                thread.armed = Some(armed);
                Ok(())
            }
            Err(error) => {
                // SAFETY: nothing sends signals for this slot.
                unsafe { slot.release() };
                self.free_slots.push(index);
                Err(error)
            }
        }
    }

    fn arm_slot(&mut self, slot: &Slot, index: u32, tid: i32) -> io::Result<Armed> {
        if self.options.mode == Mode::Wall {
            return Ok(Armed::Wall);
        }
        if self.engine == Engine::Perf {
            let first = handler::spread(self.period_nanos, self.random);
            match PerfEvent::start(slot, index, tid, first) {
                Ok(event) => {
                    self.totals.kernel_unseen += u64::from(!event.sees_kernel());
                    return Ok(Armed::Perf(event));
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    self.totals.timer_fallbacks += 1;
                    slot.period_nanos
                        .store(self.period_nanos, Ordering::Release);
                }
                Err(error) => return Err(error),
            }
        }
        // Uniform over one period, so that the thread's start and the samples are not in step.
        let first = 1 + self.random % self.period_nanos;
        CpuTimer::start(tid, slot.token(index), first, self.period_nanos).map(Armed::Timer)
    }

    fn take_slot(&mut self) -> Option<u32> {
        if let Some(index) = self.free_slots.pop() {
            return Some(index);
        }
        let index = self.next_slot;
        if index as usize >= self.options.max_threads.min(MAX_SLOTS) {
            return None;
        }
        self.next_slot += 1;
        Some(index)
    }

    /// Closes the books of an ended thread.
    fn let_go(&mut self, tid: i32) {
        let Some(mut thread) = self.threads.remove(&tid) else {
            return;
        };
        thread.armed = None;
        drain_thread(
            &mut thread,
            &mut self.recorder,
            &mut self.image,
            &mut self.is_map_stale,
        );
        if self.options.mode == Mode::Cpu {
            let lost = thread.lost_nanos(self.period_nanos);
            if lost > 0 {
                self.recorder.record_lost(&thread.labels(), lost);
            }
            self.totals.explained_nanos += thread.explained_nanos();
        }
        if let Some(index) = thread.slot {
            self.free_slot(index);
        }
    }

    fn free_slot(&mut self, index: u32) {
        let Some(slot) = slots::get(index as usize) else {
            return;
        };
        self.totals.dropped += slot.dropped.load(Ordering::Relaxed);
        self.totals.handler_nanos += slot.handler_nanos.load(Ordering::Relaxed);
        // SAFETY: its thread has ended, or all handlers are out and no source is armed.
        unsafe { slot.release() };
        self.free_slots.push(index);
    }

    /// Wall mode: interrupts the threads whose turn it is.
    pub(crate) fn interrupt_some(&mut self) {
        if self.turn.is_empty() {
            self.turn = self.threads.keys().copied().collect();
            self.turn.sort_unstable();
        }
        let count = self
            .options
            .wall_threads_per_tick
            .max(1)
            .min(self.turn.len());
        for tid in self.turn.split_off(self.turn.len() - count) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                interrupt(thread);
            }
        }
    }

    /// Turns all sources off, and takes in no more threads. Samples already taken stay in the rings.
    pub(crate) fn disarm(&mut self) {
        self.is_stopping = true;
        self.threads
            .values_mut()
            .for_each(|thread| thread.armed = None);
    }

    /// Gives slots and maps back. Call when no handler is inside and none will enter.
    pub(crate) fn give_back(&mut self) {
        for index in self
            .threads
            .values_mut()
            .filter_map(|thread| thread.slot.take())
            .collect::<Vec<_>>()
        {
            self.free_slot(index);
        }
        handler::publish(None);
        self.retired_maps.clear();
    }

    fn refresh_image(&mut self, now: u64) {
        let loader_generation = loader_generation();
        let age = now - self.refreshed_nanos;
        let is_due = loader_generation != self.loader_generation
            || (self.is_map_stale && age > REFRESH_MIN_NANOS)
            || age > REFRESH_MAX_NANOS;
        if !is_due || self.retired_maps.len() > MAX_RETIRED_MAPS {
            return;
        }
        self.refreshed_nanos = now;
        self.is_map_stale = false;
        // Unreadable maps: the old ones stay, and what they don't know is counted.
        if self.image.refresh().unwrap_or(false) {
            self.publish_map();
        }
        if loader_generation != self.loader_generation {
            self.loader_generation = loader_generation;
            self.recorder.forget_addresses();
        }
    }

    fn publish_map(&mut self) {
        self.retired_maps
            .extend(handler::publish(Some(Box::new(self.image.code_map()))));
    }

    fn reclaim_maps(&mut self) {
        if !self.retired_maps.is_empty() && handler::is_quiet() {
            self.retired_maps.clear();
        }
    }

    /// A new capture begins: what threads used so far is history.
    pub(crate) fn open_books(&mut self) {
        self.threads.values_mut().for_each(Thread::open_books);
        self.totals.explained_nanos = 0;
        self.totals.threads_seen = self
            .threads
            .values()
            .filter(|thread| thread.slot.is_some())
            .count() as u64;
        self.totals.kernel_unseen = self
            .threads
            .values()
            .filter(
                |thread| matches!(&thread.armed, Some(Armed::Perf(event)) if !event.sees_kernel()),
            )
            .count() as u64;
        self.totals.threads_overflow = self.threads.len() as u64 - self.totals.threads_seen;
        self.totals.timer_fallbacks = 0;
    }

    /// CPU time that the books of all threads explain.
    pub(crate) fn explained_nanos(&self) -> u64 {
        self.totals.explained_nanos
            + self
                .threads
                .values()
                .map(Thread::explained_nanos)
                .sum::<u64>()
    }

    /// (dropped samples, nanoseconds in handlers) since the books were opened.
    pub(crate) fn slot_counters(&self) -> (u64, u64) {
        let slots = self
            .threads
            .values()
            .filter_map(|thread| slots::get(thread.slot? as usize));
        slots.fold(
            (self.totals.dropped, self.totals.handler_nanos),
            |(dropped, nanos), slot| {
                (
                    dropped + slot.dropped.load(Ordering::Relaxed),
                    nanos + slot.handler_nanos.load(Ordering::Relaxed),
                )
            },
        )
    }
}

fn drain_thread(
    thread: &mut Thread,
    recorder: &mut Recorder,
    image: &mut Image,
    is_map_stale: &mut bool,
) -> usize {
    let Some(slot) = thread.slot.and_then(|index| slots::get(index as usize)) else {
        return 0;
    };
    let labels = ThreadLabels {
        key: thread.key,
        info: &thread.info,
    };
    let mut accounted = 0;
    // SAFETY: the collector's lock is held, so this is the only consumer.
    let samples = unsafe {
        slot.ring.drain(|record| {
            *is_map_stale |= record.header.flags & flags::PROBED != 0;
            accounted += recorder.record(&record, image, &labels);
        })
    };
    thread.accounted_nanos += accounted;
    samples
}

fn interrupt(thread: &mut Thread) {
    let Some((index, slot)) = thread
        .slot
        .and_then(|index| Some((index, slots::get(index as usize)?)))
    else {
        return;
    };
    let tid = thread.info.tid;
    let Some(cpu) = clock_nanos(thread_clock(tid)) else {
        return;
    };
    let now = monotonic_nanos();
    let (wall, used) = (now - thread.wall_last, cpu - thread.wall_cpu.min(cpu));
    if wall::interrupt(slot, index, tid, wall, used * IDLE_ONE_IN < wall) {
        thread.wall_last = now;
        thread.wall_cpu = cpu;
    }
}
