//! Reports for programs and for people: JSON, Markdown, annotations of GitHub.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    judge::{Level, Report, Row, Verdict},
    measure::{Data, Error, Measurements, Part, Reading, SourceError},
};

/// The version of the schema of [`Report::to_json`]: adding a field keeps it.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    file: &'a str,
    exit_code: u8,
    deviations: f64,
    verdicts: Vec<JsonRow<'a>>,
    measurements: JsonMeasurements,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    budget: &'a str,
    metric: &'a str,
    line: usize,
    subject: &'a str,
    rule: &'a str,
    measured: Option<&'a str>,
    baseline: Option<&'a str>,
    verdict: &'a str,
    level: &'a str,
    reason: &'a str,
}

/// What is read of a report that is a baseline.
#[derive(Deserialize)]
struct Saved {
    schema_version: u32,
    measurements: JsonMeasurements,
}

#[derive(Serialize, Deserialize)]
struct JsonMeasurements {
    environment: BTreeMap<String, String>,
    /// Processes running on each core.
    #[serde(default)]
    load_per_core: Option<f64>,
    readings: Vec<JsonReading>,
    /// What values are made of, by budget.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, Vec<Part>>,
}

#[derive(Serialize, Deserialize)]
struct JsonReading {
    budget: String,
    subject: String,
    stat: String,
    /// In seconds, bytes, parts of 1, or a plain number.
    value: Option<f64>,
    /// Why there is no value.
    missing: Option<String>,
    /// Of a share: how many samples of equal weight it is made of.
    effective_samples: Option<f64>,
    /// One standard deviation.
    deviation: Option<f64>,
    /// Between which values it lies.
    between: Option<(Option<f64>, Option<f64>)>,
    /// One standard deviation of its logarithm, and how many runs it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeated: Option<(f64, f64)>,
}

impl From<(&String, &Reading)> for JsonReading {
    fn from((budget, reading): (&String, &Reading)) -> Self {
        let data = reading.data.as_ref().ok();
        let error = data.map_or(Error::None, |data| data.error);
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Self {
            budget: budget.clone(),
            subject: reading.subject.clone(),
            stat: reading.stat.clone(),
            value: data.map(|data| data.value),
            missing: reading.data.as_ref().err().cloned(),
            effective_samples: match error {
                Error::Share(count) => Some(count),
                _ => None,
            },
            deviation: match error {
                Error::Normal(deviation) => Some(deviation),
                _ => None,
            },
            between: match error {
                Error::Between(low, high) => Some((finite(low), finite(high))),
                _ => None,
            },
            repeated: match error {
                Error::Repeated {
                    log_deviation,
                    runs,
                } => Some((log_deviation, runs)),
                _ => None,
            },
        }
    }
}

impl From<JsonReading> for Reading {
    fn from(saved: JsonReading) -> Self {
        let repeated = |(log_deviation, runs)| Error::Repeated {
            log_deviation,
            runs,
        };
        let error = match (saved.effective_samples, saved.deviation, saved.between) {
            (Some(count), ..) => Error::Share(count),
            (_, Some(deviation), _) => Error::Normal(deviation),
            (_, _, Some((low, high))) => Error::Between(
                low.unwrap_or(f64::NEG_INFINITY),
                high.unwrap_or(f64::INFINITY),
            ),
            _ => saved.repeated.map_or(Error::None, repeated),
        };
        let missing = saved.missing.unwrap_or_else(|| "no value".to_owned());
        let data = saved.value.ok_or(missing).map(|value| Data {
            error,
            ..Data::exact(value)
        });
        Reading::new(saved.subject, saved.stat, data)
    }
}

impl Measurements {
    /// Reads the measurements of a report that [`Report::to_json`] wrote, to be a baseline.
    ///
    /// # Errors
    /// If it is no such report, or of another version.
    pub fn from_report(json: &str) -> Result<Self, SourceError> {
        let saved: Saved = serde_json::from_str(json).map_err(|error| {
            SourceError::new(format!("this is no report of a budget check: {error}"))
        })?;
        if saved.schema_version != SCHEMA_VERSION {
            return Err(SourceError::new(format!(
                "the report has schema version {}; {SCHEMA_VERSION} is read",
                saved.schema_version
            )));
        }
        let mut measurements = Self {
            environment: saved.measurements.environment,
            parts: saved.measurements.parts,
            load: saved.measurements.load_per_core,
            ..Self::default()
        };
        for reading in saved.measurements.readings {
            let of_budget = measurements
                .by_budget
                .entry(reading.budget.clone())
                .or_default();
            of_budget.push(reading.into());
        }
        Ok(measurements)
    }

