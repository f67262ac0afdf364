//! What the batches of a comparison say, by each clock and together.

use perfwright_criterion::protocol::Measured;
use perfwright_stats::turns::{self, Effect, Look, Looks, Verdict};

use super::contest::{Clock, Group, Kind, log_ratios};

/// The probability of a wrong verdict on a bench.
pub(crate) const ALPHA: f64 = 0.01;
/// The probability of calling a bench the same whose difference matters, if only just. It is no false alarm, so it
/// may be more likely than one.
const SAME_ALPHA: f64 = 0.05;
/// When the data are looked at, as shares of the longest time.
const LOOKS: [f64; 6] = [0.08, 0.14, 0.24, 0.4, 0.65, 1.0];
/// The thread's CPU clock is refused if the process's runs ahead of it by more: other threads work too.
const OTHER_THREADS: f64 = 1.05;
/// A bench in which more batches wait than this is judged by the wall clock too.
const WAITS: f64 = 0.1;
/// A bench that spends less of its time on a CPU is judged by the wall clock alone.
const LEAST_BUSY: f64 = 0.2;

/// What a verdict is measured by.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The smallest effect that counts, as a log-ratio: what the user asked for, or what can be resolved.
    pub(crate) least: f64,
    /// How many benches are judged in one run.
    pub(crate) family: usize,
    /// How the batches were made.
    pub(crate) kind: Kind,
    /// For what is drawn.
    pub(crate) seed: u64,
}

/// What one clock says.
#[derive(Debug, Clone)]
pub(crate) struct ByClock {
    pub(crate) clock: Clock,
    pub(crate) effect: Effect,
    /// The look's interval of log-ratios.
    pub(crate) interval: (f64, f64),
    pub(crate) verdict: Verdict,
    /// Whether the verdict is a difference that stands beside those of all other benches.
    stands: bool,
    /// The two-sided p-value at this look.
    p_value: f64,
    /// Medians, in nanoseconds for an iteration: base and candidate.
    pub(crate) nanos: [f64; 2],
}

/// What a look finds.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) cpu: ByClock,
    pub(crate) wall: ByClock,
    pub(crate) judged: Judged,
    pub(crate) verdict: Verdict,
    /// Whether more measuring cannot change it, as far as the error budget goes.
    pub(crate) is_final: bool,
    /// The p-value of the whole comparison so far.
    pub(crate) p_value: f64,
    pub(crate) batches: usize,
}

/// The clocks that a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The bench computes: what the wall clock has beyond is other programs' doing.
    Cpu,
    /// It waits, too.
    Both,
    /// It does little but wait.
    Wall,
}

impl Judged {
    /// Whether a clock is among them.
    fn has(self, clock: Clock) -> bool {
        match clock {
            Clock::Wall => self != Judged::Cpu,
            Clock::Process | Clock::Thread => self != Judged::Wall,
        }
    }

    fn count(self) -> f64 {
        if self == Judged::Both { 2.0 } else { 1.0 }
    }
}

/// When to look.
pub(crate) fn looks() -> Looks {
    Looks::new(ALPHA, &LOOKS)
}

/// Looks at the groups of a contest of base and candidate.
pub(crate) fn look(
    groups: &[Group],
    iterations: u64,
    rules: &Rules,
    (looks, look): (&Looks, Look),
    before: Option<&Finding>,
) -> Finding {
    let batches = || groups.iter().flatten().flatten();
    let judged = judged_clocks(batches(), rules.kind);
    let cpu = cpu_clock(batches());
    let [cpu, wall] = [cpu, Clock::Wall].map(|clock| {
        by_clock(
            groups,
            iterations,
            rules,
            look.alpha / judged.count(),
            clock,
        )
    });
    let p_value = [&cpu, &wall]
        .into_iter()
        .filter(|by| judged.has(by.clock))
        .map(|by| looks.overall(look, by.p_value * judged.count()))
        .chain(before.map(|before| before.p_value))
        .fold(1.0, f64::min);
    let (verdict, is_final) = together(&cpu, &wall, judged, rules.least);
    Finding {
        cpu,
        wall,
        judged,
        verdict,
        is_final,
        p_value,
        batches: groups.iter().map(Vec::len).sum(),
    }
}

