//! Budgets as rules of Prometheus: what a running service serves, held against the same file.

mod alerts;
mod dashboard;
mod expression;
mod yaml;

use crate::{
    budgets::{Budget, Budgets},
    date::Date,
    file::Severity,
};
use yaml::Group;

/// Rules of Prometheus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The rule file, in YAML.
    pub yaml: String,
    /// Budgets and limits of which no service tells, with the reason.
    pub left_out: Vec<String>,
}

impl Budgets {
    /// The limits as recording and alerting rules.
    ///
    /// `perfwright_budget_value` has each value. `PerfwrightBudget` fires where one was beyond its limit for
    /// `sustained`, or five minutes; `PerfwrightBurnRate` where an objective is used up too fast, over four pairs of
    /// windows; `PerfwrightBudgetMissing` where a value is not told for 15 minutes, unless missing data is skipped.
    /// Limits that begin after `day`, and waivers that end after it, do so in the rules by themselves.
    pub fn to_prometheus_rules(&self, day: Date) -> Rules {
        let mut groups: Vec<Group> = Vec::new();
        let mut left_out = Vec::new();
        for budget in self.live() {
            let every = budget.sustained.and_then(|sustained| sustained.every);
            let name = Group::name(every);
            let at = match groups.iter().position(|group| group.is_named(&name)) {
                Some(at) => at,
                None => {
                    groups.push(Group::new(name, every));
                    groups.len() - 1
                }
            };
            alerts::write(budget, day, &mut groups[at], &mut left_out);
        }
        Rules {
            yaml: yaml::file(&groups),
            left_out,
        }
    }

    /// Those that are looked at.
    fn live(&self) -> impl Iterator<Item = &Budget> {
        let budgets = self.list.iter();
        budgets.filter(|budget| budget.severity != Severity::Off)
    }
}
