//! Shares of a profile and their sampling error.

use crate::two_sided_p;

/// How many samples of equal weight carry as much information as these: (sum w)² / sum w², 0 without weights.
/// Source: Kish, "Survey Sampling" (1965), section 11.7.
pub fn effective_count(weights: impl IntoIterator<Item = f64>) -> f64 {
    effective_count_of_groups(weights.into_iter().map(|weight| (weight, 1.0)))
}

/// [`effective_count`] of samples that were summed up in groups of (total weight, number of samples). The
/// weights inside a group are taken as equal, so the result is an upper bound. Groups without samples count
/// for nothing.
pub fn effective_count_of_groups(groups: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for (weight, count) in groups {
        if count > 0.0 {
            sum += weight;
            squares += weight * weight / count;
        }
    }
    match squares > 0.0 {
        true => sum * sum / squares,
        false => 0.0,
    }
}

/// The share of a profile's weight that falls on something, and how many samples say so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// `0.0..=1.0`.
    pub share: f64,
    /// [`effective_count`] of all samples of the profile, not only of that part.
    pub effective_count: f64,
}

/// What [`Share::compare`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Candidate minus baseline, `-1.0..=1.0`.
    pub difference: f64,
    /// The standard error of the difference.
    pub standard_error: f64,
    /// The probability of a difference at least this large between two profiles of the same thing.
    pub p_value: f64,
}

impl Share {
    /// The share of `part` in `total`; 0 of an empty profile.
    pub fn new(part: f64, total: f64, effective_count: f64) -> Self {
        let share = match total > 0.0 {
            true => (part / total).clamp(0.0, 1.0),
            false => 0.0,
        };
        Self {
            share,
            effective_count,
        }
    }

    /// How many standard deviations of a true share of `expected` this one is away from it. Signed; infinite
    /// if `expected` is impossible, 0 without samples.
    pub fn deviation_from(self, expected: f64) -> f64 {
        let difference = self.share - expected;
        if self.effective_count <= 0.0 || difference == 0.0 {
            return 0.0;
        }
        difference
            / (expected * (1.0 - expected) / self.effective_count)
                .max(0.0)
                .sqrt()
    }

    /// The interval that holds the true share unless the sampling was more than `z` standard deviations off
    /// (1.96: 95 % of the time). `(0, 1)` without samples.
    /// Source: Wilson, "Probable Inference" (JASA 22, 1927); good for small counts too.
    pub fn interval(self, z: f64) -> (f64, f64) {
        let n = self.effective_count;
        if n <= 0.0 {
            return (0.0, 1.0);
        }
        let (p, zz) = (self.share, z * z / n);
        let center = (p + zz / 2.0) / (1.0 + zz);
        let half = z / (1.0 + zz) * (p * (1.0 - p) / n + zz / n / 4.0).sqrt();
        ((center - half).max(0.0), (center + half).min(1.0))
    }

    /// Whether a candidate's share differs from this one by more than sampling explains: the two-sample test of
    /// proportions with pooled variance and Yates's continuity correction, which keeps it honest for counts of
    /// a few samples. Source: Yates (Supplement to JRSS 1, 1934).
    pub fn compare(self, candidate: Self) -> Comparison {
        let (n, m) = (self.effective_count, candidate.effective_count);
        let difference = candidate.share - self.share;
        if n <= 0.0 || m <= 0.0 {
            return Comparison {
                difference,
                standard_error: f64::INFINITY,
                p_value: 1.0,
            };
        }
        let inverse = 1.0 / n + 1.0 / m;
        let pooled = (self.share * n + candidate.share * m) / (n + m);
        let standard_error = (pooled * (1.0 - pooled) * inverse).max(0.0).sqrt();
        let corrected = (difference.abs() - inverse / 2.0).max(0.0);
        let p_value = match corrected > 0.0 {
            true => two_sided_p(corrected / standard_error),
            false => 1.0,
        };
        Comparison {
            difference,
            standard_error,
            p_value,
        }
    }
}
