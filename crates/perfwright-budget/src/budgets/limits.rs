//! What bounds a budget: limits, also those from a day on, and what may change against a baseline.

use toml::Spanned;

use super::{Regression, overlay, reader::Reader};
use crate::{
    date::Date,
    file,
    limit::{Change, Limit, parse_floor, whole},
    metric::Metric,
    units::{Dimension, Wrong},
};

/// From a day on: limits, and where they stand in the file.
type Step<'a> = (Date, Vec<Limit>, &'a [Spanned<String>]);

impl Reader<'_> {
    pub(super) fn limits(&mut self, raw: &[Spanned<String>], metric: Metric) -> Vec<Limit> {
        let mut limits: Vec<Limit> = Vec::with_capacity(raw.len());
        for text in raw {
            let Some(limit) = self.limit(text, metric) else {
                continue;
            };
            if limits.iter().any(|other| limit.replaces(other)) {
                let label = format!("{} is bounded from this side twice", limit.stat);
                self.problem(
                    text.span(),
                    "a limit is given twice",
                    &label,
                    "keep one of them",
                );
            }
            self.contradiction(text, &limit, &limits);
            limits.push(limit);
        }
        limits
    }

    fn limit(&mut self, text: &Spanned<String>, metric: Metric) -> Option<Limit> {
        match Limit::parse(text.get_ref(), metric) {
            Ok(limit) => Some(limit),
            Err(wrong) => {
                self.wrong(text, "a limit that cannot be used", wrong);
                None
            }
        }
    }

    pub(super) fn contradiction(
        &mut self,
        text: &Spanned<String>,
        limit: &Limit,
        others: &[Limit],
    ) {
        let against = |other: &&Limit| limit.excludes(other) || other.excludes(limit);
        if let Some(other) = others.iter().find(against) {
            let label = format!("no value holds this and `{other}`");
            self.problem(
                text.span(),
                "limits that contradict each other",
                &label,
                "change one of them",
            );
        }
    }

    pub(super) fn tighten(
        &mut self,
        raw: &[file::Tighten],
        metric: Metric,
        limits: &[Limit],
    ) -> Vec<(Date, Vec<Limit>)> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        for step in raw {
            let day = self.date(&step.from);
            let tighter = self.limits(&step.limits, metric);
            if step.limits.is_empty() {
                let help = "add `limits = [\"…\"]`";
                self.problem(
                    step.from.span(),
                    "a date without limits",
                    "nothing changes",
                    help,
                );
            }
            // Only where all could be read do limits and texts go together.
            if let Some(day) = day.filter(|_| tighter.len() == step.limits.len()) {
                steps.push((day, tighter, &step.limits));
            }
        }
        steps.sort_by_key(|(day, ..)| *day);
        let mut current = limits.to_vec();
        for (_, tighter, texts) in &steps {
            for (limit, text) in tighter.iter().zip(*texts) {
                let looser = |old: &&Limit| limit.replaces(old) && limit.is_looser_than(old);
                if let Some(old) = current.iter().find(looser) {
                    let label = format!("looser than `{old}`");
                    let help =
                        "limits only tighten; raise the limit itself, or waive it for a while";
                    self.problem(text.span(), "a limit that loosens", &label, help);
                }
                let others: Vec<_> = (current.iter().chain(tighter))
                    .filter(|old| !limit.replaces(old))
                    .cloned()
                    .collect();
                self.contradiction(text, limit, &others);
            }
            overlay(&mut current, tighter);
        }
        steps
            .into_iter()
            .map(|(day, limits, _)| (day, limits))
            .collect()
    }

    pub(super) fn regression(
        &mut self,
        raw: &file::Regression,
        metric: Metric,
    ) -> Option<Regression> {
        let (stat, dimension) = self.regression_stat(raw, metric)?;
        let title = "a regression that cannot be used";
        let change = Change::parse(raw.max.get_ref(), dimension)
            .map_err(|wrong| self.wrong(&raw.max, title, wrong))
            .ok()?;
        let floor = match &raw.floor {
            None => 0.0,
            Some(floor) => parse_floor(floor.get_ref(), dimension)
                .map_err(|wrong| self.wrong(floor, title, wrong))
                .ok()?,
        };
        let text = match &raw.floor {
            Some(floor) => format!("{stat} {} and {}", raw.max.get_ref(), floor.get_ref()),
            None => format!("{stat} {}", raw.max.get_ref()),
        };
        Some(Regression {
            stat,
            dimension,
            change,
            floor,
            text,
        })
    }

    fn regression_stat(
        &mut self,
        raw: &file::Regression,
        metric: Metric,
    ) -> Option<(String, Dimension)> {
        let (named, place) = match &raw.stat {
            Some(stat) => (Some(stat.get_ref().as_str()), stat),
            None => (metric.default_stat(), &raw.max),
        };
        let found = named.and_then(|stat| Some((stat.to_owned(), metric.dimension(stat)?)));
        if found.is_none() {
            let help = format!(
                "add `stat = \"…\"`; {} has {}",
                metric.name(),
                metric.stat_names()
            );
            let wrong = Wrong {
                at: whole(place.get_ref()),
                what: "which statistic is meant?".to_owned(),
                help,
            };
            self.wrong(place, "a regression that cannot be used", wrong);
        }
        found
    }
}
