//! What polls did while they held their thread: compute, wait for a CPU, or block.
//!
//! Three accounts of the same time, none of which can tell alone. Spans say how long each path of spans was entered
//! (busy: the time a poll holds its thread). Samples with the path's labels say how much of that was CPU time. The
//! scheduler says how long each thread was ready to run and had no CPU. What is left of busy time is time in which
//! the thread slept inside a poll: a lock, a file, `std::thread::sleep`; none of which other tasks of that
//! thread could use.
//!
//! The scheduler's number also has what went by between a thread's wake-up and its first instruction, which is no
//! part of a poll. So it is an upper limit of the wait for a CPU, and what it gives for blocking is a lower limit.

use std::collections::{BTreeMap, HashMap};

use perfwright_model::{LabelSetId, Profile, keys};

use crate::tree::label_text;

/// Fewer samples than these, had the thread computed all the time, say too little of a path.
pub const MIN_SAMPLES: i64 = 30;

/// A difference between busy and CPU time counts from this many standard deviations on.
const SURE: f64 = 3.0;

/// The text between the names of a path of spans.
const SEPARATOR: &str = " > ";

/// What the polls of one path of spans did. Of the innermost span alone: time in a span inside it is that one's.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Polls {
    /// The route template, or what the spans' profile has in its place.
    pub route: Option<String>,
    /// The names of the spans, outermost first.
    pub path: Vec<String>,
    /// How many spans.
    pub count: i64,
    /// How long threads were in it, in nanoseconds.
    pub busy_nanos: i64,
    /// How much of that was CPU time, in nanoseconds.
    pub cpu_nanos: i64,
    /// One standard deviation of `cpu_nanos`.
    pub cpu_nanos_error: i64,
    /// How many samples say so.
    pub samples: i64,
    /// How long at most it was ready to run and had no CPU, in nanoseconds; `None` where the scheduler did not say.
    pub waiting_nanos_max: Option<i64>,
    /// What that means.
    pub verdict: PollVerdict,
}

/// What polls did most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PollVerdict {
    /// It used the CPU nearly all the time: at least four fifths, or all within the error.
    Computed,
    /// It held its thread without using it, and there was a CPU.
    Blocked,
    /// It may have waited for a CPU as long as it did not compute: too many threads for the machine.
    NoCpu,
    /// It did not use the CPU all the time, and why is not known.
    Unknown,
}

impl Polls {
    /// The time it neither computed nor can have waited for a CPU, in nanoseconds: at least so long it blocked.
    /// `None` where the scheduler did not say.
    #[must_use]
    pub fn blocked_nanos_min(&self) -> Option<i64> {
        let waiting = self.waiting_nanos_max?;
        Some((self.busy_nanos - self.cpu_nanos - waiting).max(0))
    }

    /// The share of busy time that was CPU time, 0 to 1.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        (self.cpu_nanos as f64 / self.busy_nanos.max(1) as f64).min(1.0)
    }

    fn judge(&self) -> PollVerdict {
        let off = (self.busy_nanos - self.cpu_nanos) as f64;
        let is_little = off <= 0.2 * self.busy_nanos as f64;
        if is_little || off <= SURE * self.cpu_nanos_error as f64 {
            return PollVerdict::Computed;
        }
        match self.blocked_nanos_min() {
            None => PollVerdict::Unknown,
            Some(blocked) if blocked as f64 >= 0.5 * off => PollVerdict::Blocked,
            Some(_) => PollVerdict::NoCpu,
        }
    }
}

/// CPU time and samples of one path.
#[derive(Default)]
struct Sampled {
    nanos: i64,
    samples: i64,
    /// By thread.
    by_thread: BTreeMap<i64, i64>,
}

type Key = (Option<String>, String);

