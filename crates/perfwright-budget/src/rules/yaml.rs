//! Rule files of Prometheus.

use std::fmt::Write as _;

/// A group of rules, which are evaluated together, one after the other.
pub(super) struct Group {
    name: String,
    /// How often, in seconds; `None`: as often as all of Prometheus.
    every: Option<f64>,
    rules: String,
}

/// A recording or alerting rule.
pub(super) struct Rule<'a> {
    pub(super) kind: Kind,
    pub(super) expr: String,
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) annotations: Vec<(&'a str, String)>,
}

pub(super) enum Kind {
    Record(&'static str),
    Alert {
        name: &'static str,
        /// For how long the condition must hold, and for how long it is told after that, in seconds.
        wait: f64,
        keep: Option<f64>,
    },
}

impl Group {
    pub(super) fn name(every: Option<f64>) -> String {
        match every {
            None => "perfwright-budgets".to_owned(),
            Some(every) => format!("perfwright-budgets-{}", duration(every)),
        }
    }

    pub(super) fn new(name: String, every: Option<f64>) -> Self {
        Self {
            name,
            every,
            rules: String::new(),
        }
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn push(&mut self, rule: &Rule<'_>) {
        match rule.kind {
            Kind::Record(name) => {
                self.line(6, "- record", name);
                self.line(8, "expr", &rule.expr);
            }
            Kind::Alert { name, wait, keep } => {
                self.line(6, "- alert", name);
                self.line(8, "expr", &rule.expr);
                if wait > 0.0 {
                    self.line(8, "for", &duration(wait));
                }
                if let Some(keep) = keep {
                    self.line(8, "keep_firing_for", &duration(keep));
                }
            }
        }
        self.map("labels", &rule.labels);
        self.map("annotations", &rule.annotations);
    }

    fn map(&mut self, name: &str, pairs: &[(&str, String)]) {
        if pairs.is_empty() {
            return;
        }
        let _ = writeln!(self.rules, "        {name}:");
        for (key, value) in pairs {
            self.line(10, key, value);
        }
    }

    fn line(&mut self, indent: usize, key: &str, value: &str) {
        // A string of JSON is one of YAML.
        let quoted = serde_json::Value::from(value).to_string();
        let _ = writeln!(self.rules, "{:indent$}{key}: {quoted}", "");
    }
}

/// The file of these groups; of one without rules, if there are none.
pub(super) fn file(groups: &[Group]) -> String {
    let mut out = String::from("groups:\n");
    let mut any = false;
    for group in groups.iter().filter(|group| !group.rules.is_empty()) {
        any = true;
        let _ = writeln!(out, "  - name: {}", group.name);
        if let Some(every) = group.every {
            let _ = writeln!(out, "    interval: {}", duration(every));
        }
        let _ = write!(out, "    rules:\n{}", group.rules);
    }
    if !any {
        let _ = writeln!(out, "  - name: {}\n    rules: []", Group::name(None));
    }
    out
}

/// A duration of Prometheus, to the second or, below one, the millisecond.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{}ms", (seconds * 1e3).ceil().max(1.0));
    }
    let whole = seconds.ceil() as u64;
    let units = [("d", 86_400), ("h", 3600), ("m", 60)];
    let fits = units.iter().find(|(_, unit)| whole.is_multiple_of(*unit));
    fits.map_or(format!("{whole}s"), |(name, unit)| {
        format!("{}{name}", whole / unit)
    })
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_what_prometheus_reads() {
        let pairs = [
            (0.5, "500ms"),
            (15.0, "15s"),
            (300.0, "5m"),
            (90.0, "90s"),
            (7200.0, "2h"),
            (259_200.0, "3d"),
            (1.5, "2s"),
        ];
        for (seconds, expected) in pairs {
            assert_eq!(duration(seconds), expected);
        }
    }
}
