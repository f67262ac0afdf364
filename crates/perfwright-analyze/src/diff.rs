//! Two profiles side by side.

use std::collections::HashMap;
use std::fmt;

use perfwright_model::{Profile, SampleType};

use crate::symbols::By;
use crate::top::{Row, top};
use crate::tree::{CallTree, NodeId};

/// What one row of a [`Diff`] has in one of the profiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weight {
    /// What it cost itself.
    pub self_value: i64,
    /// What it cost with all it called.
    pub total_value: i64,
    /// How many samples its self value is made of; 0 where the profile does not count samples.
    pub self_samples: i64,
    /// How many samples its total is made of; 0 where the profile does not count samples.
    pub total_samples: i64,
}

/// A function (file, crate, mapping) in both profiles. A profile without it has zeroes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiffRow {
    /// Its name.
    pub name: String,
    /// Its file in the candidate, or in the baseline if it is gone.
    pub file: Option<String>,
    /// Its line there, as in [`Row`].
    pub line: Option<u32>,
    /// What it has in the baseline.
    pub baseline: Weight,
    /// What it has in the candidate.
    pub candidate: Weight,
}

impl DiffRow {
    /// Only the candidate has it.
    pub fn appeared(&self) -> bool {
        self.baseline == Weight::default()
    }

    /// Only the baseline has it.
    pub fn disappeared(&self) -> bool {
        self.candidate == Weight::default()
    }
}

/// One profile of a [`Diff`] as a whole: what its rows can be compared by.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Whole {
    /// The sum of all samples.
    pub total_value: i64,
    /// How many samples that is; 0 where the profile does not count samples.
    pub total_samples: i64,
    /// How long the profile lasted, in seconds.
    pub duration_seconds: Option<f64>,
}

impl Whole {
    /// A value's share of the total, from 0 to 1; 0 of an empty profile.
    pub fn share(&self, value: i64) -> f64 {
        if self.total_value == 0 {
            return 0.0;
        }
        value as f64 / self.total_value as f64
    }

    /// A value per second of the profile, where its duration is known.
    pub fn per_second(&self, value: i64) -> Option<f64> {
        let seconds = self.duration_seconds.filter(|&seconds| seconds > 0.0)?;
        Some(value as f64 / seconds)
    }
}

/// Two profiles, row by row.
///
/// Shares say where the time went and suit runs of different length; values per second say how much was
/// used and suit runs under the same load. Whether a difference is more than chance is for the caller to
/// say, who has the sample counts to say it from.
#[derive(Clone, PartialEq, Debug)]
pub struct Diff {
    /// What the values are.
    pub sample_type: SampleType,
    /// The baseline as a whole.
    pub baseline: Whole,
    /// The candidate as a whole.
    pub candidate: Whole,
    /// The rows, the greatest change of the self share first.
    pub rows: Vec<DiffRow>,
}

impl Diff {
    /// By how much a row's share of self values changed: positive is more in the candidate.
    pub fn self_share_change(&self, row: &DiffRow) -> f64 {
        self.candidate.share(row.candidate.self_value)
            - self.baseline.share(row.baseline.self_value)
    }

    /// By how much a row's share of totals changed.
    pub fn total_share_change(&self, row: &DiffRow) -> f64 {
        self.candidate.share(row.candidate.total_value)
            - self.baseline.share(row.baseline.total_value)
    }
}

/// Why two profiles cannot be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DiffError {
    /// The baseline has no values.
    NoSampleType,
    /// The candidate does not have what the baseline is to be compared by.
    OtherSampleTypes {
        /// What was looked for, as `kind/unit`.
        wanted: String,
        /// What the candidate has.
        present: Vec<String>,
    },
}

impl fmt::Display for DiffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSampleType => f.write_str("compare profiles: the baseline has no sample type"),
            Self::OtherSampleTypes { wanted, present } => write!(
                f,
                "compare profiles: the candidate has no {wanted}, it has {}; choose a sample type that both have",
                if present.is_empty() {
                    "no sample type".to_owned()
                } else {
                    present.join(", ")
                }
            ),
        }
    }
}

