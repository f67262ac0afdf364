//! Opening and closing the books: what a capture says about the time since it began.

use std::time::{SystemTime, UNIX_EPOCH};

use perfwright_model::Profile;

use super::collector::Collector;
use super::recorder::{Counts, Recorder, ThreadLabels};
use super::sys::{clock_nanos, monotonic_nanos, process_cpu_nanos, thread_clock};
use super::threads::ThreadInfo;
use crate::audit::Audit;
use crate::options::{Engine, Mode};
use crate::sampler::Capture;

/// Stands for the threads that were never seen, or ended since they were last looked at.
const UNSEEN_THREADS: &str = "(ended or unseen threads)";

/// When the current capture began, by several clocks, and what the counters said then.
pub(crate) struct Books {
    own_tid: i32,
    monotonic: u64,
    epoch_nanos: i64,
    process_cpu: u64,
    own_cpu: u64,
    dropped: u64,
    handler_nanos: u64,
    /// CPU time of the collector before sampling began; shown with the first capture.
    setup_nanos: u64,
}

impl Books {
    /// Opens the books now. `setup_nanos`: what getting here took the collector.
    pub(crate) fn open(collector: &Collector, own_tid: i32, setup_nanos: u64) -> Books {
        let (dropped, handler_nanos) = collector.slot_counters();
        Books {
            own_tid,
            monotonic: monotonic_nanos(),
            epoch_nanos: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)),
            process_cpu: process_cpu_nanos(),
            own_cpu: clock_nanos(thread_clock(own_tid)).unwrap_or(0),
            dropped,
            handler_nanos,
            setup_nanos,
        }
    }
}

/// What the clocks say about a window.
struct Window {
    duration: u64,
    /// Without the collector's.
    process_cpu: u64,
    own_cpu: u64,
    dropped: u64,
    handler: u64,
}

/// Makes a capture of everything since the books were opened; with `reset` the collector begins afresh.
pub(crate) fn capture(collector: &mut Collector, books: &mut Books, reset: bool) -> Capture {
    // The process clock first: what threads use meanwhile must not look like unseen threads.
    let window = window(collector, books);
    let time_nanos = books.epoch_nanos;
    collector.settle();
    let mut recorder = if reset {
        let fresh = collector.recorder.fresh(&collector.options);
        std::mem::replace(&mut collector.recorder, fresh)
    } else {
        collector.recorder.copy_for_capture()
    };
    if collector.options.mode == Mode::Cpu {
        record_lost(collector, &mut recorder, &window);
    }
    let audit = audit(collector, &recorder.counts, &window);
    if reset {
        *books = Books::open(collector, books.own_tid, 0);
        collector.open_books();
    }
    finish(recorder.profile, audit, &window, time_nanos)
}

fn finish(mut profile: Profile, audit: Audit, window: &Window, time_nanos: i64) -> Capture {
    profile.meta.time_nanos = Some(time_nanos);
    profile.meta.duration_nanos = i64::try_from(window.duration).ok();
    profile.meta.comments = audit.to_comments();
    Capture { profile, audit }
}

fn window(collector: &Collector, books: &Books) -> Window {
    let own_cpu = clock_nanos(thread_clock(books.own_tid)).unwrap_or(books.own_cpu) - books.own_cpu;
    let process_cpu = process_cpu_nanos() - books.process_cpu;
    let (dropped, handler) = collector.slot_counters();
    Window {
        duration: monotonic_nanos() - books.monotonic,
        process_cpu: process_cpu.saturating_sub(own_cpu),
        own_cpu: own_cpu + books.setup_nanos,
        dropped: dropped - books.dropped,
        handler: handler - books.handler_nanos,
    }
}

