//! From raw records to a profile: addresses to locations, stacks to the tree, context words to labels.

use std::collections::HashMap;

use perfwright_context::Word;
use perfwright_model::{LabelSetId, Period, Profile, SampleType, StackId, keys};
use perfwright_record::{StackTable, context_labels};
use perfwright_stack::{Image, Regs};

use super::ring::{Record, flags};
use super::threads::ThreadInfo;
use crate::options::{Mode, Options};

/// Time that the clock saw and no sample stands for.
pub(crate) const LOST: &str = "[kernel or lost]";
/// Time of one signal far beyond the ticks it waited for: the thread was in the kernel, or blocked signals.
pub(crate) const BLOCKED: &str = "[kernel or signals blocked]";
/// New stacks when the profile has grown to its bound.
pub(crate) const OVER_MEMORY: &str = "[perfwright: memory limit]";
/// How often (in new stacks) the profile is measured.
const MEASURE_EVERY: usize = 256;

/// What was counted beside the profile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) truncated: u64,
    pub(crate) rootless: u64,
    pub(crate) unknown_stack: u64,
    pub(crate) repaired: u64,
    pub(crate) over_memory: u64,
    pub(crate) sampled_nanos: u64,
    /// The samples' weights squared, summed, in square nanoseconds.
    pub(crate) sampled_squares: f64,
    pub(crate) lost_nanos: u64,
}

impl Counts {
    /// As many equal samples would tell as much: (sum of weights)^2 / (sum of their squares).
    pub(crate) fn effective(&self) -> f64 {
        if self.sampled_squares == 0.0 {
            return 0.0;
        }
        (self.sampled_nanos as f64).powi(2) / self.sampled_squares
    }
}

/// A profile under construction, with the indexes that make adding a sample cheap.
pub(crate) struct Recorder {
    pub(crate) profile: Profile,
    pub(crate) counts: Counts,
    stacks: StackTable,
    labels: HashMap<LabelKey, LabelSetId>,
    addresses: Vec<u64>,
    mode: Mode,
    span_ids: bool,
    max_memory_bytes: usize,
    /// A weight beyond this did not come from running user code between ticks.
    max_weight_nanos: u64,
    room: Room,
}

/// What labels depend on: the thread, its context word (without the instance unless asked for), its state.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LabelKey {
    thread: u32,
    context: u64,
    is_off_cpu: bool,
}

/// How near the profile is to its bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    /// Known stacks only.
    KnownOnly,
    /// Not even new combinations of known stacks and labels.
    None,
}

/// A thread's number in label keys, and what its labels say.
pub(crate) struct ThreadLabels<'a> {
    pub(crate) key: u32,
    pub(crate) info: &'a ThreadInfo,
}

impl Recorder {
    pub(crate) fn new(options: &Options, max_weight_nanos: u64) -> Recorder {
        Recorder {
            profile: empty_profile(options),
            counts: Counts::default(),
            stacks: StackTable::new(),
            labels: HashMap::new(),
            addresses: Vec::new(),
            mode: options.mode,
            span_ids: options.span_ids,
            max_memory_bytes: options.max_memory_bytes,
            max_weight_nanos,
            room: Room::Free,
        }
    }

    /// An empty recorder like this one.
    pub(crate) fn fresh(&self, options: &Options) -> Recorder {
        Recorder::new(options, self.max_weight_nanos)
    }

    /// What is recorded so far, for a capture to add leaves to, while this one goes on.
    pub(crate) fn copy_for_capture(&self) -> Recorder {
        Recorder {
            profile: self.profile.clone(),
            counts: self.counts,
            stacks: StackTable::new(),
            labels: self.labels.clone(),
            addresses: Vec::new(),
            ..*self
        }
    }

    /// Modules changed: an address may mean something else from now on.
    pub(crate) fn forget_addresses(&mut self) {
        self.stacks.forget();
    }

    /// Adds one sample. Returns the time it accounts for, leaves included.
    pub(crate) fn record(
        &mut self,
        record: &Record<'_>,
        image: &mut Image,
        thread: &ThreadLabels<'_>,
    ) -> u64 {
        let weight = record.header.weight_nanos;
        let normal = weight.min(self.max_weight_nanos);
        self.resolve_frames(record, image);
        let stack = self.stack(image);
        let is_off_cpu = record.header.flags & flags::OFF_CPU != 0;
        let labels = self.label_set(thread, Word::from_bits(record.header.context), is_off_cpu);
        self.counts.delivered += 1;
        self.counts.sampled_nanos += normal;
        self.counts.sampled_squares += (normal as f64).powi(2);
        self.add(stack, labels, [1, normal]);
        if weight > normal {
            self.record_leaf(BLOCKED, labels, weight - normal);
        }
        weight
    }

    /// Adds time without a sample to a thread.
    pub(crate) fn record_lost(&mut self, thread: &ThreadLabels<'_>, nanos: u64) {
        let labels = self.label_set(thread, Word::EMPTY, false);
        self.record_leaf(LOST, labels, nanos);
    }