impl std::error::Error for DiffError {}

/// The position in each profile of a sample type that both have: the one of this kind, or without one the
/// baseline's default.
pub fn common_sample_type(
    baseline: &Profile,
    candidate: &Profile,
    kind: Option<&str>,
) -> Result<(usize, usize), DiffError> {
    let show = |sample_type: &SampleType| format!("{}/{}", sample_type.kind, sample_type.unit);
    let present = |profile: &Profile| profile.sample_types().iter().map(show).collect();
    let missing = |wanted: String, profile: &Profile| DiffError::OtherSampleTypes {
        wanted,
        present: present(profile),
    };
    let first = match kind {
        Some(kind) => baseline
            .find_sample_type(kind)
            .ok_or_else(|| missing(kind.to_owned(), baseline))?,
        None => baseline
            .default_sample_type()
            .ok_or(DiffError::NoSampleType)?,
    };
    let wanted = &baseline.sample_types()[first];
    let second = candidate
        .sample_types()
        .iter()
        .position(|other| other == wanted);
    Ok((
        first,
        second.ok_or_else(|| missing(show(wanted), candidate))?,
    ))
}

/// Compares two profiles in the sample type of this kind, or without one in the baseline's default.
///
/// # Errors
/// If the profiles do not both have the sample type, with the same unit.
pub fn diff(
    baseline: &Profile,
    candidate: &Profile,
    kind: Option<&str>,
    by: By,
) -> Result<Diff, DiffError> {
    let (first, second) = common_sample_type(baseline, candidate, kind)?;
    let mut rows: HashMap<Key, DiffRow> = HashMap::new();
    add_rows(&mut rows, baseline, first, by, |row| &mut row.baseline);
    add_rows(&mut rows, candidate, second, by, |row| &mut row.candidate);
    let mut diff = Diff {
        sample_type: baseline.sample_types()[first].clone(),
        baseline: whole(baseline, first),
        candidate: whole(candidate, second),
        rows: rows.into_values().collect(),
    };
    let mut rows = std::mem::take(&mut diff.rows);
    rows.sort_by(|a, b| {
        let change = |row| {
            (
                diff.self_share_change(row).abs(),
                diff.total_share_change(row).abs(),
            )
        };
        let ((a_self, a_total), (b_self, b_total)) = (change(a), change(b));
        let by_change = b_self.total_cmp(&a_self).then(b_total.total_cmp(&a_total));
        by_change.then_with(|| (&a.name, a.line).cmp(&(&b.name, b.line)))
    });
    diff.rows = rows;
    Ok(diff)
}

/// What makes rows of two profiles the same: the name, and by line also the place.
type Key = (String, Option<(Option<String>, Option<u32>)>);

fn key(row: &Row, by: By) -> Key {
    let place = (by == By::FunctionLine).then(|| (row.file.clone(), row.line));
    (row.name.clone(), place)
}

fn add_rows(
    rows: &mut HashMap<Key, DiffRow>,
    profile: &Profile,
    sample_type: usize,
    by: By,
    side: impl Fn(&mut DiffRow) -> &mut Weight,
) {
    for row in top(profile, sample_type, by) {
        let diff_row = rows.entry(key(&row, by)).or_insert_with(|| DiffRow {
            name: row.name.clone(),
            file: None,
            line: None,
            baseline: Weight::default(),
            candidate: Weight::default(),
        });
        let weight = side(diff_row);
        weight.self_value = row.self_value;
        weight.total_value = row.total_value;
        if row.file.is_some() {
            (diff_row.file, diff_row.line) = (row.file, row.line);
        }
    }
    let Some(samples) = sample_counts(profile) else {
        return;
    };
    for row in top(profile, samples, by) {
        if let Some(diff_row) = rows.get_mut(&key(&row, by)) {
            let weight = side(diff_row);
            weight.self_samples = row.self_value;
            weight.total_samples = row.total_value;
        }
    }
}

