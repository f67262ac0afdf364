//! A compact log-linear histogram, as HdrHistogram's: linear buckets inside powers of two.

/// log2 of the buckets per power of two.
const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;
/// Values of this many bits and more (2.4 hours) share the last bucket.
const MAX_BITS: u32 = 43;

/// How often which duration was seen. A bucket is at most 6.3 % wide, so a quantile is at most 6.3 % too high.
///
/// It holds only the powers of two between the smallest and the largest value, 64 bytes each: 2.6 KB at most.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    count: u64,
    /// The power of two that `rows` begin with.
    first: usize,
    rows: Vec<[u32; SUBS]>,
}

impl Histogram {
    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest bucket bound, in nanoseconds, at or below which at least the share `q` (0 to 1) of all values
    /// lies; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets()
            .find(|(_, count)| {
                seen += count;
                seen >= rank
            })
            .map(|(bound, _)| bound)
    }

    /// The largest values of the buckets that are not empty, in nanoseconds, ascending, with their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(move |(row, counts)| {
            let counts = counts.iter().enumerate();
            counts.map(move |(sub, &count)| (bound(self.first + row, sub), u64::from(count)))
        })
        .filter(|&(_, count)| count > 0)
    }

    /// Counts one value in nanoseconds.
    #[inline]
    pub(crate) fn record(&mut self, value: u64) {
        let (row, sub) = bucket(value);
        self.count += 1;
        let known = self.rows.get_mut(row.wrapping_sub(self.first));
        let counts = match known {
            Some(counts) => counts,
            None => self.row(row),
        };
        let cell = &mut counts[sub];
        *cell = cell.saturating_add(1);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.count += other.count;
        for (row, counts) in other.rows.iter().enumerate() {
            let mine = self.row(other.first + row);
            for (cell, count) in mine.iter_mut().zip(counts) {
                *cell = cell.saturating_add(*count);
            }
        }
    }

    #[cold]
    fn row(&mut self, row: usize) -> &mut [u32; SUBS] {
        if self.rows.is_empty() {
            self.first = row;
        }
        if row < self.first {
            let missing = self.first - row;
            self.rows
                .splice(..0, std::iter::repeat_n([0; SUBS], missing));
            self.first = row;
        }
        let at = row - self.first;
        if at >= self.rows.len() {
            self.rows.resize(at + 1, [0; SUBS]);
        }
        &mut self.rows[at]
    }
}

/// Row 0 has the values below 16 one by one; each further row a power of two in 16 parts.
#[inline]
fn bucket(value: u64) -> (usize, usize) {
    let value = value.min((1 << MAX_BITS) - 1);
    if value < SUBS as u64 {
        return (0, value as usize);
    }
    let shift = value.ilog2() - SUB_BITS;
    ((shift + 1) as usize, (value >> shift) as usize - SUBS)
}

/// The largest value of a bucket.
fn bound(row: usize, sub: usize) -> u64 {
    match row {
        0 => sub as u64,
        row => (((SUBS + sub + 1) as u64) << (row - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_values_there_is_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_too_long_is_in_the_last_bucket() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert_eq!(histogram.quantile(1.0), Some((1 << MAX_BITS) - 1));
        assert!(histogram.rows.len() == 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_at_most_a_bucket_too_high(
            mut values in prop::collection::vec(0..1_u64 << 40, 1..200),
            split in 0_usize..200,
            q in 0.0..=1.0_f64,
        ) {
            let (mut one, mut other) = (Histogram::default(), Histogram::default());
            for (i, &value) in values.iter().enumerate() {
                if i < split { one.record(value) } else { other.record(value) }
            }
            one.merge(&other);
            values.sort();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let truth = values[rank - 1];
            let seen = one.quantile(q).unwrap();
            prop_assert!(seen >= truth);
            prop_assert!(seen - truth <= truth / 16, "{seen} for {truth}");
            prop_assert_eq!(one.count(), values.len() as u64);
            prop_assert_eq!(one.buckets().map(|b| b.1).sum::<u64>(), values.len() as u64);
        }
    }
}
