//! Objectives of service levels.

use toml::Spanned;

use super::{Slo, reader::Reader};
use crate::{
    file,
    limit::{Limit, Relation},
    metric::Metric,
    units::{Dimension, Wrong},
};

const DAY: f64 = 86_400.0;
/// What an objective is for, if the file does not say.
const WINDOW: f64 = 30.0 * DAY;
/// From a shorter window no alert can be made: the shortest pair of windows of one of 7 days is 14 minutes and 70
/// seconds, which a scrape every 15 seconds fills with four values.
const SHORTEST: f64 = 7.0 * DAY;
const LONGEST: f64 = 366.0 * DAY;

impl Reader<'_> {
    pub(super) fn slo(
        &mut self,
        raw: &Spanned<file::Slo>,
        metric: Metric,
        limits: &[Limit],
    ) -> Option<Slo> {
        let (at, raw) = (raw.span(), raw.get_ref());
        let (stat, good) = match (metric, &raw.within) {
            (Metric::ErrorRate, None) => ("rate".to_owned(), "good".to_owned()),
            (Metric::Latency, Some(within)) => {
                self.duration(within)?;
                let time = within.get_ref().trim();
                (format!("above {time}"), format!("within {time}"))
            }
            (Metric::Latency, None) => {
                let help = "add `within = \"200ms\"`: the time in which a request is good";
                let label = "which requests are good?";
                self.problem(at, "an objective without a time", label, help);
                return None;
            }
            (Metric::ErrorRate, Some(within)) => {
                let help = "`within` is for latency: make that a budget of its own";
                let title = "errors have no time";
                self.problem(within.span(), title, "not of error_rate", help);
                return None;
            }
            _ => {
                let help = "`slo` is for error_rate, and for latency with `within`";
                let label = format!("{} is no share of requests", metric.name());
                self.problem(at, "no objective can be set on this", &label, help);
                return None;
            }
        };
        let objective = self.objective(&raw.objective)?;
        let window = match &raw.window {
            None => WINDOW,
            Some(window) => self.window(window)?,
        };
        let limit = Limit {
            dimension: metric.dimension(&stat)?,
            stat,
            relation: Relation::AtMost,
            // Without the noise of binary fractions.
            value: ((1.0 - objective) * 1e12).round() / 1e12,
        };
        self.contradiction(&raw.objective, &limit, limits);
        let percent = raw.objective.get_ref().trim();
        let days = window / DAY;
        Some(Slo {
            limit,
            window,
            burn: raw.burn.unwrap_or_default(),
            text: format!("{percent} {good} over {days}d"),
        })
    }

    fn objective(&mut self, text: &Spanned<String>) -> Option<f64> {
        const TITLE: &str = "an objective that cannot be used";
        let share = Dimension::Share { exceeds: false };
        let wrong = match share.parse(text.get_ref()) {
            Ok(value) if value >= 1.0 => Wrong {
                at: 0..text.get_ref().len(),
                what: "nothing may ever fail".to_owned(),
                help: "write less than 100%; with `limits = [\"<= 0%\"]` a run fails at the first error"
                    .to_owned(),
            },
            Ok(value) if value < 0.5 => Wrong {
                at: 0..text.get_ref().len(),
                what: "more bad than good".to_owned(),
                help: "write the share that is good, such as 99.9%".to_owned(),
            },
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        self.wrong(text, TITLE, wrong);
        None
    }

    fn window(&mut self, text: &Spanned<String>) -> Option<f64> {
        let window = self.duration(text)?;
        if !(SHORTEST..=LONGEST).contains(&window) {
            let help = "write 7d to 366d; 30d is usual";
            let title = "a window that cannot be used";
            self.problem(text.span(), title, "no alert can be made of it", help);
            return None;
        }
        Some(window)
    }
}