/// The sample type that counts samples.
fn sample_counts(profile: &Profile) -> Option<usize> {
    let types = profile.sample_types();
    types
        .iter()
        .position(|sample_type| sample_type.kind == "samples" && sample_type.unit == "count")
}

fn whole(profile: &Profile, sample_type: usize) -> Whole {
    Whole {
        total_value: profile.total(sample_type),
        total_samples: sample_counts(profile).map_or(0, |samples| profile.total(samples)),
        duration_seconds: profile.meta.duration_nanos.map(|nanos| nanos as f64 / 1e9),
    }
}

/// A node of a [`DiffTree`].
#[derive(Clone, Debug)]
pub struct DiffNode {
    /// The function's name; the root's is empty.
    pub name: Box<str>,
    /// The file, as in [`Symbol`](crate::Symbol).
    pub file: Option<Box<str>>,
    /// The callees: those of the candidate by weight, then those that are gone.
    pub children: Vec<u32>,
    /// Self values in the baseline and in the candidate.
    pub self_values: [i64; 2],
    /// Totals in the baseline and in the candidate.
    pub total_values: [i64; 2],
}

/// Two call trees laid over each other: a path that either has is there once, with both values.
#[derive(Clone, Debug)]
pub struct DiffTree {
    /// The nodes, the root first, parents before children.
    pub nodes: Vec<DiffNode>,
}

impl DiffTree {
    /// Merges a baseline and a candidate by the names along their paths.
    pub fn new(baseline: &CallTree, candidate: &CallTree) -> Self {
        let mut merged = Self { nodes: Vec::new() };
        merged.push(candidate, NodeId::ROOT);
        let mut open = vec![(Some(NodeId::ROOT), Some(NodeId::ROOT), 0)];
        while let Some((old, new, at)) = open.pop() {
            if let Some(old) = old {
                let node = &mut merged.nodes[at];
                node.self_values[0] = baseline.node(old).self_value;
                node.total_values[0] = baseline.node(old).total_value;
            }
            if let Some(new) = new {
                let node = &mut merged.nodes[at];
                node.self_values[1] = candidate.node(new).self_value;
                node.total_values[1] = candidate.node(new).total_value;
            }
            for (old, new) in paired_children(baseline, old, candidate, new) {
                let child = match (old, new) {
                    (_, Some(new)) => merged.push(candidate, new),
                    (Some(old), None) => merged.push(baseline, old),
                    (None, None) => continue,
                };
                merged.nodes[at].children.push(child as u32);
                open.push((old, new, child));
            }
        }
        merged
    }

    fn push(&mut self, tree: &CallTree, id: NodeId) -> usize {
        let symbol = tree.symbol(id);
        self.nodes.push(DiffNode {
            name: symbol.name.clone(),
            file: symbol.file.clone(),
            children: Vec::new(),
            self_values: [0; 2],
            total_values: [0; 2],
        });
        self.nodes.len() - 1
    }
}

/// The children of two nodes, those of one name together.
fn paired_children(
    baseline: &CallTree,
    old: Option<NodeId>,
    candidate: &CallTree,
    new: Option<NodeId>,
) -> Vec<(Option<NodeId>, Option<NodeId>)> {
    let mut olds = HashMap::new();
    let mut gone = Vec::new();
    for child in old.into_iter().flat_map(|old| baseline.children(old)) {
        // By line, symbols can differ in their file alone: none may get lost.
        gone.extend(olds.insert(pair_key(baseline, child), child));
    }
    let new_children = new.into_iter().flat_map(|new| candidate.children(new));
    let mut pairs: Vec<_> = new_children
        .map(|child| (olds.remove(&pair_key(candidate, child)), Some(child)))
        .collect();
    gone.extend(olds.into_values());
    gone.sort_unstable();
    pairs.extend(gone.into_iter().map(|child| (Some(child), None)));
    pairs
}

fn pair_key(tree: &CallTree, id: NodeId) -> (&str, Option<u32>, bool) {
    let symbol = tree.symbol(id);
    (&symbol.name, symbol.line, symbol.is_label)
}
