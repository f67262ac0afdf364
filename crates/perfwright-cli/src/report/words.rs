//! The sampler's account of itself, in words for people who never saw a profiler's audit.

use super::{Capture, Report, Symbols};
use crate::units::{counted, percent, seconds, whole};

/// Below this share of CPU time accounted for, the profile is not what it should be.
const ACCOUNTED_GOOD: f64 = 0.95;
/// Above this share of stacks without their thread's start, totals are too low to rely on.
const ROOTLESS_BAD: f64 = 0.05;
/// Above this share of the program's CPU time, sampling itself is part of the picture.
const OWN_COST_BAD: f64 = 0.05;

/// A sentence, and whether it is a reason to doubt the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) text: String,
    pub(super) doubtful: bool,
}

impl Remark {
    fn new(doubtful: bool, text: String) -> Remark {
        Remark { text, doubtful }
    }
}

impl Report {
    /// How far the profile can be trusted, the most important first.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let capture = &self.capture;
        let mut remarks = vec![accounted(capture)];
        remarks.extend(unseen(capture));
        remarks.extend(tick_limited(capture));
        remarks.extend(stacks(capture));
        remarks.extend(lost(capture));
        remarks.extend(symbols(&self.symbols));
        remarks.push(own_cost(capture));
        let spans = self.spans.iter().flat_map(|spans| &spans.notes);
        remarks.extend(spans.map(|note| Remark::new(true, sentence(note))));
        let notes = capture
            .notes
            .iter()
            .map(|note| Remark::new(false, sentence(note)));
        remarks.extend(notes);
        remarks
    }

    /// What is measured, in one word.
    pub(super) fn time_word(&self) -> &'static str {
        if self.is_wall() { "time" } else { "CPU" }
    }

    pub(super) fn is_wall(&self) -> bool {
        self.capture.mode == "wall"
    }
}

fn accounted(capture: &Capture) -> Remark {
    let how = format!(
        "{} from {} at {} Hz ({} engine)",
        counted(capture.samples_delivered, "sample"),
        counted(capture.threads_seen, "thread"),
        whole(capture.frequency_asked_hz),
        capture.engine
    );
    if capture.samples_delivered == 0 {
        let text = "No samples: the program used too little CPU time while it was captured. \
                    Give it work, capture longer (--seconds), or see where it waits with --mode wall.";
        return Remark::new(true, text.to_owned());
    }
    if capture.mode == "wall" || capture.cpu_nanos == 0 {
        return Remark::new(false, format!("{how}."));
    }
    let share = capture.sampled_nanos as f64 / capture.cpu_nanos as f64;
    let text = format!(
        "Accounted for {} of {} CPU-seconds ({}): {how}.",
        seconds(capture.sampled_nanos),
        seconds(capture.cpu_nanos),
        percent(share)
    );
    Remark::new(share < ACCOUNTED_GOOD, text)
}

fn unseen(capture: &Capture) -> Option<Remark> {
    let share = capture.lost_nanos as f64 / capture.cpu_nanos.max(1) as f64;
    let mostly = if capture.sees_kernel {
        ""
    } else {
        ", mostly time inside the kernel"
    };
    let text = format!(
        "{} CPU-seconds ({}) were measured but not sampled{mostly}: \
         they are the [kernel or lost] leaf of their thread.",
        seconds(capture.lost_nanos),
        percent(share)
    );
    (capture.mode != "wall" && share >= 0.001).then(|| Remark::new(false, text))
}

fn tick_limited(capture: &Capture) -> Option<Remark> {
    let text = "Tick-limited: this engine sees threads only when the kernel's clock ticks. Sums are right, \
                but work that runs in step with the tick may be on the wrong function; \
                --engine perf does not have this limit.";
    capture
        .tick_limited
        .then(|| Remark::new(true, text.to_owned()))
}

fn stacks(capture: &Capture) -> Option<Remark> {
    if capture.samples_delivered == 0 {
        return None;
    }
    let share = |count: u64| count as f64 / capture.samples_delivered as f64;
    let complete = 1.0 - share(capture.stacks_rootless).min(1.0);
    let mut text = format!(
        "{} of the stacks reach the start of their thread",
        percent(complete)
    );
    if capture.stacks_truncated > 0 {
        text += &format!(
            "; {} cut at the depth limit",
            whole(capture.stacks_truncated)
        );
    }
    if capture.stacks_unknown > 0 {
        text += &format!(
            "; of {} only the leaf is known",
            whole(capture.stacks_unknown)
        );
    }
    if capture.frame_pointers == Some(false) {
        text += "; the program has no frame pointers, so stacks are unwound from copies";
    }
    Some(Remark::new(
        share(capture.stacks_rootless) > ROOTLESS_BAD,
        text + ".",
    ))
}

fn lost(capture: &Capture) -> Option<Remark> {
    let counts = [
        (
            capture.samples_dropped,
            "samples dropped because the sampler could not keep up",
        ),
        (
            capture.samples_over_memory,
            "samples without a stack because its memory limit was reached",
        ),
        (
            capture.threads_overflow,
            "threads not sampled because there were too many",
        ),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told
        .map(|(count, what)| format!("{} {what}", whole(*count)))
        .collect();
    (!told.is_empty()).then(|| Remark::new(true, format!("Lost: {}.", told.join("; "))))
}

fn symbols(symbols: &Symbols) -> Option<Remark> {
    let all = symbols.resolved + symbols.unresolved;
    if symbols.unresolved == 0 || all == 0 {
        return None;
    }
    let unresolved = counted(symbols.unresolved as u64, "address").replace("addresss", "addresses");
    let mut text = format!(
        "{unresolved} of {} have no function name",
        whole(all as u64)
    );
    if let Some((first, rest)) = symbols.problems.split_first() {
        text += &format!(" ({first}");
        if !rest.is_empty() {
            text += &format!(
                "; {} in report.json",
                counted(rest.len() as u64, "more reason")
            );
        }
        text += ")";
    }
    Some(Remark::new(symbols.unresolved * 10 > all, text + "."))
}

fn own_cost(capture: &Capture) -> Remark {
    let share = capture.own_cpu_nanos as f64 / capture.cpu_nanos.max(1) as f64;
    let share = if capture.cpu_nanos == 0 { 0.0 } else { share };
    let text = format!(
        "Sampling itself took {} CPU-seconds ({} of the program's).",
        seconds(capture.own_cpu_nanos),
        percent(share)
    );
    Remark::new(share > OWN_COST_BAD, text)
}

/// A note of the sampler as a sentence.
fn sentence(note: &str) -> String {
    let mut chars = note.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let end = if note.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    first + chars.as_str() + end
}
