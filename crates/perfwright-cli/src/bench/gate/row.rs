//! The verdict on each bench, and what it rests on.

use perfwright_criterion::protocol::Allocated;
use perfwright_stats::false_discovery_rates;
use perfwright_stats::turns::Verdict;
use serde::Serialize;

use super::contest::Clock;
use super::judge::{ALPHA, ByClock, Finding, Judged, median};
use super::measure::Measurement;
use crate::bench::args::Judged as Judge;

/// What is said of a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Faster, or fewer allocations.
    Better,
    /// No difference that matters.
    Same,
    /// There is nothing to compare with.
    New,
    /// Not enough is known.
    CannotTell,
    /// The base has it, and the candidate does not.
    Gone,
    /// Slower, or more allocations.
    Worse,
    /// It panics or hangs in the candidate.
    Failed,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Same => "same",
            Outcome::New => "new",
            Outcome::CannotTell => "can't tell",
            Outcome::Gone => "gone",
            Outcome::Worse => "worse",
            Outcome::Failed => "failed",
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Better => Outcome::Better,
            Verdict::Same => Outcome::Same,
            Verdict::CannotTell => Outcome::CannotTell,
            Verdict::Worse => Outcome::Worse,
        }
    }
}

/// A bench and its verdict. Ratios are candidate to base, 1.03 for 3 % more.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Package and bench target: `parser/tokens`.
    pub(crate) target: String,
    /// Its name in the executable.
    pub(crate) bench: String,
    /// What it is compared with.
    pub(crate) against: String,
    pub(crate) verdict: Outcome,
    /// What led to it, where that is not clear from the numbers; a sentence or nothing.
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocations: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocated_bytes: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<Counts>,
}

/// What the clocks say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Time {
    pub(crate) cpu: ClockRow,
    pub(crate) wall: ClockRow,
    /// `cpu`, `wall` or `both`: what the verdict rests on.
    pub(crate) judged_by: &'static str,
    /// By how much identical code differed, as a share: nothing smaller is believed. `None` if it is not known.
    pub(crate) resolution: Option<f64>,
    pub(crate) resolution_itself: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resolution_layout: Option<f64>,
    pub(crate) p_value: f64,
    /// Of all benches of the run that differ as clearly, how many would by chance.
    pub(crate) false_discovery_rate: f64,
    pub(crate) verdict: Outcome,
    pub(crate) seconds: f64,
    pub(crate) groups: usize,
    pub(crate) batches: usize,
    pub(crate) iterations_per_batch: u64,
}

/// What one clock says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ClockRow {
    /// `wall`, `process` or `thread`.
    pub(crate) clock: &'static str,
    pub(crate) base_nanos: f64,
    pub(crate) candidate_nanos: f64,
    pub(crate) ratio: f64,
    /// The interval of the last look; `None` where it has no end.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) verdict: Outcome,
}

/// A count for each iteration.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Counts {
    pub(crate) base: f64,
    pub(crate) candidate: f64,
}

impl Counts {
    /// The candidate's share more than the base's; infinite from nothing.
    pub(crate) fn growth(&self) -> f64 {
        match self.candidate - self.base {
            0.0 => 0.0,
            more => more / self.base,
        }
    }

    /// `12 -> 15 (+25.0 %)`.
    fn change(&self) -> String {
        let count = |value| crate::units::decimal(value, 2).replace(".00", "");
        let growth = match self.growth() {
            growth if growth.is_finite() => format!(" ({:+.1} %)", growth * 100.0),
            _ => String::new(),
        };
        format!("{} -> {}{growth}", count(self.base), count(self.candidate))
    }

    /// Exact counts, compared with a threshold in shares.
    pub(crate) fn outcome(&self, threshold: f64) -> Outcome {
        match self.growth() {
            growth if growth > threshold => Outcome::Worse,
            growth if growth < -threshold => Outcome::Better,
            _ => Outcome::Same,
        }
    }
}

impl Row {
    /// A bench of which nothing was measured.
    pub(crate) fn unmeasured(
        (target, bench): (&str, &str),
        against: &str,
        verdict: Outcome,
        reason: impl Into<String>,
    ) -> Row {
        Row {
            target: target.to_owned(),
            bench: bench.to_owned(),
            against: against.to_owned(),
            verdict,
            reason: reason.into(),
            time: None,
            allocations: None,
            allocated_bytes: None,
            instructions: None,
        }
    }

    /// `parser/tokens: numbers`.
    pub(crate) fn name(&self) -> String {
        match self.target.as_str() {
            "" => self.bench.clone(),
            target if self.bench.is_empty() => target.to_owned(),
            target => format!("{target}: {}", self.bench),
        }
    }

