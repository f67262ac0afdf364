//! Breaches that are measured again before they are believed.

use super::{Report, Row, Verdict};
use crate::budgets::{Budget, Budgets};

impl Report {
    /// The budgets with a breach that is to be measured again, after it was measured so many times.
    pub fn to_measure_again<'a>(&self, budgets: &'a Budgets, measured: u32) -> Vec<&'a Budget> {
        let is_doubtful = |budget: &&Budget| {
            let mut rows = self.rows.iter();
            measured <= budget.reruns()
                && rows.any(|row| row.budget == budget.id && row.verdict == Verdict::Breach)
        };
        budgets.iter().filter(is_doubtful).collect()
    }

    /// Takes in the verdicts on these budgets from another measurement, the `measured`-th: a breach is one only if
    /// it is there every time.
    pub fn confirm(&mut self, again: &Self, of: &[&Budget], measured: u32) {
        for row in &mut self.rows {
            let is_meant = of.iter().any(|budget| budget.id == row.budget);
            if !is_meant || row.verdict != Verdict::Breach {
                continue;
            }
            let is_same = |other: &&Row| {
                (&other.budget, &other.subject, &other.rule)
                    == (&row.budget, &row.subject, &row.rule)
            };
            if let Some(found) = again.rows.iter().find(is_same) {
                *row = with_history(found, measured);
            }
        }
        for budget in of {
            if let Some(readings) = again.measurements.by_budget.get(&budget.id) {
                let of_budget = &mut self.measurements.by_budget;
                of_budget.insert(budget.id.clone(), readings.clone());
            }
        }
    }
}

fn with_history(row: &Row, measured: u32) -> Row {
    let history = match row.verdict {
        Verdict::Breach => format!("a breach in each of {measured} measurements"),
        _ => format!("a breach at first, not in measurement {measured}"),
    };
    let reason = Some(row.reason.clone()).filter(|reason| !reason.is_empty());
    Row {
        reason: [history]
            .into_iter()
            .chain(reason)
            .collect::<Vec<_>>()
            .join("; "),
        ..row.clone()
    }
}
