//! What was before: regressions, and what was over its limit already.

use std::collections::HashMap;

use super::{Judge, Ruling, Verdict, noise};
use crate::{
    budgets::{Budget, Budgets, Regression},
    limit::{Amount, Limit},
    measure::{Data, Measurements, Reading},
    units::Dimension,
};

/// What one budget's values were before.
pub(super) struct Baseline<'a> {
    data: HashMap<(&'a str, &'a str), &'a Data>,
    /// Why there are none, if the baseline as a whole cannot be used.
    refused: Option<String>,
    /// Why its times say little, if they do.
    noisy: Option<String>,
}

impl<'a> Baseline<'a> {
    pub(super) fn new(
        budgets: &Budgets,
        budget: &Budget,
        now: &Measurements,
        before: Option<&'a Measurements>,
    ) -> Self {
        let none = |why: &str| Self {
            data: HashMap::new(),
            refused: Some(why.to_owned()),
            noisy: None,
        };
        let Some(before) = before else {
            return none("there is no baseline");
        };
        if budget.metric.spec().is_of_the_machine {
            for key in &budgets.environment {
                let (here, there) = (now.environment.get(key), before.environment.get(key));
                if here.is_none() || here != there {
                    let shown =
                        |value: Option<&String>| value.map_or("unknown", |v| v.as_str()).to_owned();
                    let (here, there) = (shown(here), shown(there));
                    return none(&format!(
                        "the baseline is of another {key}: {there}, here {here}"
                    ));
                }
            }
        }
        let readings = before.of(&budget.id).iter();
        let data = readings.filter_map(|reading| {
            Some((
                (&*reading.subject, &*reading.stat),
                reading.data.as_ref().ok()?,
            ))
        });
        Self {
            data: data.collect(),
            refused: None,
            noisy: noise(budgets, budget, before),
        }
    }

    pub(super) fn of(&self, reading: &Reading) -> Option<&'a Data> {
        self.data.get(&(&*reading.subject, &*reading.stat)).copied()
    }
}

impl Judge<'_> {
    /// A breach, unless it was one before and is no worse.
    pub(super) fn was_over(&self, limit: &Limit, reading: &Reading, data: &Data) -> Ruling {
        let before = self
            .baseline
            .of(reading)
            .filter(|_| self.budget.grandfather);
        let Some(before) = before.filter(|before| !limit.holds(before.value)) else {
            return (Verdict::Breach, data.note.clone().unwrap_or_default());
        };
        let worse = match limit.relation.is_upper() {
            true => data.value - before.value,
            false => before.value - data.value,
        };
        let was = limit.dimension.show(before.value);
        match worse <= self.joint_error(data, before, 1.0) {
            true => (Verdict::NoWorse, format!("the baseline had {was}")),
            false => (
                Verdict::Breach,
                format!("the baseline was over, too, with {was}"),
            ),
        }
    }

    /// What chance explains of a difference between a value and so many times another.
    fn joint_error(&self, a: &Data, b: &Data, times: f64) -> f64 {
        let half = |data: &Data| {
            let (low, high) = data.interval(self.deviations);
            (high - low) / 2.0
        };
        half(a).hypot(half(b) * times)
    }

    pub(super) fn change(&self, regression: &Regression, reading: &Reading, data: &Data) -> Ruling {
        let Some(before) = self.baseline.of(reading) else {
            let why = self.baseline.refused.clone();
            let why = why.unwrap_or_else(|| "the baseline does not have this".to_owned());
            return (Verdict::Missing, why);
        };
        let change = regression.change;
        let (worse, dimension) = (
            change.worsening(data.value, before.value),
            regression.dimension,
        );
        let beyond = change.worsening(data.value, change.bound(before.value));
        let difference = data.value - before.value;
        let how = match (change.amount, dimension) {
            (Amount::Relative(_), _) if before.value != 0.0 => {
                format!("{:+.2} %", difference / before.value.abs() * 100.0)
            }
            (_, Dimension::Share { .. }) => format!("{:+.2} pp", difference * 100.0),
            _ if difference < 0.0 => format!("-{}", dimension.show(-difference)),
            _ => format!("+{}", dimension.show(difference)),
        };
        let floor = regression.floor;
        if beyond <= 0.0 || worse <= floor {
            return (Verdict::Held, how);
        }
        if let Some(noisy) = (self.baseline.noisy.as_ref()).filter(|_| dimension.is_of_a_clock()) {
            let why = format!("{how}; the baseline's times say little: {noisy}");
            return (Verdict::CannotTell, why);
        }
        let is_sure = beyond > self.joint_error(data, before, change.times())
            && worse - floor > self.joint_error(data, before, 1.0);
        match is_sure {
            true => (Verdict::Breach, how),
            false => {
                let k = self.deviations;
                (
                    Verdict::CannotTell,
                    format!("{how}, within {k} standard deviations of what is allowed"),
                )
            }
        }
    }
}
