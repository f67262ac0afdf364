//! Numbers for people.

/// A time in nanoseconds, in the unit that suits it.
pub(crate) fn nanos(nanos: f64) -> String {
    let (factor, unit) = match nanos.abs() {
        n if n < 1.0 && n > 0.0 => (1e3, "ps"),
        n if n < 1e3 => (1.0, "ns"),
        n if n < 1e6 => (1e-3, "µs"),
        n if n < 1e9 => (1e-6, "ms"),
        _ => (1e-9, "s"),
    };
    format!("{} {unit}", digits(nanos * factor))
}

/// A number of bytes.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024.0 {
        return format!("{} bytes", count(bytes));
    }
    let power = ((bytes.log2() / 10.0) as usize).clamp(1, UNITS.len());
    format!(
        "{} {}",
        digits(bytes / 1024f64.powi(power as i32)),
        UNITS[power - 1]
    )
}

/// A count: whole where it is, else with as many digits as matter.
pub(crate) fn count(count: f64) -> String {
    match count.fract() == 0.0 {
        true => format!("{count}"),
        false => digits(count),
    }
}

/// Four digits.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1000.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units() {
        assert_eq!(nanos(0.0), "0.000 ns");
        assert_eq!(nanos(0.25), "250.0 ps");
        assert_eq!(nanos(12.3456), "12.35 ns");
        assert_eq!(nanos(999_000.0), "999.0 µs");
        assert_eq!(nanos(2.5e9), "2.500 s");
        assert_eq!(bytes(0.0), "0 bytes");
        assert_eq!(bytes(99.5), "99.50 bytes");
        assert_eq!(bytes(4096.0), "4.000 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0), "3.000 MiB");
        assert_eq!(count(3.0), "3");
        assert_eq!(count(1.25), "1.250");
    }
}
