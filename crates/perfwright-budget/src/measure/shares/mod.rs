//! Shares in profiles, for any number of budgets in one pass over each profile.
//!
//! The functions and crates that budgets ask for are *classes*. A stack is in a class if one of its frames is,
//! so going from the callers to the callees a stack only gains classes. Where it does there is a *state*: the
//! caller's state, and the list of classes that came new. Most stacks are in the state of their callers; a sample
//! adds its value to all lists of its state's chain, and lists add theirs to their classes in the end.

mod classes;
mod states;
mod sums;

use std::collections::{BTreeMap, HashMap};

use perfwright_analyze::crate_of;
use perfwright_model::{LabelSetId, LabelValue, Profile, keys};

use super::{Data, Part, Reading};
use crate::{
    budgets::{Budget, Select},
    pattern::{self, Pattern},
};
use classes::Classifier;
use states::States;
use sums::{SamplesByLabels, Sums};

/// Fills in the readings of those budgets of `budgets` that `asked` names.
pub(super) fn measure(
    profiles: &BTreeMap<String, Profile>,
    budgets: &[Budget],
    asked: &[usize],
    readings: &mut [Vec<Reading>],
) {
    let mut by_column: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    for &index in asked {
        let select = &budgets[index].select;
        match column(profiles, select) {
            Ok(column) => by_column
                .entry((select.profile(), column))
                .or_default()
                .push(index),
            Err(why) => readings[index] = super::all_missing(&budgets[index].stats(), &why),
        }
    }
    for ((name, column), asked) in by_column {
        let Some(profile) = profiles.get(name) else {
            continue;
        };
        for (index, found) in of_profile(profile, column, budgets, &asked) {
            let stats = budgets[index].stats();
            let reading = |stat: &String| Reading::new("", stat, found.data(stat));
            readings[index] = stats.iter().map(reading).collect();
        }
    }
}

/// Which sample type is meant.
fn column(profiles: &BTreeMap<String, Profile>, select: &Select) -> Result<usize, String> {
    let name = select.profile();
    let profile = profiles
        .get(name)
        .ok_or_else(|| format!("there is no {name} profile"))?;
    match &select.value {
        None => profile
            .default_sample_type()
            .ok_or_else(|| format!("the {name} profile has no values")),
        Some(kind) => profile.find_sample_type(kind).ok_or_else(|| {
            let kinds: Vec<_> = profile
                .sample_types()
                .iter()
                .map(|t| t.kind.as_str())
                .collect();
            format!(
                "the {name} profile has no {kind}; it has {}",
                kinds.join(", ")
            )
        }),
    }
}

/// What was found for a budget.
#[derive(Clone, Default)]
struct Found {
    self_value: f64,
    total_value: f64,
    whole: f64,
    effective_count: f64,
    /// Something in the profile has the name.
    is_known: bool,
}

impl Found {
    fn data(&self, stat: &str) -> Result<Data, String> {
        if self.whole <= 0.0 {
            return Err("the profile has no samples of this selection".to_owned());
        }
        let part = if stat == "self" {
            self.self_value
        } else {
            self.total_value
        };
        let mut data = Data::share((part / self.whole).clamp(0.0, 1.0), self.effective_count);
        if !self.is_known {
            data.note = Some("nothing in the profile has this name".to_owned());
        }
        Ok(data)
    }
}

