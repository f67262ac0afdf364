//! What explains a value: the profile that shows where it comes from, and the part of it that is meant.

use std::borrow::Cow;

use perfwright_analyze::Filter;
use perfwright_model::Profile;

use super::{Part, Sources, binary::Binaries, shares};
use crate::{
    budgets::{Budget, Select},
    metric::Metric,
    pattern::{self, Pattern},
};

impl Sources {
    /// What makes up the value of a budget, the greatest first: of files their sections and crates; of shares, times
    /// and memory the functions, crates and routes in the profile that shows them. Of other metrics nothing is known.
    pub fn explain(&self, budget: &Budget) -> Vec<Part> {
        match budget.metric {
            Metric::Binary | Metric::Size => {
                Binaries::default().parts(self.root.as_deref(), &budget.select)
            }
            _ => shown_by(budget)
                .map(|select| shares::explain(&self.profiles, &select))
                .unwrap_or_default(),
        }
    }

    /// The part of a profile that explains a budget, and which of its values: for pictures. `None` where no profile
    /// does, or none was given.
    pub fn profile_of(&self, budget: &Budget) -> Option<(Cow<'_, Profile>, Option<String>)> {
        let select = shown_by(budget)?;
        let profile = self.profiles.get(select.profile())?;
        let part = match budget.select.labels.as_slice() {
            [] => Cow::Borrowed(profile),
            labels => Cow::Owned(with_labels(labels).apply(profile)),
        };
        Some((part, select.value))
    }
}

impl Budget {
    /// The profile that explains its value: `cpu` or `heap`, or the one that it is about.
    pub fn explained_by(&self) -> Option<String> {
        shown_by(self).map(|select| select.profile().to_owned())
    }
}

fn with_labels(labels: &[(String, Vec<Pattern>)]) -> Filter<'_> {
    let mut filter = Filter::new();
    for (key, patterns) in labels {
        filter = filter.label(key, move |value| pattern::any(patterns, value));
    }
    filter
}

/// Where a profile shows what a budget bounds.
fn shown_by(budget: &Budget) -> Option<Select> {
    let of_heap = |value: &str| Select {
        profile: Some("heap".to_owned()),
        value: Some(value.to_owned()),
        ..Select::default()
    };
    Some(match budget.metric {
        Metric::ProfileShare => budget.select.clone(),
        Metric::Latency | Metric::Throughput | Metric::ProcessCpu => Select {
            labels: budget.select.labels.clone(),
            ..Select::default()
        },
        Metric::ProcessRss => of_heap("inuse_space"),
        Metric::Heap => match budget.stats().first().map(String::as_str) {
            Some("live" | "peak") => of_heap("inuse_space"),
            Some("allocs" | "allocs/op") => of_heap("alloc_objects"),
            _ => of_heap("alloc_space"),
        },
        _ => return None,
    })
}