    fn saved(&self) -> JsonMeasurements {
        let all = self.by_budget.iter();
        let readings =
            all.flat_map(|(id, readings)| readings.iter().map(move |reading| (id, reading).into()));
        JsonMeasurements {
            environment: self.environment.clone(),
            load_per_core: self.load,
            readings: readings.collect(),
            parts: self.parts.clone(),
        }
    }
}

impl Level {
    /// The level in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Report {
    /// The report as JSON of schema version 1, with a newline at its end. What was measured is in it, so that it
    /// can be the baseline of a later check.
    pub fn to_json(&self) -> String {
        let verdicts = self.rows.iter().map(|row| JsonRow {
            budget: &row.budget,
            metric: row.metric,
            line: row.line,
            subject: &row.subject,
            rule: &row.rule,
            measured: row.measured.as_deref(),
            baseline: row.baseline.as_deref(),
            verdict: row.verdict.name(),
            level: row.level.name(),
            reason: &row.reason,
        });
        let json = Json {
            schema_version: SCHEMA_VERSION,
            file: &self.file,
            exit_code: self.exit_code(),
            deviations: self.deviations,
            verdicts: verdicts.collect(),
            measurements: self.measurements.saved(),
        };
        // Maps have texts as keys and numbers are finite: writing to memory cannot fail.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }

    /// The report in Markdown: a line with the numbers, and a table, what matters most first.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("### Budgets: {}\n\n", self.summary());
        out.push_str("| verdict | budget | limit | measured | baseline | why |\n|---|---|---|---:|---:|---|\n");
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.level, row.verdict)));
        for row in rows {
            let verdict = match row.level {
                Level::Error => format!("**{}**", row.verdict.name()),
                _ => row.verdict.name().to_owned(),
            };
            let cells = [
                verdict,
                code(&row.name()),
                code(&row.rule),
                escaped(row.measured.as_deref().unwrap_or("-")),
                escaped(row.baseline.as_deref().unwrap_or("-")),
                escaped(&row.reason),
            ];
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out.push_str(&format!(
            "\nIntervals are {} standard deviations of sampling wide to each side.\n",
            self.deviations
        ));
        out
    }

    /// `12 held, 1 breach, 2 missing`.
    pub fn summary(&self) -> String {
        let all = [
            Verdict::Held,
            Verdict::Breach,
            Verdict::Missing,
            Verdict::CannotTell,
            Verdict::NoWorse,
            Verdict::Waived,
        ];
        let counted = all
            .into_iter()
            .map(|verdict| (self.count(verdict), verdict));
        let told = counted.filter(|&(count, verdict)| count > 0 || verdict == Verdict::Held);
        let words: Vec<_> = told
            .map(|(count, verdict)| format!("{count} {}", verdict.name()))
            .collect();
        words.join(", ")
    }

    /// Workflow commands that make GitHub show what is not in order beside the budget file, one line each.
    pub fn to_github(&self) -> String {
        let mut out = String::new();
        for row in self.rows.iter().filter(|row| row.level != Level::Ok) {
            let title = format!("{}: {}", row.verdict.name(), row.name());
            // Whether what is not known fails a check is for its exit code to say.
            let level = match row.verdict {
                Verdict::CannotTell => Level::Warning,
                _ => row.level,
            };
            out.push_str(&format!(
                "::{} file={},line={},title={}::{}\n",
                level.name(),
                property(&self.file),
                row.line,
                property(&title),
                data(&row.sentence()),
            ));
        }
        out
    }
}

impl Row {
    /// The budget, and which of its subjects.
    pub fn name(&self) -> String {
        match self.subject.as_str() {
            "" => self.budget.clone(),
            subject => format!("{}: {subject}", self.budget),
        }
    }

    /// Limit, value and reason in one line.
    pub fn sentence(&self) -> String {
        let mut text = format!(
            "{}; measured {}",
            self.rule,
            self.measured.as_deref().unwrap_or("nothing")
        );
        if let Some(baseline) = &self.baseline {
            text.push_str(&format!("; baseline {baseline}"));
        }
        if !self.reason.is_empty() {
            text.push_str(&format!("; {}", self.reason));
        }
        text
    }
}

/// Text in a table of Markdown: one line, no cell's end, no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

/// The escapes of a workflow command's message.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// And of its properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
