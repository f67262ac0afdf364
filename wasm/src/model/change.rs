//! What changed between two profiles, and whether it may be chance.

use perfwright_analyze::Sides;

use super::state::Normalize;

/// A difference is told from chance at this many standard deviations: one in twenty is chance all the same.
const SIGNIFICANT: f64 = 1.96;

/// Two profiles as wholes: baseline 0, candidate 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Wholes {
    pub(crate) totals: [i64; 2],
    /// How many samples the totals are made of; `None`: not known, and nothing is told from chance.
    pub(crate) samples: [Option<f64>; 2],
    /// `None`: not known.
    pub(crate) seconds: [Option<f64>; 2],
    pub(crate) normalize: Normalize,
}

/// One value in both.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Change {
    /// The values, made comparable.
    pub(crate) values: [f64; 2],
    /// It is more than chance explains, or nothing is known about chance.
    pub(crate) is_significant: bool,
}

impl Wholes {
    /// What the values of each profile are multiplied by to be comparable: to shares from 0 to 1, to values
    /// per second, or to themselves.
    pub(crate) fn factors(&self) -> [f64; 2] {
        match self.normalize {
            Normalize::Share => self.totals.map(|total| 1.0 / (total.max(1) as f64)),
            Normalize::Rate => match self.seconds {
                [Some(old), Some(new)] if old > 0.0 && new > 0.0 => [1.0 / old, 1.0 / new],
                _ => [1.0; 2],
            },
            Normalize::Absolute => [1.0; 2],
        }
    }

    /// Makes these the totals: what a filter left.
    pub(crate) fn reduce(&mut self, totals: [i64; 2]) {
        for (side, total) in totals.into_iter().enumerate() {
            let left = total as f64 / self.totals[side].max(1) as f64;
            self.samples[side] = self.samples[side].map(|samples| samples * left);
            self.totals[side] = total;
        }
    }

    /// The same factors, large enough for whole numbers to hold the result.
    pub(crate) fn scales(&self) -> [f64; 2] {
        let factors = self.factors();
        let sizes = [0, 1].map(|side| factors[side] * self.totals[side].max(1) as f64);
        let largest = sizes[0].max(sizes[1]);
        factors.map(|factor| factor / largest * 1e15)
    }

    /// What a pair of values is.
    pub(crate) fn change(&self, values: [i64; 2]) -> Change {
        let factors = self.factors();
        Change {
            values: [0, 1].map(|side| values[side] as f64 * factors[side]),
            is_significant: self.is_significant(values),
        }
    }

    pub(crate) fn total_change(&self, sides: &Sides) -> Change {
        self.change(sides.total_values)
    }

    /// Two shares are compared as two proportions of samples; two rates as two counts (Poisson).
    fn is_significant(&self, values: [i64; 2]) -> bool {
        let [Some(old), Some(new)] = self.samples else {
            return values[0] != values[1];
        };
        let share = |side: usize| values[side] as f64 / self.totals[side].max(1) as f64;
        let counts = [share(0) * old, share(1) * new];
        let (difference, variance) = if self.normalize == Normalize::Share {
            let both = (counts[0] + counts[1]) / (old + new).max(1.0);
            let variance = both * (1.0 - both) * (1.0 / old.max(1.0) + 1.0 / new.max(1.0));
            (share(1) - share(0), variance)
        } else {
            let factors = self.factors();
            // What one sample stands for.
            let weights = [
                factors[0] * self.totals[0] as f64 / old.max(1.0),
                factors[1] * self.totals[1] as f64 / new.max(1.0),
            ];
            let variance = [0, 1].map(|side| counts[side] * weights[side] * weights[side]);
            let difference = counts[1] * weights[1] - counts[0] * weights[0];
            (difference, variance[0] + variance[1])
        };
        difference.abs() > SIGNIFICANT * variance.max(0.0).sqrt() && difference != 0.0
    }
}

impl Change {
    /// By how much it grew, in the unit of the values.
    pub(crate) fn absolute(&self) -> f64 {
        self.values[1] - self.values[0]
    }

    /// By how much it grew beside the baseline: 1 is twice as much, -1 gone. Of what appeared: 1.
    pub(crate) fn relative(&self) -> f64 {
        if self.values[0] == 0.0 {
            return if self.values[1] == 0.0 { 0.0 } else { 1.0 };
        }
        self.absolute() / self.values[0]
    }

    pub(crate) fn appeared(&self) -> bool {
        self.values[0] == 0.0 && self.values[1] != 0.0
    }

    pub(crate) fn disappeared(&self) -> bool {
        self.values[1] == 0.0 && self.values[0] != 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wholes(normalize: Normalize) -> Wholes {
        Wholes {
            totals: [1_000, 2_000],
            samples: [Some(1_000.0), Some(2_000.0)],
            seconds: [Some(10.0), Some(20.0)],
            normalize,
        }
    }

    #[test]
    fn what_is_the_same_share_of_a_longer_run_has_not_changed() {
        for normalize in [Normalize::Share, Normalize::Rate] {
            let change = wholes(normalize).change([100, 200]);
            assert_eq!(change.absolute(), 0.0);
            assert!(!change.is_significant);
        }
        let absolute = wholes(Normalize::Absolute).change([100, 200]);
        assert_eq!((absolute.absolute(), absolute.relative()), (100.0, 1.0));
    }

    #[test]
    fn a_sample_more_is_chance_and_hundreds_are_not() {
        let wholes = wholes(Normalize::Share);
        assert!(!wholes.change([0, 1]).is_significant);
        assert!(wholes.change([100, 600]).is_significant);
        assert!(wholes.change([0, 600]).appeared());
        assert!(wholes.change([600, 0]).disappeared());
    }
}
