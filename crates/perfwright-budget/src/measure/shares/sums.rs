//! What samples sum up to, by class.

use perfwright_model::{LabelSetId, Profile};
use perfwright_stats::effective_count_of_groups;

use super::super::counts::Counts;
use super::{
    Labels, has_labels,
    states::{Lists, States},
};

/// How long chains of states are, about.
const CHAIN: usize = 8;

/// What a group of samples sums up to.
pub(super) struct Sums {
    /// By class.
    pub(super) selfs: Vec<f64>,
    pub(super) totals: Vec<f64>,
    /// By list.
    self_lists: Vec<f64>,
    total_lists: Vec<f64>,
    /// By state; 0 outside of use.
    states: Vec<f64>,
}

impl Sums {
    pub(super) fn new(states: &States) -> Self {
        Self {
            selfs: vec![0.0; states.known.len()],
            totals: vec![0.0; states.known.len()],
            self_lists: vec![0.0; states.lists.len()],
            total_lists: vec![0.0; states.lists.len()],
            states: vec![0.0; states.states.len()],
        }
    }

    /// What states have goes to their lists and to the states that they extend.
    fn drain_states(&mut self, states: &States) {
        for index in (1..states.states.len()).rev() {
            let value = std::mem::take(&mut self.states[index]);
            if value != 0.0 {
                let state = states.states[index];
                self.total_lists[state.added as usize] += value;
                self.states[state.parent as usize] += value;
            }
        }
        self.states[0] = 0.0;
    }

    /// What lists have goes to their classes.
    fn drain_lists(&mut self, lists: &Lists) {
        let sums = [
            (&mut self.self_lists, &mut self.selfs),
            (&mut self.total_lists, &mut self.totals),
        ];
        for (by_list, by_class) in sums {
            by_class.fill(0.0);
            for (id, value) in by_list.iter_mut().enumerate() {
                let value = std::mem::take(value);
                if value != 0.0 {
                    for &class in lists.of(id as u32) {
                        by_class[class as usize] += value;
                    }
                }
            }
        }
    }
}

/// Samples, those of one set of labels together.
pub(super) struct SamplesByLabels {
    ends: Vec<u32>,
    samples: Vec<u32>,
    column: usize,
    counts: Counts,
    pub(super) whole: f64,
    pub(super) effective_count: f64,
}

impl SamplesByLabels {
    pub(super) fn new(profile: &Profile, column: usize) -> Self {
        let mut starts = vec![0_u32; profile.label_set_count() + 1];
        for sample in profile.samples() {
            starts[sample.labels.index() + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let ends = starts.clone();
        let mut samples = vec![0_u32; profile.sample_count()];
        for (position, sample) in profile.samples().enumerate() {
            let start = &mut starts[sample.labels.index()];
            samples[*start as usize] = position as u32;
            *start += 1;
        }
        let mut all = Self {
            ends,
            samples,
            column,
            counts: Counts::of(profile, column),
            whole: 0.0,
            effective_count: 0.0,
        };
        let every = 0..profile.sample_count() as u32;
        (all.whole, all.effective_count) = all.worth(profile, every);
        all
    }

    /// The sum of these samples' values, and how many equal samples they are worth.
    fn worth(&self, profile: &Profile, positions: impl Iterator<Item = u32>) -> (f64, f64) {
        let mut whole = 0.0;
        let groups = positions.map(|position| {
            let values = profile.sample(position as usize).values;
            let weight = values[self.column].max(0) as f64;
            whole += weight;
            (weight, self.counts.of_sample(values, weight))
        });
        let effective_count = effective_count_of_groups(groups);
        (whole, effective_count * self.counts.evenness())
    }

    /// Sums up the samples that have these labels, class by class; gives what they all sum up to.
    pub(super) fn sum(
        &self,
        profile: &Profile,
        labels: &Labels,
        states: &States,
        sums: &mut Sums,
    ) -> (f64, f64) {
        let mut chosen = Vec::new();
        for set in 0..profile.label_set_count() {
            if has_labels(profile, LabelSetId::from_index(set), labels) {
                chosen.push(self.ends[set] as usize..self.ends[set + 1] as usize);
            }
        }
        let positions = || {
            chosen
                .iter()
                .flat_map(|range| &self.samples[range.clone()])
                .copied()
        };
        let count: usize = chosen.iter().map(ExactSizeIterator::len).sum();
        // One pass over all states is cheaper than many chains, and many chains for few samples are not.
        let few = count < states.states.len() / CHAIN;
        for position in positions() {
            let sample = profile.sample(position as usize);
            let value = sample.values[self.column].max(0) as f64;
            let stack = sample.stack.index();
            sums.self_lists[states.leaves[stack] as usize] += value;
            match few {
                false => sums.states[states.of_stack[stack] as usize] += value,
                true => {
                    for state in states.chain(states.of_stack[stack]) {
                        sums.total_lists[state.added as usize] += value;
                    }
                }
            }
        }
        if !few {
            sums.drain_states(states);
        }
        sums.drain_lists(&states.lists);
        match labels.is_empty() {
            true => (self.whole, self.effective_count),
            false => self.worth(profile, positions()),
        }
    }
}
