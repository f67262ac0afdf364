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
/// An effect of identical code that noise explains with a greater probability is none.
const NOISE: f64 = 0.01;

/// What this machine can resolve of one bench: log-ratios of identical code.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resolution {
    /// The base against itself.
    pub(crate) itself: f64,
    /// The base against itself with an unrelated function, if there is such a build.
    pub(crate) layout: Option<f64>,
}

impl Resolution {
    /// The larger effect.
    pub(crate) fn effect(&self) -> f64 {
        self.itself.max(self.layout.unwrap_or(0.0))
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
    let iterations = contest.iterations().await?;
    let resolution = calibrate(setting, iterations, &mut rng, interrupts).await?;
    let rules = Rules {
        least: setting.least.max(resolution.effect()),
        family: setting.family,
        seed: setting.seed,
    };
    let mut measurement = Measurement {
        resolution,
        finding: None,
        took: Duration::ZERO,
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
            let group = Instant::now();
            measurement
                .groups
                .push(contest.group(iterations, &mut rng).await?);
            longest = longest.max(group.elapsed());
        }
        if interrupts.any() {
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
    while start.elapsed() < setting.time.mul_f64(CALIBRATION) && !interrupts.any() {
        // All of them are builds of the base.
        let group = contest.group(iterations, rng).await;
        groups.push(group.map_err(|stopped| Stopped {
            contestant: 0,
            ..stopped
        })?);
    }
    let clocks = judge::clocks(&groups);
    let effect = |contestant| {
        let by_clock = clocks.iter().map(|&clock| {
            let ratios = log_ratios(&groups, contestant, clock);
            let effect = turns::median(&ratios, setting.seed);
            // What noise explains is in the comparison's own interval.
            let is_noise = effect.p_value(0.0) > NOISE;
            if is_noise {
                0.0
            } else {
                effect.log_ratio.abs()
            }
        });
        by_clock
            .filter(|effect| effect.is_finite())
            .fold(0.0, f64::max)
    };
    let layouts = (2..contest.contestants.len()).map(effect);
    Ok(Resolution {
        itself: effect(1),
        layout: layouts.reduce(f64::max),
    })
}
