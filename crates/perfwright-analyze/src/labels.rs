//! Who used it: threads, routes, whatever samples are labelled with.

use perfwright_model::{LabelSetId, Profile, keys, ordered};

use crate::tree::label_text;

/// The samples that share a label's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelRow {
    /// The value as text, a number with its unit; `None`: samples without the label.
    pub value: Option<String>,
    /// The sum over these samples.
    pub total_value: i64,
}

/// The samples of one thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadRow {
    /// The thread's name.
    pub name: Option<String>,
    /// Its id in the kernel.
    pub tid: Option<i64>,
    /// The sum over its samples.
    pub total_value: i64,
}

/// What each value of the label `key` accounts for, the greatest first.
///
/// # Panics
/// If the profile has no such sample type.
pub fn by_label(profile: &Profile, sample_type: usize, key: &str) -> Vec<LabelRow> {
    let text = |labels| label_text(profile, labels, key);
    let rows = sums(profile, sample_type, text).into_iter();
    rows.map(|(value, total_value)| LabelRow { value, total_value })
        .collect()
}

/// What each thread accounts for, the greatest first. Threads of one name but different ids are different.
///
/// # Panics
/// If the profile has no such sample type.
pub fn by_thread(profile: &Profile, sample_type: usize) -> Vec<ThreadRow> {
    let thread = |labels| {
        (
            label_text(profile, labels, keys::THREAD),
            profile.label_num(labels, keys::TID),
        )
    };
    let rows = sums(profile, sample_type, thread).into_iter();
    rows.map(|((name, tid), total_value)| ThreadRow {
        name,
        tid,
        total_value,
    })
    .collect()
}

/// The sums by what `key_of` says of a sample's labels, the greatest first, of equals in the keys' order.
fn sums<K: Ord + Clone>(
    profile: &Profile,
    sample_type: usize,
    key_of: impl Fn(LabelSetId) -> K,
) -> Vec<(K, i64)> {
    let mut by_set: Vec<i64> = vec![0; profile.label_set_count()];
    for sample in profile.samples() {
        let sum = &mut by_set[sample.labels.index()];
        *sum = sum.saturating_add(sample.values[sample_type]);
    }
    let of_sets: Vec<(K, i64)> = (by_set.into_iter().enumerate())
        .filter(|&(_, sum)| sum != 0)
        .map(|(set, sum)| (key_of(LabelSetId::from_index(set)), sum))
        .collect();
    let by_key = ordered(of_sets.len(), &|a, b| of_sets[a].0.cmp(&of_sets[b].0));
    let mut rows: Vec<(K, i64)> = Vec::new();
    for (key, sum) in by_key.into_iter().map(|at| &of_sets[at]) {
        match rows.last_mut().filter(|(last, _)| last == key) {
            Some((_, total)) => *total = total.saturating_add(*sum),
            None => rows.push((key.clone(), *sum)),
        }
    }
    rows.retain(|&(_, value)| value != 0);
    let by_value = ordered(rows.len(), &|a, b| rows[b].1.cmp(&rows[a].1));
    by_value.into_iter().map(|at| rows[at].clone()).collect()
}
