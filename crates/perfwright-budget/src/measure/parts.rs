//! What makes up a value, and what of it has changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::Dimension;

/// A part of what a budget measures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// How it is a part: `spent in` a function, `on route`, `section`, `crate`.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Of all that the budget's share is a share of, or of the whole file.
    pub share: f64,
    /// Its size, if it has one.
    #[serde(default)]
    pub bytes: Option<f64>,
    /// How much more it is than in the baseline: of the bytes, else of the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
}

impl Part {
    /// Its size for people.
    pub fn size(&self) -> Option<String> {
        self.bytes.map(|bytes| Dimension::Bytes.show(bytes))
    }

    /// Its change for people: `+2.50 KiB`, `-1.3 pp`.
    pub fn change(&self) -> Option<String> {
        let change = self.change?;
        Some(match self.bytes {
            Some(_) => format!("{}{}", sign(change), Dimension::Bytes.show(change.abs())),
            None => format!("{:+.1} pp", change * 100.0),
        })
    }

    /// What has changed against the parts of a baseline: those that grew most first, kind by kind; with those that are
    /// gone.
    pub fn changes(now: Vec<Self>, before: &[Self]) -> Vec<Self> {
        let key = |part: &Part| (part.what.clone(), part.name.clone());
        let mut old: BTreeMap<_, _> = before.iter().map(|part| (key(part), part)).collect();
        let mut parts = now;
        for part in &mut parts {
            let before = old.remove(&key(part));
            part.change = Some(amount(part) - before.map_or(0.0, amount));
        }
        parts.extend(old.into_values().map(|gone| Part {
            share: 0.0,
            bytes: gone.bytes.map(|_| 0.0),
            change: Some(-amount(gone)),
            ..gone.clone()
        }));
        let mut kinds: Vec<String> = Vec::new();
        for part in &parts {
            if !kinds.contains(&part.what) {
                kinds.push(part.what.clone());
            }
        }
        let place = |part: &Part| kinds.iter().position(|kind| *kind == part.what);
        let change = |part: &Part| part.change.unwrap_or(0.0);
        parts.sort_by(|a, b| {
            let by_kind = place(a).cmp(&place(b));
            by_kind.then_with(|| change(b).total_cmp(&change(a)))
        });
        parts
    }
}

fn sign(value: f64) -> char {
    match value < 0.0 {
        true => '-',
        false => '+',
    }
}

fn amount(part: &Part) -> f64 {
    part.bytes.unwrap_or(part.share)
}