/// What the polls of each path of spans did, those that were busy longest first.
///
/// `cpu` is a CPU profile whose samples have the labels of routes and spans; of a wall-clock profile the samples on
/// a CPU count. `spans` has the sample types `count` and `busy` (nanoseconds), stacks of span names, and the label
/// `route`. `run_delay_nanos` is, by thread id, how long the thread was ready and had no CPU in that time. All three
/// must be of the same time. Paths that were busy for less than [`MIN_SAMPLES`] samples' time are left out.
#[must_use]
pub fn polls(cpu: &Profile, spans: &Profile, run_delay_nanos: &HashMap<i64, i64>) -> Vec<Polls> {
    let (Some(count), Some(busy)) = (
        spans.find_sample_type("count"),
        spans.find_sample_type("busy"),
    ) else {
        return Vec::new();
    };
    let Some(account) = Account::of(cpu) else {
        return Vec::new();
    };
    let mut rows: BTreeMap<Key, (Vec<String>, i64, i64)> = BTreeMap::new();
    for sample in spans.samples() {
        let path = names(spans, sample.stack);
        let route = label_text(spans, sample.labels, keys::ROUTE).or_else(|| path.first().cloned());
        let row = rows.entry((route, path.join(SEPARATOR))).or_default();
        row.0 = path;
        row.1 += sample.values[count];
        row.2 += sample.values[busy];
    }
    let nothing = Sampled::default();
    let mut found: Vec<Polls> = rows
        .into_iter()
        .filter(|(_, (.., busy))| *busy >= MIN_SAMPLES.saturating_mul(account.weight))
        .map(|(key, (path, count, busy_nanos))| {
            let sampled = account.paths.get(&key).unwrap_or(&nothing);
            let mut polls = Polls {
                route: key.0,
                path,
                count,
                busy_nanos,
                cpu_nanos: sampled.nanos,
                cpu_nanos_error: error(sampled, account.weight),
                samples: sampled.samples,
                waiting_nanos_max: account.waiting(sampled, busy_nanos, run_delay_nanos),
                verdict: PollVerdict::Unknown,
            };
            polls.verdict = polls.judge();
            polls
        })
        .collect();
    found.sort_by_key(|polls| std::cmp::Reverse(polls.busy_nanos));
    found
}

/// One standard deviation of the time that samples stand for: never 0, for no sample is not no time.
fn error(sampled: &Sampled, weight: i64) -> i64 {
    let each = match sampled.samples {
        0 => weight as f64,
        samples => sampled.nanos as f64 / samples as f64,
    };
    (each * ((sampled.samples + 1) as f64).sqrt()) as i64
}

/// What a CPU profile says of paths and threads.
struct Account {
    /// What a sample stands for on average, in nanoseconds.
    weight: i64,
    paths: HashMap<Key, Sampled>,
    /// CPU time by thread.
    threads: HashMap<i64, i64>,
}

impl Account {
    fn of(cpu: &Profile) -> Option<Account> {
        let time = cpu
            .find_sample_type("cpu")
            .or_else(|| cpu.find_sample_type("wall"))?;
        let samples = cpu.find_sample_type("samples")?;
        let mut by_set: BTreeMap<LabelSetId, (i64, i64)> = BTreeMap::new();
        let mut whole = (0_i64, 0_i64);
        for sample in cpu.samples() {
            let (nanos, count) = (sample.values[time], sample.values[samples]);
            let sum = by_set.entry(sample.labels).or_default();
            *sum = (sum.0 + nanos, sum.1 + count);
            if count > 0 {
                whole = (whole.0 + nanos, whole.1 + count);
            }
        }
        let mut account = Account {
            weight: whole.0.checked_div(whole.1).unwrap_or(0).max(1),
            paths: HashMap::new(),
            threads: HashMap::new(),
        };
        for (labels, (nanos, count)) in by_set {
            if cpu.label_str(labels, keys::STATE) != Some("off-cpu") {
                account.add(cpu, labels, nanos, count);
            }
        }
        Some(account)
    }

