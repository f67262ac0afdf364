//! What a site's samples have become over time, in a few numbers that never grow, and whether that is a leak.
//!
//! Time is cut into epochs (the profiler's tick, or a mark), and epochs into buckets: [`BUCKETS`] of them, each
//! of one epoch at first. When they are full, neighbours are joined and each covers twice as many epochs. A site
//! is brought up to date only when it changes.

/// Buckets of a history. Between half of them and all are in use once there were enough epochs.
pub(crate) const BUCKETS: usize = 32;

/// Complete buckets before anything is suspected.
const MIN_BUCKETS: usize = 8;
/// As many beginnings of growth are tried in the first half of the time.
const BEGINNINGS: usize = 5;
/// Surviving samples before anything is suspected. Fewer are too few to tell growth from a large block.
const MIN_SURVIVORS: u32 = 8;
/// The share that each third of the time must have of the survivors, and the last one of the growth, for the
/// site to be growing still. Steady growth gives each 1/3.
const MIN_THIRD: f64 = 1.0 / 12.0;
const MIN_LATE_GROWTH: f64 = 1.0 / 6.0;

/// The epochs so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Clock {
    /// The current epoch.
    pub(crate) epoch: u32,
    /// A bucket covers two to the power of this epochs.
    span_log2: u32,
    /// When each complete bucket ended, in nanoseconds since the start.
    ended_nanos: [u64; BUCKETS],
}

impl Clock {
    pub(crate) const fn new() -> Clock {
        Clock {
            epoch: 0,
            span_log2: 0,
            ended_nanos: [0; BUCKETS],
        }
    }

    /// An epoch ends, `nanos` after the start.
    pub(crate) fn tick(&mut self, nanos: u64) {
        if self.epoch == u32::MAX {
            return;
        }
        self.ended_nanos[self.bucket_of(self.epoch)] = nanos;
        self.epoch += 1;
        if self.epoch >> self.span_log2 >= BUCKETS as u32 {
            for i in 0..BUCKETS / 2 {
                self.ended_nanos[i] = self.ended_nanos[2 * i + 1];
            }
            self.span_log2 += 1;
        }
    }

    fn bucket_of(&self, epoch: u32) -> usize {
        (epoch >> self.span_log2) as usize
    }
}

/// One site's past, by buckets.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct History {
    /// Samples born in each.
    births: [u32; BUCKETS],
    /// Those of them that live.
    survivors: [u32; BUCKETS],
    /// Bytes in use when each ended, in the unit that it is given; complete up to `bucket`.
    in_use: [u64; BUCKETS],
    span_log2: u32,
    bucket: u32,
}

impl History {
    /// Brings it up to `clock`; `in_use` is what was in use since the last change.
    pub(crate) fn advance(&mut self, clock: &Clock, in_use: u64) {
        while self.span_log2 < clock.span_log2 {
            self.coarsen(in_use);
        }
        let now = clock.bucket_of(clock.epoch);
        self.in_use[(self.bucket as usize).min(now)..now].fill(in_use);
        self.bucket = now as u32;
    }

    /// A sample is born in the current epoch. Advance it first.
    pub(crate) fn born(&mut self) {
        let bucket = self.bucket as usize;
        self.births[bucket] = self.births[bucket].saturating_add(1);
        self.survivors[bucket] = self.survivors[bucket].saturating_add(1);
    }

    /// A sample that was born in `epoch` is no more. Advance it first.
    pub(crate) fn died(&mut self, clock: &Clock, epoch: u32) {
        let survivors = &mut self.survivors[clock.bucket_of(epoch)];
        *survivors = survivors.saturating_sub(1);
    }

    /// A sample that was taken for dead lives. Advance it first.
    pub(crate) fn revived(&mut self, clock: &Clock, epoch: u32) {
        self.survivors[clock.bucket_of(epoch)] += 1;
    }

    /// Samples born so far.
    pub(crate) fn births(&self) -> u64 {
        self.births.iter().map(|&births| u64::from(births)).sum()
    }

    /// By how much it grew in the second half of the time. Advance it first.
    pub(crate) fn late_gain(&self, clock: &Clock) -> i64 {
        let Some(last) = clock.bucket_of(clock.epoch).checked_sub(1) else {
            return 0;
        };
        self.in_use[last].wrapping_sub(self.in_use[last / 2]) as i64
    }

    /// Adds another site's past. Advance both first, to the same moment.
    pub(crate) fn join(&mut self, other: &History) {
        for i in 0..BUCKETS {
            self.births[i] = self.births[i].saturating_add(other.births[i]);
            self.survivors[i] = self.survivors[i].saturating_add(other.survivors[i]);
            self.in_use[i] = self.in_use[i].saturating_add(other.in_use[i]);
        }
    }

    fn coarsen(&mut self, in_use: u64) {
        for i in 0..BUCKETS {
            let pair = |values: &[u32; BUCKETS], at: usize| {
                values.get(2 * i + at).copied().unwrap_or_default()
            };
            self.births[i] = pair(&self.births, 0).saturating_add(pair(&self.births, 1));
            self.survivors[i] = pair(&self.survivors, 0).saturating_add(pair(&self.survivors, 1));
            // The end of the second; if that is not complete yet, nothing has changed since.
            self.in_use[i] = if 2 * i + 1 < self.bucket as usize {
                self.in_use[2 * i + 1]
            } else {
                in_use
            };
        }
        self.bucket /= 2;
        self.span_log2 += 1;
    }