/// The clocks that a contest would be judged by.
pub(crate) fn clocks(groups: &[Group], kind: Kind) -> Vec<Clock> {
    let batches = || groups.iter().flatten().flatten();
    let judged = judged_clocks(batches(), kind);
    let mut clocks = vec![cpu_clock(batches()), Clock::Wall];
    clocks.retain(|clock| judged.has(*clock));
    clocks
}

fn by_clock(groups: &[Group], iterations: u64, rules: &Rules, alpha: f64, clock: Clock) -> ByClock {
    let effect = turns::median(&log_ratios(groups, 1, clock), rules.seed);
    let p_value = effect.p_value(rules.least);
    let nanos = [0, 1].map(|contestant| {
        let batches = groups
            .iter()
            .flatten()
            .map(|round| clock.of(&round[contestant]));
        median(batches) / iterations as f64
    });
    ByClock {
        clock,
        effect,
        interval: effect.interval(alpha),
        verdict: match effect.verdict(rules.least, alpha) {
            // Two one-sided tests: each at the level that the interval has on one side.
            Verdict::CannotTell
                if effect.is_same(rules.least, 2.0 * alpha * SAME_ALPHA / ALPHA) =>
            {
                Verdict::Same
            }
            verdict => verdict,
        },
        stands: p_value <= alpha / rules.family as f64,
        p_value,
        nanos,
    }
}

/// The verdict of the judged clocks, and whether it will stay.
fn together(cpu: &ByClock, wall: &ByClock, judged: Judged, least: f64) -> (Verdict, bool) {
    let only = |by: &ByClock| match by.verdict {
        Verdict::Same => (Verdict::Same, true),
        verdict => (verdict, by.stands),
    };
    match judged {
        Judged::Cpu => only(cpu),
        Judged::Wall => only(wall),
        Judged::Both => both(cpu, wall, least),
    }
}

fn both(cpu: &ByClock, wall: &ByClock, least: f64) -> (Verdict, bool) {
    use Verdict::{Better, CannotTell, Same, Worse};
    match (cpu.verdict, wall.verdict) {
        (Same, Same) => (Same, true),
        // They contradict each other: more of the one may be the price of less of the other.
        (Worse, Better) | (Better, Worse) => (CannotTell, cpu.stands && wall.stands),
        (Same | CannotTell, Same | CannotTell) => (CannotTell, false),
        (Worse | Better, _) => one_of_two(cpu, wall, least),
        (_, Worse | Better) => one_of_two(wall, cpu, least),
    }
}

/// One clock sees a difference that the other does not contradict; it stays if the other does not lean the other way.
fn one_of_two(sees: &ByClock, other: &ByClock, least: f64) -> (Verdict, bool) {
    let leans_away = match sees.verdict {
        Verdict::Worse => other.effect.log_ratio < -least,
        _ => other.effect.log_ratio > least,
    };
    (sees.verdict, sees.stands && !leans_away)
}

fn judged_clocks<'a>(batches: impl Iterator<Item = &'a Measured> + Clone, kind: Kind) -> Judged {
    let count = batches.clone().count() as f64;
    let waiting = batches.clone().filter(|batch| batch.waits > 0).count() as f64;
    let busy = median(batches.map(|batch| batch.process_nanos as f64 / batch.wall_nanos as f64));
    match () {
        // criterion's times leave out most disturbances already; the CPU time is that of the whole process, coarse.
        () if kind == Kind::Criterion => Judged::Wall,
        () if waiting <= WAITS * count => Judged::Cpu,
        () if busy < LEAST_BUSY => Judged::Wall,
        () => Judged::Both,
    }
}

fn cpu_clock<'a>(batches: impl Iterator<Item = &'a Measured>) -> Clock {
    let ahead = batches.map(|batch| batch.process_nanos as f64 / batch.thread_nanos as f64);
    match median(ahead) > OTHER_THREADS {
        true => Clock::Process,
        false => Clock::Thread,
    }
}

