//! The samples, a column per field.

use crate::{LabelSetId, SampleRef, StackId, index::Index};

/// In the column of times: not known for this sample.
const NO_TIME: i64 = i64::MIN;

/// Samples in columns: 8 bytes for stack and labels, 8 per sample type, 8 more if any sample has a time.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    width: usize,
    stacks: Vec<StackId>,
    labels: Vec<LabelSetId>,
    /// `width` values a sample.
    values: Vec<i64>,
    /// As long as `stacks`, or empty while no sample has a time.
    times: Vec<i64>,
    /// Over the first `indexed` samples, by (stack, labels); used by [`record`](Samples::record) alone.
    index: Index,
    indexed: usize,
}

impl Samples {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            stacks: Vec::new(),
            labels: Vec::new(),
            values: Vec::new(),
            times: Vec::new(),
            index: Index::new(),
            indexed: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.stacks.len()
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn get(&self, sample: usize) -> SampleRef<'_> {
        SampleRef {
            stack: self.stacks[sample],
            labels: self.labels[sample],
            values: &self.values[sample * self.width..][..self.width],
            time_nanos: self
                .times
                .get(sample)
                .copied()
                .filter(|&time| time != NO_TIME),
        }
    }

    pub(crate) fn push(
        &mut self,
        stack: StackId,
        labels: LabelSetId,
        values: &[i64],
        time_nanos: Option<i64>,
    ) {
        assert_eq!(
            values.len(),
            self.width,
            "a sample has one value per sample type"
        );
        if time_nanos.is_some() && self.times.is_empty() {
            self.times.resize(self.len(), NO_TIME);
        }
        let timed = time_nanos.is_some() || !self.times.is_empty();
        self.stacks.push(stack);
        self.labels.push(labels);
        self.values.extend_from_slice(values);
        if timed {
            self.times.push(time_nanos.unwrap_or(NO_TIME));
        }
    }

    /// Adds `values` to the first sample with this stack and these labels, or appends one.
    pub(crate) fn record(&mut self, stack: StackId, labels: LabelSetId, values: &[i64]) {
        self.index_all();
        let (stacks, label_sets) = (&self.stacks, &self.labels);
        let hash = hash(&self.index, stack, labels);
        let found = self.index.find(hash, |sample| {
            stacks[sample as usize] == stack && label_sets[sample as usize] == labels
        });
        let Some(sample) = found else {
            self.push(stack, labels, values, None);
            return;
        };
        assert_eq!(
            values.len(),
            self.width,
            "a sample has one value per sample type"
        );
        let at = sample as usize * self.width;
        for (sum, value) in self.values[at..].iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }

    /// Brings the index up to date: samples may have been pushed since.
    fn index_all(&mut self) {
        while self.indexed < self.stacks.len() {
            let sample = StackId::from_index(self.indexed).0;
            let (stacks, labels) = (&self.stacks, &self.labels);
            let (stack, set) = (stacks[self.indexed], labels[self.indexed]);
            let hash_ = hash(&self.index, stack, set);
            let known = self.index.find(hash_, |other| {
                stacks[other as usize] == stack && labels[other as usize] == set
            });
            if known.is_none() {
                self.index.insert(hash_, sample, |index, other| {
                    hash(index, stacks[other as usize], labels[other as usize])
                });
            }
            self.indexed += 1;
        }
    }

    pub(crate) fn rescale(&mut self, column: usize, factor: i64) {
        for value in self.values.iter_mut().skip(column).step_by(self.width) {
            *value = value.saturating_mul(factor);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.stacks.capacity() * 4
            + self.labels.capacity() * 4
            + self.values.capacity() * 8
            + self.times.capacity() * 8
            + self.index.heap_bytes()
    }
}

#[inline]
fn hash(index: &Index, stack: StackId, labels: LabelSetId) -> u64 {
    index.hash_words([u64::from(stack.0) << 32 | u64::from(labels.0)])
}