    fn add(&mut self, cpu: &Profile, labels: LabelSetId, nanos: i64, count: i64) {
        let thread = cpu.label_num(labels, keys::TID);
        if let Some(thread) = thread {
            *self.threads.entry(thread).or_default() += nanos;
        }
        let path = label_text(cpu, labels, keys::SPAN_PATH)
            .or_else(|| label_text(cpu, labels, keys::SPAN));
        let Some(path) = path else {
            return;
        };
        let root = || path.split(SEPARATOR).next().map(str::to_owned);
        let route = label_text(cpu, labels, keys::ROUTE).or_else(root);
        let sampled = self.paths.entry((route, path)).or_default();
        sampled.nanos += nanos;
        sampled.samples += count;
        if let Some(thread) = thread {
            *sampled.by_thread.entry(thread).or_default() += nanos;
        }
    }

    /// A thread is kept waiting in proportion to what it wants to compute, so a path has as much of its threads'
    /// waiting as of their CPU time; and what its CPU time may be wrong by has waited as all threads did.
    fn waiting(
        &self,
        sampled: &Sampled,
        busy: i64,
        run_delay_nanos: &HashMap<i64, i64>,
    ) -> Option<i64> {
        // Of threads that ended meanwhile the scheduler says nothing any more.
        let is_known = |thread: &i64| run_delay_nanos.contains_key(thread);
        let forgotten: i64 = sampled
            .by_thread
            .iter()
            .filter(|(thread, _)| !is_known(thread))
            .map(|(_, &cpu)| cpu)
            .sum();
        if run_delay_nanos.is_empty() || forgotten > sampled.nanos / 10 {
            return None;
        }
        let share = |part: f64, whole: i64, delay: i64| {
            delay as f64 * (part / whole.max(1) as f64).min(1.0)
        };
        let seen: f64 = sampled
            .by_thread
            .iter()
            .map(|(thread, &cpu)| {
                let whole = self.threads.get(thread).copied().unwrap_or(0);
                let delay = run_delay_nanos.get(thread).copied().unwrap_or(0);
                share(cpu as f64, whole, delay)
            })
            .sum();
        let unseen = share(
            SURE * error(sampled, self.weight) as f64,
            self.threads.values().sum(),
            run_delay_nanos.values().sum(),
        );
        Some(((seen + unseen) as i64).min(busy))
    }
}

