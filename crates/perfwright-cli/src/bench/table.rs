//! The table of what benches took.

use perfwright_criterion::table::{Change, Rate, Row};

use crate::table::{Cell, Column, Table};
use crate::units::{decimal, signed_percent};

/// Columns in which no bench has anything are not shown.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        (Column::Name, "bench"),
        (Column::Number, "median"),
        (Column::Number, "95 % interval"),
        (Column::Number, "change"),
        (Column::Number, "throughput"),
        (Column::Number, "CPU"),
        (Column::Number, "allocations"),
        (Column::Number, "bytes"),
    ]);
    for row in rows {
        let text = |text: Option<String>| Cell::from(text.unwrap_or_default());
        let interval = row
            .median_ns
            .map(|median| format!("{} to {}", nanos(median.low), nanos(median.high)));
        table.row([
            Cell::from(row.name.as_str()),
            text(row.median_ns.map(|median| nanos(median.value))),
            Cell::dim(interval.unwrap_or_default()),
            row.change.map_or_else(|| Cell::from(""), change),
            text(row.throughput.map(rate)),
            text(row.cpu_ns.map(nanos)),
            text(row.allocations.map(count)),
            text(row.allocated_bytes.map(|bytes| scaled(bytes, BYTES))),
        ]);
    }
    table
}

/// Coloured only where the interval is on one side.
fn change(change: Change) -> Cell {
    let share = |ratio: f64| signed_percent(ratio - 1.0);
    let text = format!(
        "{} [{}, {}]",
        share(change.ratio),
        share(change.low),
        share(change.high)
    );
    match (change.low > 1.0, change.high < 1.0) {
        (true, _) => Cell::tinted(text, |paint, text| paint.caution(text)),
        (_, true) => Cell::tinted(text, |paint, text| paint.good(text)),
        _ => Cell::dim(text),
    }
}

const TIMES: &[(f64, &str)] = &[
    (1e9, "s"),
    (1e6, "ms"),
    (1e3, "µs"),
    (1.0, "ns"),
    (1e-3, "ps"),
];
const BYTES: &[(f64, &str)] = &[
    (1_073_741_824.0, "GiB"),
    (1_048_576.0, "MiB"),
    (1_024.0, "KiB"),
    (1.0, "B"),
];
const NUMBERS: &[(f64, &str)] = &[(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];

fn nanos(nanos: f64) -> String {
    scaled(nanos, TIMES)
}

fn rate(rate: Rate) -> String {
    let amount = match rate.of {
        "bytes" => scaled(rate.per_second, BYTES),
        "bits" => format!("{}bit", scaled(rate.per_second, NUMBERS)),
        _ => scaled(rate.per_second, NUMBERS),
    };
    format!("{}/s", amount.trim_end())
}

fn count(count: f64) -> String {
    decimal(count, if count.fract() == 0.0 { 0 } else { 2 })
}

/// Three digits or more in the largest unit that leaves one before the point.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |(unit, _): &&(f64, &str)| value.abs() >= *unit;
    let &(unit, name) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    let scaled = value / unit;
    let decimals = match scaled.abs() {
        whole if whole.fract() == 0.0 && unit == 1.0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{} {name}", decimal(scaled, decimals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Paint;

    fn rows() -> Vec<Row> {
        let folder = tempfile::tempdir().unwrap();
        let write = |bench: &str, file: &str, text: &str| {
            let path = folder.path().join(bench);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(file), text).unwrap();
        };
        let estimates = |median: f64| {
            let estimate = serde_json::json!({
                "point_estimate": median, "standard_error": 1.0,
                "confidence_interval": {
                    "confidence_level": 0.95, "lower_bound": median * 0.99, "upper_bound": median * 1.02,
                },
            });
            serde_json::json!({ "median": estimate, "mean": estimate, "slope": null }).to_string()
        };
        let sample = |time: f64| {
            serde_json::json!({ "iters": [1, 1, 1], "times": [time, time, time] }).to_string()
        };
        write("parse/new", "estimates.json", &estimates(12_345.0));
        write("parse/new", "sample.json", &sample(12_345.0));
        write(
            "parse/new",
            "benchmark.json",
            r#"{"full_id": "parse", "throughput": {"Bytes": 4096}}"#,
        );
        write(
            "parse/new",
            "perfwright.json",
            r#"{"version": 1, "name": "parse", "iterations": 9, "process_cpu_ns": 12000.0,
                "allocations": {"count": 1200.0, "bytes": 65536.0, "same_each_time": true}}"#,
        );
        write("parse/base", "estimates.json", &estimates(10_000.0));
        write("parse/base", "sample.json", &sample(10_000.0));
        write("print/new", "estimates.json", &estimates(0.75));
        perfwright_criterion::table::rows(folder.path(), Some("base")).unwrap()
    }

    #[test]
    fn a_table_of_benches() {
        let text = table(&rows()).render(140, Paint::default());
        let expected = "  \
  bench   median         95 % interval                    change   throughput      CPU  allocations     bytes
  parse  12.3 µs    12.2 µs to 12.6 µs  +23.4 % [+23.4 %, +23.4 %]  316 MiB/s  12.0 µs        1,200  64.0 KiB
  print   750 ps  742 ps to 765 ps
";
        let words = |text: &str| {
            text.lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&text), words(expected), "{text}");
    }

    #[test]
    fn values_have_units_and_digits() {
        assert_eq!(nanos(0.0), "0.00 ps");
        assert_eq!(nanos(1_500_000_000.0), "1.50 s");
        assert_eq!(scaled(512.0, BYTES), "512 B");
        assert_eq!(scaled(0.0, BYTES), "0 B");
        assert_eq!(count(3.0), "3");
        assert_eq!(count(1.25), "1.25");
        let elements = Rate {
            per_second: 2_500.0,
            of: "elements",
        };
        assert_eq!(rate(elements), "2.50 k/s");
    }
}