    fn record_leaf(&mut self, name: &str, labels: LabelSetId, nanos: u64) {
        self.counts.lost_nanos += nanos;
        let leaf = self.profile.frame_location(name);
        let stack = self.profile.push_stack(StackId::ROOT, leaf);
        self.add(stack, labels, [0, nanos]);
    }

    fn add(&mut self, stack: StackId, labels: LabelSetId, values: [u64; 2]) {
        let labels = if self.room == Room::None {
            LabelSetId::EMPTY
        } else {
            labels
        };
        let values = values.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        self.profile.record(stack, labels, &values);
    }

    /// Puts the sample's addresses into `self.addresses`, and counts what the stack lacks.
    fn resolve_frames(&mut self, record: &Record<'_>, image: &mut Image) {
        let header = &record.header;
        let has = |flag| header.flags & flag != 0;
        let (mut reached_root, mut truncated) = (has(flags::ROOT), has(flags::FULL));
        if has(flags::NEEDS_COPY) && !record.copy.is_empty() {
            let [pc, sp, fp, lr] = header.regs;
            let regs = Regs { pc, sp, fp, lr };
            let unwound = image.unwind(&regs, record.copy, record.frames, &mut self.addresses);
            reached_root = unwound.reached_root || (unwound.resumed && reached_root);
            truncated = unwound.truncated || (unwound.resumed && truncated);
            self.counts.repaired += u64::from(unwound.reached_root || unwound.resumed);
            if self.addresses.len() < record.frames.len() && !unwound.reached_root {
                // The trail in the copy ended early: the walk's frames are the better half.
                self.addresses.clear();
                self.addresses.extend_from_slice(record.frames);
            }
        } else {
            self.addresses.clear();
            self.addresses.extend_from_slice(record.frames);
        }
        self.counts.truncated += u64::from(truncated);
        self.counts.rootless += u64::from(!reached_root);
        self.counts.unknown_stack += u64::from(has(flags::NO_STACK));
    }

    /// The stack of `self.addresses`, or the pseudo stack for what has no room.
    fn stack(&mut self, image: &Image) -> StackId {
        if self.room == Room::None {
            return self.over_memory();
        }
        if self.room != Room::Free {
            return match self.stacks.get(&self.addresses) {
                Some(stack) => stack,
                None => self.over_memory(),
            };
        }
        let known = self.stacks.len();
        let stack = self
            .stacks
            .intern(&mut self.profile, &self.addresses, image);
        if self.stacks.len() > known && self.stacks.len().is_multiple_of(MEASURE_EVERY) {
            self.measure();
        }
        stack
    }

    fn over_memory(&mut self) -> StackId {
        self.counts.over_memory += 1;
        if self.counts.over_memory.is_multiple_of(MEASURE_EVERY as u64) {
            self.measure();
        }
        let leaf = self.profile.frame_location(OVER_MEMORY);
        self.profile.push_stack(StackId::ROOT, leaf)
    }

    fn label_set(&mut self, thread: &ThreadLabels<'_>, word: Word, is_off_cpu: bool) -> LabelSetId {
        let word = if self.span_ids {
            word
        } else {
            word.with_instance(None)
        };
        let key = LabelKey {
            thread: thread.key,
            context: word.to_bits(),
            is_off_cpu,
        };
        if let Some(&labels) = self.labels.get(&key) {
            return labels;
        }
        if self.room == Room::None {
            return LabelSetId::EMPTY;
        }
        let labels = self.build_labels(thread.info, word, is_off_cpu);
        self.labels.insert(key, labels);
        labels
    }

    fn build_labels(&mut self, thread: &ThreadInfo, word: Word, is_off_cpu: bool) -> LabelSetId {
        let profile = &mut self.profile;
        let mut labels = vec![profile.str_label(keys::THREAD, &thread.name)];
        if thread.tid != 0 {
            labels.push(profile.num_label(keys::TID, thread.tid.into(), ""));
        }
        if self.mode == Mode::Wall {
            labels.push(
                profile.str_label(keys::STATE, if is_off_cpu { "off-cpu" } else { "on-cpu" }),
            );
        }
        labels.extend(context_labels(profile, word, self.span_ids));
        profile.intern_labels(&labels)
    }

    /// Compares what the profile and its indexes take with the bound.
    fn measure(&mut self) {
        let indexes = self.stacks.heap_bytes()
            + self.labels.capacity() * (size_of::<(LabelKey, LabelSetId)>() + 1);
        let bytes = self.profile.heap_bytes() + indexes;
        self.room = match bytes {
            _ if bytes < self.max_memory_bytes => Room::Free,
            _ if bytes < self.max_memory_bytes + self.max_memory_bytes / 4 => Room::KnownOnly,
            _ => Room::None,
        };
    }
}

fn empty_profile(options: &Options) -> Profile {
    let kind = match options.mode {
        Mode::Cpu => "cpu",
        Mode::Wall => "wall",
    };
    let time = SampleType::new(kind, "nanoseconds");
    let mut profile = Profile::new([SampleType::new("samples", "count"), time.clone()]);
    profile.meta.default_sample_type = Some(1);
    let value = 1_000_000_000 / i64::from(options.frequency_hz);
    profile.meta.period = Some(Period {
        sample_type: time,
        value,
    });
    profile
}