    /// How the site grows, if it does. Advance it first.
    ///
    /// Steady churn, a cache that is filled once, growth that stopped, a buffer that is emptied now and then: none
    /// of these is growth. The mean of the changes from bucket to bucket is compared with their scatter (Student's
    /// t, one-sided), which needs no model of how noisy a program is; a site that fluctuates around a level has
    /// changes that cancel, which makes the test stricter than it claims. Then there must be survivors of old,
    /// middle and recent times, and recent growth.
    ///
    /// `rate` is how often something that does not grow may be suspected.
    pub(crate) fn growth(&self, clock: &Clock, rate: f64) -> Option<Growth> {
        let buckets = clock.bucket_of(clock.epoch);
        let survivors: u32 = self.survivors[..buckets.min(BUCKETS)].iter().sum();
        if buckets < MIN_BUCKETS || survivors < MIN_SURVIVORS {
            return None;
        }
        // Growth may have begun after the start-up, so later beginnings are tried too, the earliest first; the
        // chance that one of several looks deceives is at most their sum.
        let mut tried = None;
        (0..BEGINNINGS)
            .map(|i| buckets * i / (2 * BEGINNINGS - 2))
            .filter(|first| buckets - first >= MIN_BUCKETS && tried.replace(*first) != Some(*first))
            .find_map(|first| self.growth_from(first, buckets, clock, rate / BEGINNINGS as f64))
    }

    /// The growth from the end of one bucket to now, if it is a leak's.
    fn growth_from(
        &self,
        first: usize,
        buckets: usize,
        clock: &Clock,
        rate: f64,
    ) -> Option<Growth> {
        let level = |bucket: usize| self.in_use[bucket] as f64;
        let last = buckets - 1;
        let window = first + 1..buckets;
        let changes: Vec<f64> = window.clone().map(|i| level(i) - level(i - 1)).collect();
        let (mean, error) = mean_and_error(&changes);
        let p_value = student_tail(mean / error, changes.len() - 1);
        if mean <= 0.0 || p_value > rate {
            return None;
        }
        let all = level(last) - level(first);
        // As much was in use before, and went: it is filled and emptied.
        if (0..first).any(|before| level(before) > level(first) + all / 2.0) {
            return None;
        }
        let third = |i: usize| window.start + window.len() * i / 3;
        let survivors = |range: std::ops::Range<usize>| self.survivors[range].iter().sum::<u32>();
        let fewest = (0..3).map(|i| survivors(third(i)..third(i + 1))).min()?;
        let late = level(last) - level(third(2) - 1);
        let meanwhile = f64::from(survivors(window));
        if f64::from(fewest) < MIN_THIRD * meanwhile || late < MIN_LATE_GROWTH * all {
            return None;
        }
        // Marks may follow each other within one tick of the clock.
        let nanos = clock.ended_nanos[last].saturating_sub(clock.ended_nanos[first]);
        let seconds = nanos.max(1) as f64 / 1e9;
        let per_bucket = seconds / changes.len() as f64;
        let oldest = self.survivors.iter().position(|&count| count > 0)?;
        let births: u32 = self.births[..buckets].iter().sum();
        Some(Growth {
            per_second: mean / per_bucket,
            per_second_error: error / per_bucket,
            p_value,
            oldest_nanos: oldest
                .checked_sub(1)
                .map_or(0, |before| clock.ended_nanos[before]),
            survived: f64::from(survivors(0..buckets)) / f64::from(births.max(1)),
        })
    }
}

/// How a site grows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Growth {
    /// In the unit of the history, each second of the time observed.
    pub(crate) per_second: f64,
    /// One standard error of that.
    pub(crate) per_second_error: f64,
    /// How likely something that does not grow looks like this.
    pub(crate) p_value: f64,
    /// The oldest survivors were born after this, in nanoseconds since the start.
    pub(crate) oldest_nanos: u64,
    /// The share of the samples born that live, 0 to 1.
    pub(crate) survived: f64,
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// The chance of Student's t with `degrees` of freedom (at least 1) to be above `t`.
///
/// Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
fn student_tail(t: f64, degrees: usize) -> f64 {
    if t.is_nan() {
        return 1.0;
    }
    if t == f64::INFINITY {
        return 0.0;
    }
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    // Between -t and t lies this much.
    let inside = if degrees % 2 == 1 {
        let mut term = cos;
        let mut sum = if degrees > 1 { cos } else { 0.0 };
        for i in (3..degrees).step_by(2) {
            term *= cos * cos * (i - 1) as f64 / i as f64;
            sum += term;
        }
        (angle + sin * sum) * std::f64::consts::FRAC_2_PI
    } else {
        let (mut term, mut sum) = (1.0, 1.0);
        for i in (2..degrees).step_by(2) {
            term *= cos * cos * (i - 1) as f64 / i as f64;
            sum += term;
        }
        sin * sum
    };
    (1.0 - inside) / 2.0
}

#[cfg(test)]
mod tests;