/// What is asked for by name.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Class<'a> {
    Functions(&'a [Pattern]),
    Crates(&'a [Pattern]),
}

/// A selection by labels: a key and what its value may be, of which all must hold.
type Labels = [(String, Vec<Pattern>)];

/// A budget of a group, and the class that it asks for; `None`: all of the group.
type Member = (usize, Option<u32>);

fn of_profile(
    profile: &Profile,
    column: usize,
    budgets: &[Budget],
    asked: &[usize],
) -> Vec<(usize, Found)> {
    let mut classes: BTreeMap<Class<'_>, u32> = BTreeMap::new();
    let mut groups: Vec<(&Labels, Vec<Member>)> = Vec::new();
    let mut group_of: HashMap<String, usize> = HashMap::new();
    for &index in asked {
        let select = &budgets[index].select;
        let class = class_of(select).map(|class| {
            let next = classes.len() as u32;
            *classes.entry(class).or_insert(next)
        });
        let group = *group_of
            .entry(format!("{:?}", select.labels))
            .or_insert_with(|| {
                groups.push((&select.labels, Vec::new()));
                groups.len() - 1
            });
        groups[group].1.push((index, class));
    }
    let states = States::new(profile, &Classifier::new(&classes));
    let samples = SamplesByLabels::new(profile, column);
    let mut sums = Sums::new(&states);
    let mut found = Vec::with_capacity(asked.len());
    for (labels, members) in groups {
        let (whole, effective_count) = samples.sum(profile, labels, &states, &mut sums);
        for (index, class) in members {
            found.push((
                index,
                match class {
                    Some(class) => Found {
                        self_value: sums.selfs[class as usize],
                        total_value: sums.totals[class as usize],
                        whole,
                        effective_count,
                        is_known: states.known[class as usize],
                    },
                    // A route or span as a whole, of everything.
                    None => Found {
                        self_value: whole,
                        total_value: whole,
                        whole: samples.whole,
                        effective_count: samples.effective_count,
                        is_known: whole > 0.0,
                    },
                },
            ));
        }
    }
    found
}

fn class_of(select: &Select) -> Option<Class<'_>> {
    match (select.function.as_slice(), select.crate_name.as_slice()) {
        ([], []) => None,
        ([], crates) => Some(Class::Crates(crates)),
        (functions, _) => Some(Class::Functions(functions)),
    }
}

/// What makes up the share that a selection asks for: where it is spent and on which routes, the greatest first.
pub(super) fn explain(profiles: &BTreeMap<String, Profile>, select: &Select) -> Vec<Part> {
    let (Some(profile), Ok(column)) = (profiles.get(select.profile()), column(profiles, select))
    else {
        return Vec::new();
    };
    let class = class_of(select);
    let classes: BTreeMap<Class<'_>, u32> = class.iter().cloned().map(|class| (class, 0)).collect();
    let states = States::new(profile, &Classifier::new(&classes));
    let mut spent: BTreeMap<&str, f64> = BTreeMap::new();
    let mut crates: BTreeMap<&str, f64> = BTreeMap::new();
    let mut routes: BTreeMap<&str, f64> = BTreeMap::new();
    let mut whole = 0.0;
    for sample in profile.samples() {
        if !has_labels(profile, sample.labels, &select.labels) {
            continue;
        }
        let value = sample.values[column].max(0) as f64;
        whole += value;
        if class.is_some() && states.of_stack[sample.stack.index()] == 0 {
            continue;
        }
        let innermost = profile
            .stack_node(sample.stack)
            .and_then(|node| profile.frames(node.location).first())
            .map_or("[unknown]", |frame| profile.function_name(frame.function));
        *spent.entry(innermost).or_default() += value;
        *crates
            .entry(crate_of(innermost).unwrap_or("[not Rust]"))
            .or_default() += value;
        let route = profile.label_str(sample.labels, keys::ROUTE);
        *routes.entry(route.unwrap_or("(no route)")).or_default() += value;
    }
    let mut parts = ranked("spent in", spent, whole);
    parts.extend(ranked("in crate", crates, whole));
    if routes.keys().any(|&route| route != "(no route)") {
        parts.extend(ranked("on route", routes, whole));
    }
    parts
}

fn ranked(what: &str, values: BTreeMap<&str, f64>, whole: f64) -> Vec<Part> {
    let used = values.into_iter().filter(|&(_, value)| value > 0.0);
    let mut parts: Vec<Part> = used
        .map(|(name, value)| Part {
            what: what.to_owned(),
            name: name.to_owned(),
            share: value / whole,
            bytes: None,
            change: None,
        })
        .collect();
    parts.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then_with(|| a.name.cmp(&b.name))
    });
    parts
}

fn has_labels(profile: &Profile, set: LabelSetId, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, patterns)| {
        let mut labels = profile.labels(set).iter();
        labels.any(|label| {
            profile.string(label.key) == key
                && match label.value {
                    LabelValue::Str(text) => pattern::any(patterns, profile.string(text)),
                    LabelValue::Num { value, .. } => pattern::any(patterns, &value.to_string()),
                }
        })
    })
}
