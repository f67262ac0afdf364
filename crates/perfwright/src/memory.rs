//! The process's memory beside its CPU time: the heap sampler and the timeline, and whose they are at the moment.
//!
//! The heap sampler runs from the start to the end, for it must have seen an allocation to know what lives. A
//! commanded capture changes its rate, and writes what was allocated while it ran.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perfwright_heap::{
    Capture, Options, Point, Sampler, StartError, Suspects, Timeline, Watch, WatchOptions,
};
use perfwright_model::{Importer, Period, Profile, SampleType};

use crate::control::{HeapOrder, heap_files};
use crate::moment::Moment;
use crate::output::{WriteError, write_heap, write_raw};

/// Between two readings of an always-on timeline: its 1,024 points are 17 minutes in full detail.
const PACE: Duration = Duration::from_secs(1);
/// The same in a commanded capture, which is short.
const COMMANDED_PACE: Duration = Duration::from_millis(100);

/// How memory is to be watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryOptions {
    /// `None`: the heap is not sampled.
    pub(crate) heap: Option<Options>,
    /// When a heap profile is written by itself, and to which folder.
    pub(crate) dump: Option<(WatchOptions, PathBuf)>,
}

/// The heap sampler, the timeline, and the thread that keeps it.
#[derive(Debug)]
pub(crate) struct Memory {
    options: MemoryOptions,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sampler: Option<Arc<Sampler>>,
    /// Since the sampler started.
    timeline: Option<Timeline>,
    commanded: Option<Commanded>,
    is_closed: bool,
}

/// A capture that a command ordered, from its beginning on.
#[derive(Debug)]
struct Commanded {
    out: PathBuf,
    base: Capture,
    timeline: Timeline,
}

