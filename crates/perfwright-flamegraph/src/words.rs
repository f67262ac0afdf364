//! What stands in an SVG besides the boxes' names.

use perfwright_analyze::{percent, quantity};
use perfwright_model::{Profile, SampleType};

use crate::flame::Flame;
use crate::label::{escaped, printable};
use crate::{Normalize, Options, Summary};

/// What the profile says of its making stands in its comments behind this.
const AUDIT: &str = "perfwright audit: ";

/// Title, subtitle and units.
pub(crate) struct Words {
    pub(crate) title: String,
    facts: Vec<String>,
    sample_type: SampleType,
    baseline_factor: Option<f64>,
}

impl Words {
    pub(crate) fn of_profile(profile: &Profile, sample_type: usize, options: &Options) -> Self {
        let total = profile.total(sample_type);
        let sample_type = printable_type(&profile.sample_types()[sample_type]);
        let mut title = headline(total, &sample_type);
        if let Some(nanos) = profile.meta.duration_nanos.filter(|&nanos| nanos > 0) {
            title.push_str(&format!(" in {}", quantity(nanos, "nanoseconds")));
        }
        let mut facts: Vec<String> = options.subtitle.clone().into_iter().collect();
        facts.extend(engine(profile));
        facts.extend(samples(profile, &sample_type));
        Self {
            title: options.title.clone().unwrap_or(title),
            facts,
            sample_type,
            baseline_factor: None,
        }
    }

    pub(crate) fn of_diff(
        baseline: &Profile,
        candidate: &Profile,
        sample_types: [usize; 2],
        options: &Options,
    ) -> Self {
        let sample_type = printable_type(&baseline.sample_types()[sample_types[0]]);
        let totals = [
            baseline.total(sample_types[0]),
            candidate.total(sample_types[1]),
        ];
        let durations = [baseline.meta.duration_nanos, candidate.meta.duration_nanos];
        let factor = match options.normalize {
            Normalize::Total => ratio(totals[1], totals[0]),
            Normalize::Duration => match durations {
                [Some(old), Some(new)] => ratio(new, old),
                _ => 1.0,
            },
            Normalize::No => 1.0,
        };
        let old = value(totals[0], &sample_type);
        let title = format!("{}, baseline {old}", headline(totals[1], &sample_type));
        let mut facts: Vec<String> = options.subtitle.clone().into_iter().collect();
        if (factor - 1.0).abs() > 0.0005 {
            facts.push(format!("baseline scaled by {factor:.3}"));
        }
        Self {
            title: options.title.clone().unwrap_or(title),
            facts,
            sample_type,
            baseline_factor: Some(factor),
        }
    }

    /// What to multiply the baseline's values by.
    pub(crate) fn baseline_factor(&self) -> f64 {
        self.baseline_factor.unwrap_or(1.0)
    }

    /// How inferno is told to call what it counts.
    pub(crate) fn count_name(&self) -> &str {
        if self.sample_type.unit.is_empty() {
            "units"
        } else {
            &self.sample_type.unit
        }
    }

    pub(crate) fn subtitle(&self, summary: &Summary, flame: &Flame) -> String {
        let mut facts = self.facts.clone();
        if summary.pruned_frames > 0 {
            let frames = quantity(summary.pruned_frames as i64, "count");
            let share = percent(summary.pruned_share);
            facts.push(format!("{share} in {frames} frames too small to draw"));
        }
        if summary.gone_share > 0.0 {
            let share = percent(summary.gone_share);
            facts.push(format!("{share} of the baseline is gone"));
        }
        if flame.has_negative {
            facts.push("values below zero are not drawn".to_owned());
        }
        facts.join(" · ")
    }

    /// What inferno says of a box (`name (1,234 nanoseconds, 1.20%; +0.10%)`), as a person would say it. Text
    /// of another form is kept. Names come and go escaped for XML.
    pub(crate) fn told(&self, title: &str, flame: &Flame) -> Option<String> {
        let (name, values) = title.rsplit_once(" (")?;
        let (count, shares) = values.strip_suffix(')')?.split_once(' ')?;
        let count: u64 = count.replace(',', "").parse().ok()?;
        let shown = escaped(&value(
            (count as f64 * flame.scale) as i64,
            &self.sample_type,
        ));
        let share = percent(count as f64 / flame.width() as f64);
        let change = shares.split_once("; ").map(|(_, change)| match change {
            "0.00%" => "; self unchanged".to_owned(),
            change => format!("; self {} %", change.trim_end_matches('%')),
        });
        Some(format!(
            "{name} ({shown}, {share}{})",
            change.unwrap_or_default()
        ))
    }
}

fn printable_type(sample_type: &SampleType) -> SampleType {
    SampleType::new(printable(&sample_type.kind), printable(&sample_type.unit))
}

fn ratio(a: i64, b: i64) -> f64 {
    if a > 0 && b > 0 {
        a as f64 / b as f64
    } else {
        1.0
    }
}

fn value(value: i64, sample_type: &SampleType) -> String {
    let SampleType { kind, unit } = sample_type;
    let is_count = unit == "count" || unit.starts_with("count/");
    let text = quantity(value, unit);
    if is_count {
        format!("{text} {kind}")
    } else {
        text
    }
}

/// What was measured, and how much: `CPU time: 9.81 s`, `1,234 samples`.
fn headline(total: i64, sample_type: &SampleType) -> String {
    let total = value(total, sample_type);
    let noun = match sample_type.kind.as_str() {
        "cpu" => "CPU time",
        "wall" => "Wall-clock time",
        "inuse_space" => "Memory in use",
        "alloc_space" => "Memory allocated",
        _ if sample_type.unit.starts_with("count") => return total,
        kind => kind,
    };
    format!("{noun}: {total}")
}

fn audit<'a>(profile: &'a Profile, key: &str) -> Option<&'a str> {
    let facts = profile
        .meta
        .comments
        .iter()
        .filter_map(|line| line.strip_prefix(AUDIT));
    let mut facts = facts.filter_map(|fact| fact.split_once('='));
    facts.find(|fact| fact.0 == key).map(|fact| fact.1)
}

fn engine(profile: &Profile) -> Option<String> {
    let engine = audit(profile, "engine")?;
    let frequency: Option<f64> =
        audit(profile, "frequency_effective_hz").and_then(|hz| hz.parse().ok());
    let frequency = frequency
        .map(|hz| format!(", {hz:.0} Hz"))
        .unwrap_or_default();
    let limited = audit(profile, "tick_limited") == Some("true");
    let limited = if limited { ", tick-limited" } else { "" };
    Some(format!("engine {engine}{frequency}{limited}"))
}

/// How many samples the profile is made of, unless that is what is drawn.
fn samples(profile: &Profile, drawn: &SampleType) -> Option<String> {
    let samples = SampleType::new("samples", "count");
    let at = profile
        .sample_types()
        .iter()
        .position(|sample_type| *sample_type == samples)?;
    if *drawn == samples {
        return None;
    }
    Some(value(profile.total(at), &samples))
}