/// The leaves for time without samples: each live thread's, and that of threads nobody saw. Ended threads had
/// theirs when they ended.
fn record_lost(collector: &Collector, recorder: &mut Recorder, window: &Window) {
    let period = collector.period_nanos();
    for thread in collector.threads.values() {
        let lost = thread.lost_nanos(period);
        if lost > 0 {
            recorder.record_lost(&thread.labels(), lost);
        }
    }
    let unseen = window
        .process_cpu
        .saturating_sub(collector.explained_nanos());
    if unseen > period {
        let info = ThreadInfo {
            tid: 0,
            start_time: 0,
            name: UNSEEN_THREADS.into(),
        };
        recorder.record_lost(
            &ThreadLabels {
                key: u32::MAX,
                info: &info,
            },
            unseen,
        );
    }
}

fn audit(collector: &Collector, counts: &Counts, window: &Window) -> Audit {
    let options = &collector.options;
    let sampled_time = match options.mode {
        Mode::Cpu => window.process_cpu,
        Mode::Wall => counts.sampled_nanos,
    };
    let effective = if sampled_time == 0 {
        0.0
    } else {
        counts.delivered as f64 * 1e9 / sampled_time as f64
    };
    let expected = match options.mode {
        Mode::Cpu => window.process_cpu / collector.period_nanos(),
        Mode::Wall => counts.delivered + window.dropped,
    };
    Audit {
        engine: collector.engine,
        mode: options.mode,
        frequency_asked_hz: options.frequency_hz,
        frequency_effective_hz: (effective * 10.0).round() / 10.0,
        expected,
        delivered: counts.delivered,
        delivered_effective: counts.effective().round() as u64,
        dropped: window.dropped,
        truncated: counts.truncated,
        rootless: counts.rootless,
        unknown_stack: counts.unknown_stack,
        repaired: counts.repaired,
        over_memory: counts.over_memory,
        threads_seen: collector.totals.threads_seen,
        threads_overflow: collector.totals.threads_overflow,
        duration_nanos: window.duration,
        cpu_nanos: window.process_cpu,
        sampled_nanos: counts.sampled_nanos,
        lost_nanos: counts.lost_nanos,
        own_cpu_nanos: window.own_cpu + window.handler,
        handler_nanos: window.handler,
        tick_limited: is_tick_limited(collector),
        sees_kernel: options.mode == Mode::Cpu && collector.totals.kernel_unseen == 0,
        frame_pointers: collector.image.has_frame_pointers(),
        notes: notes(collector, window),
    }
}

fn is_tick_limited(collector: &Collector) -> bool {
    collector.options.mode == Mode::Cpu
        && (collector.engine == Engine::Timer || collector.totals.timer_fallbacks > 0)
}

fn notes(collector: &Collector, window: &Window) -> Vec<String> {
    let mut notes = collector.notes.clone();
    if is_tick_limited(collector) {
        let hz = 1_000_000_000 / collector.tick_nanos.max(1);
        notes.push(format!(
            "tick-limited: CPU timers are looked at in the kernel's tick ({hz} Hz); totals are right, but work \
             in step with the tick lands on the wrong function"
        ));
    }
    let totals = &collector.totals;
    if totals.kernel_unseen > 0 {
        notes.push(
            "time in the kernel is not sampled, because perf events of an unprivileged process exclude it; \
             set kernel.perf_event_paranoid to 1 or less, or use the timer engine"
                .into(),
        );
    }
    if totals.timer_fallbacks > 0 {
        notes.push(format!(
            "{} threads were sampled by timers because file descriptors ran out; raise ulimit -n",
            totals.timer_fallbacks
        ));
    }
    if totals.threads_overflow > 0 {
        notes.push(format!(
            "{} threads were not sampled; raise max_threads or the limit of pending signals (ulimit -i)",
            totals.threads_overflow
        ));
    }
    if collector.image.has_frame_pointers() == Some(false) {
        notes.push(
            "the program was built without frame pointers: its stacks are unwound by its tables, which costs \
             more; build with -C force-frame-pointers=yes"
                .into(),
        );
    }
    if window.dropped > 0 {
        notes.push("samples were dropped because the collector got too little CPU time".into());
    }
    if super::handler::is_foreign().unwrap_or(false) {
        notes.push(
            "somebody else replaced the SIGPROF handler while sampling: samples are missing".into(),
        );
    }
    notes
}