impl Memory {
    pub(crate) fn new(options: MemoryOptions) -> Arc<Memory> {
        Arc::new(Memory {
            options,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Whether the program's allocator can be sampled.
    pub(crate) fn is_possible(&self) -> bool {
        self.options.heap.is_some() && perfwright_heap::Totals::read().is_some()
    }

    /// Starts as the options say, unless a command's order came before.
    pub(crate) fn start_always_on(self: &Arc<Self>) -> Result<(), String> {
        match self.sampler() {
            Some(_) => Ok(()),
            None => self.start(None),
        }
    }

    /// Starts the sampler if it does not run, and the thread that keeps the timeline. A program whose allocator
    /// can't be sampled is none the worse for it, so that is no error.
    pub(crate) fn start(self: &Arc<Self>, order: Option<&HeapOrder>) -> Result<(), String> {
        let Some(mut options) = self.options.heap.clone().filter(|_| self.is_possible()) else {
            return Ok(());
        };
        if let Some(order) = order {
            options = options
                .rate_bytes(order.rate_bytes)
                .epoch(Duration::from_millis(order.epoch_millis.into()));
        }
        let mut state = self.lock();
        if let Some(sampler) = &state.sampler {
            return sampler
                .set_rate_bytes(options.rate_bytes)
                .map_err(|error| error.to_string());
        }
        if state.is_closed {
            return Ok(());
        }
        match Sampler::start(options) {
            Ok(sampler) => state.sampler = Some(Arc::new(sampler)),
            Err(StartError::Unsupported | StartError::NotInstalled) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        state.timeline = Some(Timeline::new());
        drop(state);
        let memory = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("perfwright-memory".into())
            .spawn(move || memory.keep_time());
        spawned
            .map(drop)
            .map_err(|error| format!("watch the memory: {error}"))
    }

    /// What a commanded capture allocates is counted from here on.
    pub(crate) fn begin(self: &Arc<Self>, order: &HeapOrder) -> Result<(), String> {
        self.start(Some(order))?;
        let mut state = self.lock();
        if let Some(sampler) = &state.sampler {
            let mut timeline = Timeline::new();
            timeline.observe();
            let base = sampler.snapshot();
            state.commanded = Some(Commanded {
                out: order.out.clone(),
                base,
                timeline,
            });
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Ends a commanded capture and writes it.
    pub(crate) fn end(&self) -> Result<(), WriteError> {
        let (sampler, commanded) = {
            let mut state = self.lock();
            let commanded = state.commanded.take();
            (state.sampler.clone(), commanded)
        };
        let (Some(sampler), Some(commanded)) = (sampler, commanded) else {
            return Ok(());
        };
        let written = commanded.write(&sampler);
        if let Some(options) = &self.options.heap {
            // It was valid when the sampler was started.
            let _ = sampler.set_rate_bytes(options.rate_bytes);
        }
        written
    }

    /// Drops a commanded capture whose command is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        if state.commanded.take().is_some()
            && let (Some(sampler), Some(options)) = (&state.sampler, &self.options.heap)
        {
            let _ = sampler.set_rate_bytes(options.rate_bytes);
        }
    }

    /// Ends sampling for good. A commanded capture is written.
    pub(crate) fn close(&self) -> Result<(), WriteError> {
        let written = self.end();
        let mut state = self.lock();
        state.is_closed = true;
        state.sampler = None;
        self.changed.notify_all();
        written
    }

    pub(crate) fn sampler(&self) -> Option<Arc<Sampler>> {
        self.lock().sampler.clone()
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        let state = self.lock();
        let timeline = state.timeline.as_ref();
        timeline.map_or_else(Vec::new, |timeline| timeline.points().to_vec())
    }

    /// The thread: reads the memory at its pace, and dumps the heap when it is told to.
    fn keep_time(&self) {
        let mut watch = self
            .options
            .dump
            .clone()
            .map(|(options, folder)| (Watch::new(options), folder));
        let begin = Instant::now();
        let mut always_on_due = begin;
        let mut state = self.lock();
        while !state.is_closed {
            let now = Instant::now();
            if let Some(commanded) = &mut state.commanded {
                commanded.timeline.observe();
            }
            if now >= always_on_due {
                always_on_due = now + PACE;
                let reading = state.timeline.as_mut().map(Timeline::observe);
                let crossed = reading.and_then(|reading| {
                    let (watch, folder) = watch.as_mut()?;
                    let crossing = watch.decide(now - begin, &reading.process)?;
                    Some((crossing.number, folder.clone()))
                });
                if let Some((number, folder)) = crossed {
                    let sampler = state.sampler.clone();
                    drop(state);
                    dump(sampler.as_deref(), &folder, number);
                    state = self.lock();
                    continue;
                }
            }
            let pace = match state.commanded {
                Some(_) => COMMANDED_PACE,
                None => always_on_due.saturating_duration_since(Instant::now()),
            };
            state = self
                .changed
                .wait_timeout(state, pace)
                .map_or_else(|error| error.into_inner().0, |(state, _)| state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it holds is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory is scarce when this runs; what can't be written is said and forgotten.
fn dump(sampler: Option<&Sampler>, folder: &Path, number: u32) {
    let Some(sampler) = sampler else { return };
    let folder = folder.join(format!("heap-{}-{number}", std::process::id()));
    match write_heap(sampler.snapshot(), &folder) {
        Ok(()) => eprintln!(
            "perfwright: memory passed its threshold; wrote {}",
            folder.display()
        ),
        Err(error) => eprintln!("perfwright: memory passed its threshold; failed to {error}"),
    }
}

impl Commanded {
    fn write(mut self, sampler: &Sampler) -> Result<(), WriteError> {
        self.timeline.observe();
        let mut heap = during(&self.base, &sampler.snapshot());
        let moments = self.timeline.points().iter().map(Moment::from);
        let lines = moments.map(|moment| moment.to_comment());
        heap.meta.comments.extend(lines);
        let path = |name| self.out.join(name);
        write_raw(&heap, &path(heap_files::HEAP))?;
        if let Some(peak) = sampler.peak() {
            write_raw(&peak.profile, &path(heap_files::PEAK))?;
        }
        let suspects = with_growth(&sampler.suspects());
        write_raw(&suspects, &path(heap_files::SUSPECTS))
    }
}

/// What was allocated between two captures, and what is in use at the later one.
pub(crate) fn during(earlier: &Capture, later: &Capture) -> Profile {
    let mut profile = Profile::new(later.profile.sample_types().to_vec());
    profile.meta = later.profile.meta.clone();
    let spans = [&earlier.profile.meta, &later.profile.meta].map(|meta| meta.duration_nanos);
    if let [Some(before), Some(after)] = spans {
        profile.meta.duration_nanos = Some(after.saturating_sub(before));
        profile.meta.time_nanos = profile.meta.time_nanos.map(|time| time + before);
    }
    let allocated: Vec<bool> = profile
        .sample_types()
        .iter()
        .map(|of| of.kind.starts_with("alloc"))
        .collect();
    for (source, sign) in [(&later.profile, 1), (&earlier.profile, -1)] {
        let mut importer = Importer::new(source);
        for sample in source.samples() {
            let stack = importer.stack(&mut profile, sample.stack);
            let labels = importer.labels(&mut profile, sample.labels);
            let values = sample.values.iter().zip(&allocated);
            let values = values.map(|(&value, &allocated)| match (sign, allocated) {
                (1, _) => value,
                (_, true) => -value,
                (_, false) => 0,
            });
            profile.record(stack, labels, &values.collect::<Vec<_>>());
        }
    }
    profile
}

/// The suspects as a profile: what is known of each is a value of its sample.
fn with_growth(suspects: &Suspects) -> Profile {
    let source = &suspects.profile;
    let mut profile =
        Profile::new(heap_files::SUSPECT_TYPES.map(|(kind, unit)| SampleType::new(kind, unit)));
    profile.meta = source.meta.clone();
    profile.meta.default_sample_type = Some(1);
    let value = 1;
    profile.meta.period = Some(Period {
        sample_type: SampleType::new("growth", "bytes/second"),
        value,
    });
    let mut importer = Importer::new(source);
    for (sample, suspect) in source.samples().zip(&suspects.suspects) {
        let stack = importer.stack(&mut profile, sample.stack);
        let labels = importer.labels(&mut profile, sample.labels);
        let values = [
            suspect.live_objects as i64,
            suspect.live_bytes as i64,
            suspect.growth_bytes_per_second as i64,
            suspect.growth_error as i64,
            i64::try_from(suspect.oldest_age.as_nanos()).unwrap_or(i64::MAX),
            (suspect.survived_share * 1e6) as i64,
        ];
        profile.push_sample(stack, labels, &values);
    }
    profile
}