/// The names of a stack's frames, the outermost first.
fn names(profile: &Profile, stack: perfwright_model::StackId) -> Vec<String> {
    let mut names: Vec<String> = profile
        .stack(stack)
        .flat_map(|location| profile.frames(location))
        .map(|frame| profile.function_name(frame.function).to_owned())
        .collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use perfwright_model::{Label, SampleType};

    use super::*;

    const MS: i64 = 1_000_000;

    /// Samples of 1 ms: route, path, thread, how many.
    fn cpu(rows: &[(&str, &str, i64, i64)]) -> Profile {
        let mut profile = Profile::new([
            SampleType::new("samples", "count"),
            SampleType::new("cpu", "nanoseconds"),
        ]);
        let leaf = profile.frame_location("work");
        let stack = profile.intern_stack_root_first([leaf]);
        for &(route, path, thread, count) in rows {
            let mut labels: Vec<Label> = vec![profile.num_label(keys::TID, thread, "")];
            if !path.is_empty() {
                let last = path.split(SEPARATOR).last().unwrap();
                labels.push(profile.str_label(keys::SPAN, last));
                if last != path {
                    labels.push(profile.str_label(keys::SPAN_PATH, path));
                }
            }
            if !route.is_empty() {
                labels.push(profile.str_label(keys::ROUTE, route));
            }
            let labels = profile.intern_labels(&labels);
            profile.record(stack, labels, &[count, count * MS]);
        }
        profile
    }

    /// Spans: route, path, busy milliseconds.
    fn spans(rows: &[(&str, &str, i64)]) -> Profile {
        let mut profile = Profile::new([
            SampleType::new("count", "count"),
            SampleType::new("busy", "nanoseconds"),
        ]);
        for &(route, path, busy) in rows {
            let frames: Vec<_> = path
                .split(SEPARATOR)
                .map(|name| profile.frame_location(name))
                .collect();
            let stack = profile.intern_stack_root_first(frames);
            let label = profile.str_label(keys::ROUTE, route);
            let labels = profile.intern_labels(&[label]);
            profile.record(stack, labels, &[10, busy * MS]);
        }
        profile
    }

    fn verdicts(found: &[Polls]) -> Vec<(String, PollVerdict)> {
        found
            .iter()
            .map(|polls| (polls.path.join(SEPARATOR), polls.verdict))
            .collect()
    }

    #[test]
    fn computing_blocking_and_waiting_are_told_apart() {
        let cpu = cpu(&[
            ("/a", "request > compute", 1, 950),
            ("/a", "request > block", 1, 50),
            ("/b", "request > crowded", 2, 500),
            ("", "", 3, 1_000),
        ]);
        let spans = spans(&[
            ("/a", "request > compute", 1_000),
            ("/a", "request > block", 800),
            ("/b", "request > crowded", 990),
            ("/b", "request > short", 20),
        ]);
        let delay = HashMap::from([(1, 20 * MS), (2, 480 * MS), (3, 9_000 * MS)]);
        let found = polls(&cpu, &spans, &delay);
        let expected = [
            ("request > compute", PollVerdict::Computed),
            ("request > crowded", PollVerdict::NoCpu),
            ("request > block", PollVerdict::Blocked),
        ];
        assert_eq!(
            verdicts(&found),
            expected.map(|(path, verdict)| (path.to_owned(), verdict))
        );
        let block = &found[2];
        // A twentieth of its thread's 20 ms, and of all threads' 9,500 ms in 2,500 ms for an error of 3 x 7.1 ms.
        assert_eq!(block.waiting_nanos_max.map(|nanos| nanos / MS), Some(82));
        assert_eq!(block.blocked_nanos_min().map(|nanos| nanos / MS), Some(667));
        assert_eq!((block.samples, block.count), (50, 10));
    }

    #[test]
    fn a_path_that_only_sleeps_has_no_sample_and_is_blocked_all_the_same() {
        let cpu = cpu(&[("", "other", 1, 1_000)]);
        let spans = spans(&[("sleepy", "sleepy", 500)]);
        let found = polls(&cpu, &spans, &HashMap::from([(1, 10 * MS)]));
        assert_eq!(
            verdicts(&found),
            [("sleepy".to_owned(), PollVerdict::Blocked)]
        );
        assert_eq!(found[0].waiting_nanos_max, Some(30_000));
        let unsaid = polls(&cpu, &spans, &HashMap::new());
        assert_eq!(unsaid[0].verdict, PollVerdict::Unknown);
    }

    #[test]
    fn few_samples_do_not_accuse() {
        // Of 40 ms busy 30 ms were seen on a CPU: within three errors of all.
        let cpu = cpu(&[("", "root", 1, 30)]);
        let spans = spans(&[("root", "root", 40)]);
        let found = polls(&cpu, &spans, &HashMap::from([(1, 0)]));
        assert_eq!(found[0].verdict, PollVerdict::Computed);
    }

    #[test]
    fn of_threads_that_are_gone_nothing_is_known() {
        let cpu = cpu(&[("", "root", 1, 100)]);
        let spans = spans(&[("root", "root", 400)]);
        let found = polls(&cpu, &spans, &HashMap::from([(2, 0)]));
        assert_eq!(found[0].verdict, PollVerdict::Unknown);
        assert_eq!(found[0].blocked_nanos_min(), None);
    }

    #[test]
    fn profiles_of_something_else_have_no_polls() {
        let other = Profile::new([SampleType::new("alloc_space", "bytes")]);
        assert!(polls(&other, &spans(&[("a", "a", 100)]), &HashMap::new()).is_empty());
        assert!(polls(&cpu(&[("", "a", 1, 100)]), &other, &HashMap::new()).is_empty());
    }
}
