//! How many samples of a profiler a profile is made of: what its shares are known to depends on that.

use perfwright_model::Profile;

/// How the audit begins that our sampler leaves in a profile's comments.
const AUDIT: &str = "perfwright audit: ";

/// How many samples of a profiler a sample of the profile stands for.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    by: By,
    /// Samples of equal weight that would tell as much, for each that was taken. Samples of one stack are one sample
    /// of the profile, which no longer tells that their weights differed; the sampler's audit does.
    evenness: f64,
}

#[derive(Clone, Copy)]
enum By {
    /// The profile says: in this column.
    Column(usize),
    /// One for each so many units of the value.
    Period(f64),
    /// Nobody knows: one, which is never too many.
    One,
}

impl Counts {
    pub(super) fn of(profile: &Profile, column: usize) -> Self {
        Self {
            by: By::of(profile, column),
            evenness: evenness(profile).unwrap_or(1.0),
        }
    }

    pub(super) fn of_sample(self, values: &[i64], weight: f64) -> f64 {
        match self.by {
            By::Column(counts) => values[counts] as f64,
            By::Period(period) => weight / period,
            By::One => 1.0,
        }
    }

    pub(super) fn evenness(self) -> f64 {
        self.evenness
    }
}

impl By {
    fn of(profile: &Profile, column: usize) -> Self {
        let types = profile.sample_types();
        let counts = types
            .iter()
            .position(|t| t.kind == "samples" && t.unit == "count");
        if let Some(counts) = counts {
            return Self::Column(counts);
        }
        let period = profile
            .meta
            .period
            .as_ref()
            .filter(|period| period.value > 0 && period.sample_type.unit == types[column].unit);
        match period {
            Some(period) => Self::Period(period.value as f64),
            None if types[column].unit == "count" => Self::Column(column),
            None => Self::One,
        }
    }
}

fn evenness(profile: &Profile) -> Option<f64> {
    let fact = |key: &str| {
        let mut facts = (profile.meta.comments.iter()).filter_map(|line| line.strip_prefix(AUDIT));
        let value = facts.find_map(|fact| fact.strip_prefix(key)?.strip_prefix('='))?;
        value.parse::<f64>().ok().filter(|value| *value > 0.0)
    };
    Some((fact("delivered_effective")? / fact("delivered")?).min(1.0))
}
