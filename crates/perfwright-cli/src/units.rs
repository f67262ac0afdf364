//! Numbers as people read them.

use perfwright_model::SampleType;

/// How the values of one table are written: one unit for all, so that they compare at a glance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    divisor: f64,
    suffix: String,
    decimals: usize,
}

impl Scale {
    /// The unit in which `largest` (in the sample type's own unit) has at least one whole digit.
    pub(crate) fn of(sample_type: &SampleType, largest: i64) -> Scale {
        let steps: &[(f64, &str)] = match sample_type.unit.as_str() {
            "nanoseconds" => &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
            "microseconds" => &[(1e6, "s"), (1e3, "ms"), (1.0, "µs")],
            "milliseconds" => &[(1e3, "s"), (1.0, "ms")],
            "seconds" => &[(1.0, "s")],
            "bytes" => &[
                (1_073_741_824.0, "GiB"),
                (1_048_576.0, "MiB"),
                (1_024.0, "KiB"),
                (1.0, "B"),
            ],
            other => return Scale::plain(other),
        };
        let fits = |(divisor, _): &&(f64, &str)| largest.unsigned_abs() as f64 >= *divisor;
        let &(divisor, suffix) = steps.iter().find(fits).unwrap_or(&steps[steps.len() - 1]);
        let decimals = match suffix {
            "s" => 2,
            "ns" | "B" => 0,
            _ => 1,
        };
        Scale {
            divisor,
            suffix: suffix.to_owned(),
            decimals,
        }
    }

    /// Counts, also fractional ones (`count/1000`), and units that this program does not know.
    fn plain(unit: &str) -> Scale {
        let (unit, divisor) = match unit.rsplit_once('/') {
            Some((unit, divisor)) => (unit, divisor.parse().unwrap_or(1.0)),
            None => (unit, 1.0),
        };
        let suffix = if unit == "count" { "" } else { unit };
        let decimals = f64::log10(divisor).clamp(0.0, 6.0) as usize;
        Scale {
            divisor,
            suffix: suffix.to_owned(),
            decimals,
        }
    }

    /// A value with its unit: `1.23 s`.
    pub(crate) fn show(&self, value: i64) -> String {
        let number = decimal(value as f64 / self.divisor, self.decimals);
        match self.suffix.as_str() {
            "" => number,
            suffix => format!("{number} {suffix}"),
        }
    }
}

/// A whole number with commas: `12,345`.
pub(crate) fn whole(value: impl Into<i128>) -> String {
    let value: i128 = value.into();
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

/// A number with commas and so many decimals: `1,234.5`.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (integer, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        "-"
    } else {
        ""
    };
    // Beyond 38 digits a number is not read but counted; it stays without commas.
    let integer = integer
        .parse::<i128>()
        .map_or_else(|_| integer.to_owned(), whole);
    format!("{sign}{integer}{fraction}")
}

/// A share from 0 to 1 as `12.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", decimal(share * 100.0, 1))
}

/// A difference of two shares in points: `+1.2 %`.
pub(crate) fn signed_percent(share: f64) -> String {
    let text = percent(share);
    if share > 0.0 && text != "0.0 %" {
        format!("+{text}")
    } else {
        text
    }
}

/// Nanoseconds as seconds with two decimals, without the unit.
pub(crate) fn seconds(nanos: u64) -> String {
    decimal(nanos as f64 / 1e9, 2)
}

/// A latency in milliseconds with three significant digits: `0.82 ms`, `12.4 ms`, `1,240 ms`.
pub(crate) fn milliseconds(ms: f64) -> String {
    let decimals = match ms {
        ms if ms < 9.995 => 2,
        ms if ms < 99.95 => 1,
        _ => 0,
    };
    format!("{} ms", decimal(ms, decimals))
}

/// A size of a file in binary units: `1.2 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Scale::of(&SampleType::new("size", "bytes"), count).show(count)
}

/// `1 thread`, `2 threads`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", whole(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(unit: &str, largest: i64, value: i64) -> String {
        Scale::of(&SampleType::new("x", unit), largest).show(value)
    }

    #[test]
    fn one_unit_for_a_table_chosen_by_its_largest_value() {
        let cases = [
            ("nanoseconds", 9_876_543_210, 1_234_000_000, "1.23 s"),
            ("nanoseconds", 9_876_543_210, 4_000_000, "0.00 s"),
            ("nanoseconds", 98_765_432, 1_234_567, "1.2 ms"),
            ("nanoseconds", 999, 12, "12 ns"),
            ("nanoseconds", 0, 0, "0 ns"),
            ("microseconds", 2_000_000, 500_000, "0.50 s"),
            ("bytes", 5_000_000, 1_048_576, "1.0 MiB"),
            ("bytes", 1_000, 1_000, "1,000 B"),
            ("count", 1_234_567, 1_234_567, "1,234,567"),
            ("count/1000", 9_500, 1_500, "1.500"),
            ("cache-misses", 9_500, 1_500, "1,500 cache-misses"),
        ];
        for (unit, largest, value, text) in cases {
            assert_eq!(
                shown(unit, largest, value),
                text,
                "{value} {unit} of {largest}"
            );
        }
    }

    #[test]
    fn signs_stand_before_what_is_not_zero() {
        assert_eq!(signed_percent(0.0234), "+2.3 %");
        assert_eq!(signed_percent(-0.0234), "-2.3 %");
        assert_eq!(signed_percent(0.0001), "0.0 %");
        assert_eq!(signed_percent(-0.0001), "0.0 %");
    }

    #[test]
    fn numbers_get_commas() {
        assert_eq!(whole(0), "0");
        assert_eq!(whole(999), "999");
        assert_eq!(whole(-1_000), "-1,000");
        assert_eq!(whole(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(decimal(1_234.56, 1), "1,234.6");
        assert_eq!(decimal(f64::MAX, 0).len(), 309);
        assert_eq!(decimal(f64::NAN, 1), "NaN");
    }

    #[test]
    fn latencies_have_three_digits() {
        let shown = [0.0, 0.8249, 9.99, 9.996, 12.44, 99.96, 1_240.2].map(milliseconds);
        let expected = ["0.00", "0.82", "9.99", "10.0", "12.4", "100", "1,240"];
        assert_eq!(shown, expected.map(|text| format!("{text} ms")));
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(1, "thread"), "1 thread");
        assert_eq!(counted(1_200, "sample"), "1,200 samples");
        assert_eq!(bytes(5_400_000), "5.1 MiB");
    }
}
