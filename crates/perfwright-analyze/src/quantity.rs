//! Values as people write them.

/// A value with its unit, to three digits: `12.4 ms`, `3.50 MiB`, `1,234 samples`.
///
/// `unit` is the unit of a sample type: `nanoseconds` (also `microseconds`, `milliseconds`, `seconds`),
/// `bytes`, `count`, which is left out, or `count/1000` and the like for counts in fractions. Any other
/// unit is written behind the number as it is.
///
/// ```
/// use perfwright_analyze::quantity;
/// assert_eq!(quantity(12_400_000, "nanoseconds"), "12.4 ms");
/// assert_eq!(quantity(-2_048, "bytes"), "-2.00 KiB");
/// assert_eq!(quantity(12_345, "count"), "12,345");
/// ```
pub fn quantity(value: i64, unit: &str) -> String {
    let number = value as f64;
    match unit {
        "nanoseconds" => time(number),
        "microseconds" => time(number * 1e3),
        "milliseconds" => time(number * 1e6),
        "seconds" => time(number * 1e9),
        "bytes" => bytes(number),
        "count" | "" => grouped(value),
        _ => match unit
            .strip_prefix("count/")
            .and_then(|by| by.parse::<u32>().ok())
        {
            Some(by) if by > 0 => digits(number / f64::from(by)),
            _ => format!("{} {unit}", grouped(value)),
        },
    }
}

/// A share from 0 to 1 in per cent: `31.4 %`, below one per cent `0.31 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent != 0.0 && percent.abs() < 0.995 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn time(nanos: f64) -> String {
    scaled(nanos, &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")])
}

fn bytes(bytes: f64) -> String {
    let (kib, mib) = (1024.0, 1024.0 * 1024.0);
    scaled(
        bytes,
        &[(kib * mib, "GiB"), (mib, "MiB"), (kib, "KiB"), (1.0, "B")],
    )
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    // 999.6 ms is 1.00 s: a unit fits from where three digits round up to it.
    let fits = |&&(factor, _): &&(f64, &str)| value.abs() >= factor * 0.9995;
    let (factor, unit) = units
        .iter()
        .find(fits)
        .or(units.last())
        .copied()
        .unwrap_or((1.0, ""));
    let number = if factor == 1.0 {
        grouped(value as i64)
    } else {
        digits(value / factor)
    };
    format!("{number} {unit}")
}

/// At least three digits, and all those before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => grouped(value.round() as i64),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Thousands apart.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{percent, quantity};

    #[test]
    fn quantities() {
        for (value, unit, expected) in [
            (0, "nanoseconds", "0 ns"),
            (999, "nanoseconds", "999 ns"),
            (1_000, "nanoseconds", "1.00 µs"),
            (12_345_678, "nanoseconds", "12.3 ms"),
            (999_600_000, "nanoseconds", "1.00 s"),
            (9_812_345_678, "nanoseconds", "9.81 s"),
            (4_000_000_000_000, "nanoseconds", "4,000 s"),
            (-5_000_000, "nanoseconds", "-5.00 ms"),
            (10, "milliseconds", "10.0 ms"),
            (2, "seconds", "2.00 s"),
            (1_023, "bytes", "1,023 B"),
            (5_000_000, "bytes", "4.77 MiB"),
            (1_234_567, "count", "1,234,567"),
            (1_500, "count/1000", "1.50"),
            (7, "faults", "7 faults"),
            (7, "count/0", "7 count/0"),
            (i64::MIN, "count", "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(quantity(value, unit), expected, "{value} {unit}");
        }
    }

    #[test]
    fn percents() {
        for (share, expected) in [
            (0.0, "0.0 %"),
            (0.0042, "0.42 %"),
            (0.00999, "1.0 %"),
            (0.3141, "31.4 %"),
            (1.0, "100.0 %"),
            (-0.005, "-0.50 %"),
        ] {
            assert_eq!(percent(share), expected);
        }
    }
}