    /// Takes in what the clocks say.
    pub(crate) fn set_time(&mut self, measurement: &Measurement) {
        let Some(finding) = &measurement.finding else {
            self.verdict = Outcome::CannotTell;
            self.reason = "interrupted before the first look".to_owned();
            return;
        };
        let time = Time::new(measurement, finding);
        self.verdict = time.verdict;
        self.reason = match (time.verdict, measurement.interrupted) {
            (Outcome::CannotTell, true) => "interrupted before it was sure".to_owned(),
            _ => time.reason(),
        };
        self.time = Some(time);
    }

    /// Takes in what the allocator counted. Counts that vary between batches are compared by their medians.
    pub(crate) fn set_allocations(&mut self, measurement: &Measurement) {
        let counts = |of: fn(Allocated) -> u64| {
            let side = |contestant: usize| {
                let rounds = measurement.groups.iter().flatten();
                let counts = rounds.filter_map(|round| round[contestant].allocated.map(of));
                median(counts.map(|count| count as f64 / measurement.iterations as f64))
            };
            let (base, candidate) = (side(0), side(1));
            (!base.is_nan() && !candidate.is_nan()).then_some(Counts { base, candidate })
        };
        self.allocations = counts(|allocated| allocated.allocations);
        self.allocated_bytes = counts(|allocated| allocated.bytes);
    }

    /// The verdict by all that is judged: the worst of them, or what time says where nothing else changed.
    /// `threshold` is the smallest growth that matters, as a share. Time is corrected before, so that counts, which
    /// are exact, stand however many benches there are.
    pub(crate) fn judge(&mut self, judged: &[Judge], threshold: f64) {
        let counted = [
            (Judge::Allocations, "allocations", self.allocations),
            (Judge::Allocations, "allocated bytes", self.allocated_bytes),
            (Judge::Instructions, "instructions", self.instructions),
        ];
        let by_time = self.time.as_ref().map(|time| time.verdict);
        let counted: Vec<(&str, Counts)> = counted
            .into_iter()
            .filter(|(judge, ..)| judged.contains(judge))
            .filter_map(|(_, what, counts)| Some((what, counts?)))
            .collect();
        if !judged.contains(&Judge::Time) && (self.time.is_some() || !counted.is_empty()) {
            self.forget_time(!counted.is_empty());
        }
        let mut verdict = self.verdict;
        for (what, counts) in counted {
            match counts.outcome(threshold) {
                Outcome::Worse => {
                    verdict = Outcome::Worse;
                    self.add_reason(format!("more {what}: {}", counts.change()));
                }
                Outcome::Better => {
                    self.add_reason(format!("fewer {what}: {}", counts.change()));
                    if verdict == Outcome::Same {
                        verdict = Outcome::Better;
                    }
                }
                _ => {}
            }
        }
        if by_time == Some(Outcome::Better) && verdict == Outcome::Worse {
            self.add_reason("though it takes less time".to_owned());
        }
        self.verdict = verdict;
    }

    /// Starts from what is counted, if something was.
    fn forget_time(&mut self, counted: bool) {
        (self.verdict, self.reason) = match counted {
            true => (Outcome::Same, String::new()),
            false => (
                Outcome::CannotTell,
                "nothing that is judged was counted: instructions take valgrind, allocations an allocator that counts"
                    .to_owned(),
            ),
        };
    }

    fn add_reason(&mut self, reason: String) {
        if !self.reason.is_empty() {
            self.reason.push_str("; ");
        }
        self.reason.push_str(&reason);
    }
}

impl Time {
    fn new(measurement: &Measurement, finding: &Finding) -> Time {
        let resolution = measurement.resolution;
        Time {
            cpu: ClockRow::new(&finding.cpu),
            wall: ClockRow::new(&finding.wall),
            judged_by: match finding.judged {
                Judged::Cpu => "cpu",
                Judged::Both => "both",
                Judged::Wall => "wall",
            },
            resolution: resolution.effect().map(f64::exp_m1),
            resolution_itself: resolution.itself.map(f64::exp_m1),
            resolution_layout: resolution.layout.map(f64::exp_m1),
            p_value: finding.p_value,
            false_discovery_rate: finding.p_value,
            verdict: finding.verdict.into(),
            seconds: measurement.took.as_secs_f64(),
            groups: measurement.groups.len(),
            batches: finding.batches,
            iterations_per_batch: measurement.iterations,
        }
    }

    /// The clock whose times are shown: that of the verdict.
    pub(crate) fn shown(&self) -> &ClockRow {
        match self.judged_by {
            "wall" => &self.wall,
            _ => &self.cpu,
        }
    }

