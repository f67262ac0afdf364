//! Histograms: counts of values by the upper bounds of buckets.

use super::{Data, Error};

/// Each bucket counts the values below it, too.
#[derive(Default)]
pub(super) struct Histogram {
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    /// Adds to the bucket of this upper bound.
    pub(super) fn add(&mut self, bound: f64, count: f64) {
        match self
            .buckets
            .binary_search_by(|(known, _)| known.total_cmp(&bound))
        {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }

    /// Adds the counts of another.
    pub(super) fn take_in(&mut self, other: &Self) {
        for &(bound, count) in &other.buckets {
            self.add(bound, count);
        }
    }

    /// The quantile, in a straight line through its bucket; all that is known is that it lies in it.
    pub(super) fn quantile(&self, quantile: f64) -> Result<Data, String> {
        let all = self.buckets.last().map_or(0.0, |(_, count)| *count);
        if all.is_nan() || all <= 0.0 {
            return Err("the histogram is empty".to_owned());
        }
        let rank = quantile * all;
        let at = self.buckets.iter().position(|(_, count)| *count >= rank);
        let at = at.ok_or("the histogram's counts do not ascend")?;
        let (high, upto) = self.buckets[at];
        let (low, below) = match at {
            0 => (0.0_f64.min(high), 0.0),
            _ => self.buckets[at - 1],
        };
        let value = match high.is_finite() {
            true if upto > below => {
                low + (high - low) * ((rank - below) / (upto - below)).clamp(0.0, 1.0)
            }
            true => high,
            // Beyond the last bound nothing is known but that.
            false => low,
        };
        Ok(Data {
            error: Error::Between(low, high),
            samples: Some(all),
            ..Data::exact(value)
        })
    }

    /// The share of values above a bound: exact where a bucket ends there, else between those of its bucket's ends.
    pub(super) fn above(&self, bound: f64) -> Result<Data, String> {
        let all = self.buckets.last().map_or(0.0, |(_, count)| *count);
        if all.is_nan() || all <= 0.0 {
            return Err("the histogram is empty".to_owned());
        }
        let at = self.buckets.partition_point(|(end, _)| *end < bound);
        // Without the noise of binary fractions: 10 of 1000 are 1 %.
        let share = |below: f64| ((all - below) / all).clamp(0.0, 1.0);
        let least = share(self.buckets.get(at).map_or(all, |(_, count)| *count));
        if self.buckets.get(at).is_some_and(|(end, _)| *end == bound) {
            return Ok(Data::share(least, all));
        }
        let most = share(
            at.checked_sub(1)
                .map_or(0.0, |before| self.buckets[before].1),
        );
        Ok(Data {
            error: Error::Between(least, most),
            samples: Some(all),
            ..Data::exact((least + most) / 2.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let histogram = Histogram {
            buckets: vec![(0.1, 50.0), (0.2, 90.0), (f64::INFINITY, 100.0)],
        };
        let median = histogram.quantile(0.5).unwrap();
        assert_eq!(
            (median.value, median.error),
            (0.1, Error::Between(0.0, 0.1))
        );
        let p95 = histogram.quantile(0.95).unwrap();
        assert_eq!(p95.error, Error::Between(0.2, f64::INFINITY));
        assert!(
            Histogram {
                buckets: Vec::new()
            }
            .quantile(0.5)
            .is_err()
        );
    }

    #[test]
    fn a_share_above_a_bound_is_exact_at_a_buckets_end() {
        let hundredth = Histogram {
            buckets: vec![(0.25, 990.0), (f64::INFINITY, 1000.0)],
        };
        assert_eq!(hundredth.above(0.25).unwrap().value, 0.01);
        let mut histogram = Histogram::default();
        for (bound, count) in [(0.1, 50.0), (0.2, 90.0), (f64::INFINITY, 100.0)] {
            histogram.add(bound, count);
        }
        let exact = histogram.above(0.2).unwrap();
        assert!((exact.value - 0.1).abs() < 1e-12);
        assert_eq!(exact.error, Error::Share(100.0));
        for (bound, least, most) in [(0.15, 0.1, 0.5), (0.05, 0.5, 1.0), (3.0, 0.0, 0.1)] {
            let Error::Between(low, high) = histogram.above(bound).unwrap().error else {
                panic!("{bound} is no bound");
            };
            assert!(
                (low - least).abs() < 1e-12 && (high - most).abs() < 1e-12,
                "{bound}"
            );
        }
        assert!(Histogram::default().above(0.1).is_err());
    }
}
