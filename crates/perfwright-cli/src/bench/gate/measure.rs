//! One bench measured: calibration, then the comparison, look by look.

use std::time::{Duration, Instant};

use perfwright_stats::{Rng, turns};

use super::contest::{Contest, Contestant, Group, Kind, Stopped, log_ratios};
use super::judge::{self, Finding, Rules};
use crate::profile::interrupts::Interrupts;

/// The share of a bench's time that calibration takes, beforehand.
const CALIBRATION: f64 = 0.15;
/// Fewer groups tell nothing: the time is exceeded for them, up to three times.
const FEWEST_GROUPS: usize = 6;
/// Calibration with fewer groups than this tells nothing: it takes longer for them, up to this share of the time.
const FEWEST_CALIBRATION_GROUPS: usize = 4;
const LONGEST_CALIBRATION: f64 = 0.4;
/// An effect of identical code that noise explains with a greater probability is none.
const NOISE: f64 = 0.01;

/// What this machine can resolve of one bench: log-ratios of identical code.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resolution {
    /// The base against itself; `None` if there was no time to tell.
    pub(crate) itself: Option<f64>,
    /// The base against itself with an unrelated function, if there is such a build.
    pub(crate) layout: Option<f64>,
}

impl Resolution {
    /// The larger effect.
    pub(crate) fn effect(&self) -> Option<f64> {
        self.itself.into_iter().chain(self.layout).reduce(f64::max)
    }
}

/// A finished or interrupted measurement.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) resolution: Resolution,
    /// The last look; `None` if it was interrupted before the first.
    pub(crate) finding: Option<Finding>,
    /// With calibration.
    pub(crate) took: Duration,
    /// Whether the user ended it before it was sure.
    pub(crate) interrupted: bool,
    /// Batches of base and candidate in turns.
    pub(crate) groups: Vec<Group>,
    pub(crate) iterations: u64,
}

/// What a bench is measured with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) kind: Kind,
    pub(crate) base: Contestant,
    pub(crate) twin: Contestant,
    pub(crate) candidate: Contestant,
    pub(crate) layouts: Vec<Contestant>,
    /// The longest that it may take, with calibration.
    pub(crate) time: Duration,
    /// The smallest effect that matters, as a log-ratio.
    pub(crate) least: f64,
    pub(crate) family: usize,
    pub(crate) seed: u64,
}

/// Measures a bench. The contestants of [`Stopped`] are 0 for the base, 1 for the candidate.
pub(crate) async fn measure(
    setting: &Setting,
    interrupts: &Interrupts,
) -> Result<Measurement, Stopped> {
    let mut rng = Rng::new(setting.seed);
    let began = Instant::now();
    let contest = Contest {
        kind: setting.kind,
        contestants: vec![setting.base.clone(), setting.candidate.clone()],
    };
    let iterations = unless_interrupted(contest.iterations(), interrupts).await;
    let iterations = iterations.transpose()?.unwrap_or(1);
    let resolution = calibrate(setting, iterations, &mut rng, interrupts).await?;
    let rules = Rules {
        least: setting.least.max(resolution.effect().unwrap_or(0.0)),
        family: setting.family,
        kind: setting.kind,
        seed: setting.seed,
    };
    let mut measurement = Measurement {
        resolution,
        finding: None,
        took: Duration::ZERO,
        interrupted: false,
        groups: Vec::new(),
        iterations,
    };
    let time = setting.time.saturating_sub(began.elapsed());
    let (start, looks) = (Instant::now(), judge::looks());
    let mut longest = Duration::ZERO;
    for look in looks.iter() {
        let until = time.mul_f64(look.at).min(time.saturating_sub(longest / 2));
        let is_short = |measurement: &Measurement| {
            let few = look.at == 1.0 && measurement.groups.len() < FEWEST_GROUPS;
            few && began.elapsed() < setting.time * 3
        };
        while (start.elapsed() < until || is_short(&measurement)) && !interrupts.any() {
            let began = Instant::now();
            let group = unless_interrupted(contest.group(iterations, &mut rng), interrupts).await;
            measurement.groups.extend(group.transpose()?);
            longest = longest.max(began.elapsed());
        }
        if interrupts.any() {
            measurement.interrupted = true;
            break;
        }
        let before = measurement.finding.as_ref();
        let finding = judge::look(
            &measurement.groups,
            iterations,
            &rules,
            (&looks, look),
            before,
        );
        let is_final = finding.is_final;
        measurement.finding = Some(finding);
        if is_final {
            break;
        }
    }
    measurement.took = began.elapsed();
    Ok(measurement)
}

/// What is under way, or nothing: then it is dropped, and with it its processes.
pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = T>,
    interrupts: &Interrupts,
) -> Option<T> {
    tokio::select! {
        biased;
        () = interrupts.reached(1) => None,
        done = work => Some(done),
    }
}

/// The base against itself, and against itself with other code around it.
async fn calibrate(
    setting: &Setting,
    iterations: u64,
    rng: &mut Rng,
    interrupts: &Interrupts,
) -> Result<Resolution, Stopped> {
    let mut contestants = vec![setting.base.clone(), setting.twin.clone()];
    contestants.extend(setting.layouts.iter().cloned());
    let contest = Contest {
        kind: setting.kind,
        contestants,
    };
    let mut groups = Vec::new();
    let start = Instant::now();
    let is_short = |groups: &[Group]| {
        let share = match groups.len() < FEWEST_CALIBRATION_GROUPS {
            true => LONGEST_CALIBRATION,
            false => CALIBRATION,
        };
        start.elapsed() < setting.time.mul_f64(share)
    };
    while is_short(&groups) && !interrupts.any() {
        // All of them are builds of the base.
        let group = unless_interrupted(contest.group(iterations, rng), interrupts).await;
        let group = group.transpose().map_err(|stopped| Stopped {
            contestant: 0,
            ..stopped
        });
        groups.extend(group?);
    }
    let clocks = judge::clocks(&groups, setting.kind);
    let effect = |contestant| {
        let by_clock = clocks.iter().map(|&clock| {
            let ratios = log_ratios(&groups, contestant, clock);
            let effect = turns::median(&ratios, setting.seed);
            if !effect.error.is_finite() {
                return None;
            }
            // What noise explains is in the comparison's own interval.
            let is_noise = effect.p_value(0.0) > NOISE;
            Some(if is_noise {
                0.0
            } else {
                effect.log_ratio.abs()
            })
        });
        by_clock.flatten().reduce(f64::max)
    };
    let layouts = (2..contest.contestants.len()).map(effect);
    Ok(Resolution {
        itself: effect(1),
        layout: layouts.flatten().reduce(f64::max),
    })
}