    /// Where the clocks disagree, and why nothing can be told.
    fn reason(&self) -> String {
        let decided = |row: &ClockRow| row.verdict != Outcome::CannotTell;
        let (cpu, wall) = (&self.cpu, &self.wall);
        if cpu.verdict != wall.verdict && decided(cpu) && decided(wall) {
            return format!(
                "the clocks disagree: by CPU time {}, by the wall clock {}",
                cpu.verdict.name(),
                wall.verdict.name()
            );
        }
        match self.verdict {
            Outcome::CannotTell => {
                "the interval is too wide: give it more time (--seconds), or a larger --effect"
                    .to_owned()
            }
            _ => String::new(),
        }
    }
}

impl ClockRow {
    fn new(by: &ByClock) -> ClockRow {
        let end = |log: f64| log.is_finite().then(|| log.exp());
        ClockRow {
            clock: match by.clock {
                Clock::Wall => "wall",
                Clock::Process => "process",
                Clock::Thread => "thread",
            },
            base_nanos: by.nanos[0],
            candidate_nanos: by.nanos[1],
            ratio: by.effect.ratio(),
            low: end(by.interval.0),
            high: end(by.interval.1),
            verdict: by.verdict.into(),
        }
    }
}

/// Of many benches some differ by chance: differences whose false discovery rate is too high become "can't tell".
pub(crate) fn correct(rows: &mut [Row]) {
    let mut times: Vec<&mut Row> = rows.iter_mut().filter(|row| row.time.is_some()).collect();
    let p_values: Vec<f64> = times
        .iter()
        .map(|row| row.time.as_ref().map_or(1.0, |time| time.p_value))
        .collect();
    let rates = false_discovery_rates(&p_values);
    let count = rates.len();
    for (row, rate) in times.iter_mut().zip(rates) {
        let Some(time) = &mut row.time else { continue };
        time.false_discovery_rate = rate;
        if matches!(time.verdict, Outcome::Better | Outcome::Worse) && rate > ALPHA {
            row.verdict = Outcome::CannotTell;
            row.reason = format!(
                "one of {count} benches differs this much by chance too often (false discovery rate {:.1} %)",
                rate * 100.0
            );
            time.verdict = Outcome::CannotTell;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(base: f64, candidate: f64) -> Counts {
        Counts { base, candidate }
    }

    fn row(verdict: Outcome) -> Row {
        Row::unmeasured(("parser/speed", "numbers"), "main", verdict, "")
    }

    #[test]
    fn counts_are_compared_exactly_with_a_threshold() {
        assert_eq!(counts(100.0, 101.0).outcome(0.01), Outcome::Same);
        assert_eq!(counts(100.0, 102.0).outcome(0.01), Outcome::Worse);
        assert_eq!(counts(100.0, 98.0).outcome(0.01), Outcome::Better);
        assert_eq!(counts(0.0, 0.0).outcome(0.01), Outcome::Same);
        assert_eq!(counts(0.0, 1.0).outcome(0.01), Outcome::Worse);
        assert_eq!(counts(0.0, 1.0).change(), "0 -> 1");
        assert_eq!(counts(2.0, 3.0).change(), "2 -> 3 (+50.0 %)");
    }

    #[test]
    fn what_is_not_judged_does_not_make_a_bench_worse() {
        let judged = |verdict, judged: &[Judge]| {
            let mut row = row(verdict);
            row.allocations = Some(counts(2.0, 3.0));
            row.instructions = Some(counts(100.0, 50.0));
            row.judge(judged, 0.01);
            (row.verdict, row.reason)
        };
        let (verdict, reason) = judged(Outcome::Same, &[Judge::Time, Judge::Allocations]);
        assert_eq!(
            (verdict, reason.as_str()),
            (Outcome::Worse, "more allocations: 2 -> 3 (+50.0 %)")
        );
        assert_eq!(
            judged(Outcome::CannotTell, &[Judge::Time]).0,
            Outcome::CannotTell
        );
        let (verdict, reason) = judged(Outcome::Same, &[Judge::Time, Judge::Instructions]);
        assert_eq!(
            (verdict, reason.as_str()),
            (Outcome::Better, "fewer instructions: 100 -> 50 (-50.0 %)")
        );
        // Without time, counts decide alone.
        assert_eq!(
            judged(Outcome::Worse, &[Judge::Instructions]).0,
            Outcome::Better
        );
    }

    #[test]
    fn what_nobody_measured_is_not_called_the_same() {
        let mut gone = row(Outcome::Gone);
        gone.judge(&[Judge::Instructions], 0.01);
        assert_eq!(gone.verdict, Outcome::Gone);
        let mut uncounted = row(Outcome::CannotTell);
        uncounted.forget_time(false);
        assert_eq!(uncounted.verdict, Outcome::CannotTell);
        assert!(uncounted.reason.contains("valgrind"));
    }
}