/// The median of what is a number; NaN of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        count => values[count / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten groups of four rounds in which the candidate takes so many times the base's CPU and wall time. Small
    /// differences from round to round make an interval.
    fn groups(cpu: f64, wall: f64, edit: impl Fn(&mut Measured)) -> Vec<Group> {
        let batch = |index: usize, cpu: f64, wall: f64| {
            let wobble = 1.0 + 0.001 * ((index * 7) % 5) as f64;
            let mut measured = Measured {
                wall_nanos: (1e6 * wall * wobble) as u64,
                process_nanos: (5e5 * cpu * wobble) as u64,
                thread_nanos: (5e5 * cpu * wobble) as u64,
                waits: 0,
                allocated: None,
            };
            edit(&mut measured);
            measured
        };
        let round = |index| vec![batch(index, 1.0, 1.0), batch(index + 1, cpu, wall)];
        (0..10)
            .map(|group| (0..4).map(|index| round(group * 4 + index)).collect())
            .collect()
    }

    fn finding(groups: &[Group]) -> Finding {
        let rules = Rules {
            least: 0.01,
            family: 10,
            kind: Kind::Suite,
            seed: 1,
        };
        let looks = Looks::new(ALPHA, &[1.0]);
        let only = looks.iter().next().unwrap();
        look(groups, 1, &rules, (&looks, only), None)
    }

    fn waits(measured: &mut Measured) {
        measured.waits = 1;
    }

    #[test]
    fn a_bench_that_computes_is_judged_by_its_cpu_time() {
        let slower = finding(&groups(1.03, 1.0, |_| {}));
        assert_eq!(
            (slower.judged, slower.verdict),
            (Judged::Cpu, Verdict::Worse)
        );
        assert!(slower.is_final && slower.p_value < 1e-4);
        let stolen = finding(&groups(1.0, 1.5, |_| {}));
        assert_eq!(
            (stolen.judged, stolen.verdict),
            (Judged::Cpu, Verdict::Same)
        );
        // What the wall clock says is kept, to be shown.
        assert_eq!(stolen.wall.verdict, Verdict::Worse);
    }

    #[test]
    fn a_bench_that_waits_is_judged_by_both_clocks() {
        let waiting = finding(&groups(1.0, 1.03, waits));
        assert_eq!(
            (waiting.judged, waiting.verdict),
            (Judged::Both, Verdict::Worse)
        );
        let contradiction = finding(&groups(1.3, 0.7, waits));
        assert_eq!(contradiction.verdict, Verdict::CannotTell);
        let same = finding(&groups(1.0, 1.0, waits));
        assert_eq!((same.verdict, same.is_final), (Verdict::Same, true));
        let idle = finding(&groups(2.0, 1.0, |measured| {
            measured.waits = 1;
            measured.process_nanos /= 10;
        }));
        assert_eq!((idle.judged, idle.verdict), (Judged::Wall, Verdict::Same));
    }

    #[test]
    fn the_threads_clock_is_refused_where_other_threads_work() {
        let alone = finding(&groups(1.0, 1.0, |measured| {
            measured.process_nanos += 20_000
        }));
        assert_eq!(alone.cpu.clock, Clock::Thread);
        let helped = finding(&groups(1.0, 1.0, |measured| {
            measured.process_nanos += 30_000
        }));
        assert_eq!(helped.cpu.clock, Clock::Process);
    }

    #[test]
    fn an_early_difference_has_to_stand_beside_all_benches_of_the_run() {
        let groups = groups(1.03, 1.0, |_| {});
        let rules = |family| Rules {
            least: 0.01,
            family,
            kind: Kind::Suite,
            seed: 1,
        };
        let looks = Looks::new(ALPHA, &[1.0]);
        let only = looks.iter().next().unwrap();
        let of = |family| look(&groups, 1, &rules(family), (&looks, only), None);
        assert!(of(10).is_final);
        // Ever so many: it is still worse, but measured on.
        let many = of(usize::MAX);
        assert_eq!((many.verdict, many.is_final), (Verdict::Worse, false));
    }

    #[test]
    fn the_least_p_value_of_the_looks_counts() {
        let sure = finding(&groups(1.03, 1.0, |_| {}));
        let rules = Rules {
            least: 0.01,
            family: 1,
            kind: Kind::Suite,
            seed: 1,
        };
        let looks = Looks::new(ALPHA, &[1.0]);
        let only = looks.iter().next().unwrap();
        let later = look(
            &groups(1.0, 1.0, |_| {}),
            1,
            &rules,
            (&looks, only),
            Some(&sure),
        );
        assert_eq!(later.p_value, sure.p_value);
    }
}
