//! The history as a page: one chart for each bench, in one file that needs nothing else.

use std::fmt::Write as _;

use perfwright_budget::Date;

use super::history::{Entry, Series};
use super::output::nanos;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 150.0;
/// Room at the left for numbers, and at the other sides.
const LEFT: f64 = 70.0;
const EDGE: f64 = 14.0;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bench history</title>
<meta name="viewport" content="width=device-width">
<style>
:root { color-scheme: light dark; --ink: #222; --dim: #777; --line: #ddd; --dot: #2a6fbb; --bad: #c0392b; --good: #2e8b57; --back: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --dim: #999; --line: #444; --dot: #6db3f2; --bad: #ff7b6b; --good: #6fcf97; --back: #1b1b1b; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2em auto; max-width: 800px; padding: 0 1em; }
h1 { font-size: 1.4em; } h2 { font-size: 1em; margin: 2em 0 0; overflow-wrap: anywhere; }
p { margin: 0; color: var(--dim); } svg { width: 100%; height: auto; display: block; }
text { font-size: 11px; fill: var(--dim); } .grid { stroke: var(--line); } .level { stroke: var(--dim); stroke-width: 1.5; }
.change { stroke: var(--bad); stroke-dasharray: 4 3; } .change.better { stroke: var(--good); }
circle { fill: var(--dot); } circle.worse { fill: var(--bad); } circle.better { fill: var(--good); }
</style></head><body>
<h1>Bench history</h1>
<p>Time of an iteration, run by run, on this machine and compiler. A dashed line is a place where the series changed (E-divisive, p &le; 0.001); horizontal lines are the medians between. Hover a point for its commit.</p>
"#;

/// The page.
pub(crate) fn page(series: &[Series]) -> String {
    let mut page = HEAD.to_owned();
    for one in series {
        chart(one, &mut page);
    }
    if series.is_empty() {
        page.push_str("<p>Nothing was measured here yet.</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// Places of values in the chart.
struct Scale {
    count: usize,
    low: f64,
    high: f64,
}

impl Scale {
    fn of(entries: &[Entry]) -> Scale {
        let values = entries
            .iter()
            .map(|entry| entry.nanos)
            .filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        // Steady series are shown as such: what is less than 2 % apart does not fill the chart.
        let margin = (high - low).max(0.02 * high) * 0.15;
        Scale {
            count: entries.len(),
            low: (low - margin).min(high * 0.99),
            high: high + margin,
        }
    }

    fn x(&self, index: f64) -> f64 {
        let steps = self.count.saturating_sub(1).max(1) as f64;
        LEFT + (WIDTH - LEFT - EDGE) * index / steps
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        HEIGHT - EDGE * 1.6 - (HEIGHT - EDGE * 2.6) * share.clamp(0.0, 1.0)
    }
}

fn chart(series: &Series, page: &mut String) {
    let entries = &series.entries;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return;
    };
    let scale = Scale::of(entries);
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "<h2>{}</h2>\n<p>{}</p>",
        escaped(&first.name()),
        summary(series)
    );
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(&first.name())
    );
    grid(&scale, page);
    let ends = [(LEFT, "start", first), (WIDTH - EDGE, "end", last)];
    for (x, anchor, entry) in ends {
        let date = Date::from_unix(entry.time);
        let y = HEIGHT - 4.0;
        let _ = writeln!(
            page,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{date}</text>"
        );
    }
    levels(series, &scale, page);
    for (index, entry) in entries.iter().enumerate() {
        point(index, entry, &scale, page);
    }
    page.push_str("</svg>\n");
}

fn grid(scale: &Scale, page: &mut String) {
    for share in [0.0, 0.5, 1.0] {
        let value = scale.low + (scale.high - scale.low) * share;
        let (y, right, text) = (scale.y(value), WIDTH - EDGE, nanos(value));
        let _ = writeln!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
}

/// The medians between changes, and the changes.
fn levels(series: &Series, scale: &Scale, page: &mut String) {
    let changes = &series.changes;
    for (number, change) in changes.iter().enumerate() {
        let start = number
            .checked_sub(1)
            .map_or(0, |before| changes[before].index);
        level(scale, (start, change.index), change.before, page);
        let x = scale.x(change.index as f64 - 0.5);
        let class = if change.after < change.before {
            "change better"
        } else {
            "change"
        };
        let bottom = HEIGHT - EDGE * 1.6;
        let _ = writeln!(
            page,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{EDGE}\" y2=\"{bottom}\"/>"
        );
    }
    if let Some(last) = changes.last() {
        level(scale, (last.index, series.entries.len()), last.after, page);
    }
}

fn level(scale: &Scale, (start, end): (usize, usize), value: f64, page: &mut String) {
    let (left, right) = (scale.x(start as f64), scale.x(end.saturating_sub(1) as f64));
    let y = scale.y(value);
    let _ = writeln!(
        page,
        "<line class=\"level\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
    );
}

fn point(index: usize, entry: &Entry, scale: &Scale, page: &mut String) {
    let (x, y) = (scale.x(index as f64), scale.y(entry.nanos));
    let class = match entry.verdict.as_str() {
        "worse" => " class=\"worse\"",
        "better" => " class=\"better\"",
        _ => "",
    };
    let _ = writeln!(
        page,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"{class}><title>{}</title></circle>",
        escaped(&tooltip(entry))
    );
}

fn tooltip(entry: &Entry) -> String {
    let commit: String = entry.commit.chars().take(9).collect();
    let changed = if entry.changed { " and changes" } else { "" };
    let (date, time, verdict) = (
        Date::from_unix(entry.time),
        nanos(entry.nanos),
        &entry.verdict,
    );
    format!(
        "{date} {commit}{changed}: {time}, {verdict} against {}",
        entry.against
    )
}

/// `40 runs, now 1.06 µs; changed on 2026-11-18 at 3f2a1c9d0: 1.00 µs -> 1.06 µs (+6.0 %)`.
fn summary(series: &Series) -> String {
    let runs = crate::units::counted(series.entries.len() as u64, "run");
    let now = series.entries.last().map_or(f64::NAN, |entry| entry.nanos);
    let mut text = format!("{runs}, now {}", nanos(now));
    for change in &series.changes {
        text.push_str("; ");
        text.push_str(&change_words(series, change));
    }
    escaped(&text)
}

/// Where and by how much a series changed.
pub(crate) fn change_words(series: &Series, change: &perfwright_stats::ChangePoint) -> String {
    let (before, after) = (nanos(change.before), nanos(change.after));
    let percent = (change.after / change.before - 1.0) * 100.0;
    let when = series
        .entries
        .get(change.index)
        .map_or_else(String::new, |entry| {
            let commit: String = entry.commit.chars().take(9).collect();
            format!(" on {} at {commit}", Date::from_unix(entry.time))
        });
    format!("changed{when}: {before} -> {after} ({percent:+.1} %)")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
