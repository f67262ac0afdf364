//! Who used it: threads, routes, whatever samples are labelled with.

use std::collections::BTreeMap;

use perfwright_model::{LabelSetId, Profile, keys};

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
fn sums<K: Ord>(
    profile: &Profile,
    sample_type: usize,
    key_of: impl Fn(LabelSetId) -> K,
) -> Vec<(K, i64)> {
    let mut by_set: BTreeMap<LabelSetId, i64> = BTreeMap::new();
    for sample in profile.samples() {
        let sum = by_set.entry(sample.labels).or_default();
        *sum = sum.saturating_add(sample.values[sample_type]);
    }
    let mut by_key: BTreeMap<K, i64> = BTreeMap::new();
    for (labels, value) in by_set {
        let sum = by_key.entry(key_of(labels)).or_default();
        *sum = sum.saturating_add(value);
    }
    let mut rows: Vec<_> = by_key
        .into_iter()
        .filter(|&(_, value)| value != 0)
        .collect();
    rows.sort_by_key(|&(_, value)| std::cmp::Reverse(value));
    rows
}
