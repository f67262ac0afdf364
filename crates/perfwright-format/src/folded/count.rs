//! Decimal counts, kept exactly as whole numbers of a power of ten.

/// More decimals than this are rounded away: profilers write microseconds at the finest.
pub(super) const MAX_DECIMALS: u32 = 6;

/// A number as it stands in the file: `units` of 10^-`decimals`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count {
    units: i128,
    pub(super) decimals: u32,
    /// It had more than [`MAX_DECIMALS`] decimals.
    pub(super) rounded: bool,
}

impl Count {
    /// Parses `12`, `-3`, `0.25`; nothing else is a count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let kept = &fraction[..fraction.len().min(MAX_DECIMALS as usize)];
        let rest = &fraction[kept.len()..];
        // 20 digits are above every i64 already; the caller finds the number too large.
        let whole = whole.trim_start_matches('0');
        let whole = if whole.len() > 20 {
            &whole[..20]
        } else {
            whole
        };
        let round_up = rest.bytes().next().is_some_and(|digit| digit >= b'5');
        let units = digits_value(whole, kept) + i128::from(round_up);
        Some(Self {
            units: if negative { -units } else { units },
            decimals: kept.len() as u32,
            rounded: !rest.is_empty(),
        })
    }

    /// It may be too large for some number of decimals.
    pub(super) fn is_large(self) -> bool {
        let limit = i64::MAX as u128 / 10_u128.pow(MAX_DECIMALS);
        self.units.unsigned_abs() > limit
    }

    /// The number in units of 10^-`decimals`; `None` if it is too large.
    pub(super) fn at(self, decimals: u32) -> Option<i64> {
        if decimals <= self.decimals {
            return i64::try_from(self.units).ok();
        }
        let factor = 10_i128.pow(decimals.saturating_sub(self.decimals));
        i64::try_from(self.units * factor).ok()
    }
}

/// The number of two rows of digits, one behind the other.
fn digits_value(whole: &str, fraction: &str) -> i128 {
    let mut digits = whole.bytes().chain(fraction.bytes());
    // WebAssembly has no numbers of 128 bits: calculating with them takes many times as long.
    let first = digits.by_ref().take(19);
    let start = first.fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    digits.fold(start.into(), |value, digit| {
        value * 10 + i128::from(digit - b'0')
    })
}

/// The unit of counts that are whole numbers of 10^-`decimals`.
pub(super) fn unit(decimals: u32) -> String {
    match decimals {
        0 => "count".to_owned(),
        decimals => format!("count/{}", 10_u32.pow(decimals)),
    }
}

/// The decimals that [`unit`] put into a unit.
pub(super) fn decimals_of(unit: &str) -> u32 {
    let divisor = unit.rsplit_once('/').map_or("", |(_, divisor)| divisor);
    (1..=MAX_DECIMALS)
        .find(|&decimals| divisor == 10_u32.pow(decimals).to_string())
        .unwrap_or(0)
}

/// Writes a whole number of 10^-`decimals` as a decimal number, without trailing zeros.
pub(super) fn format(value: i64, decimals: u32) -> String {
    let divisor = 10_u64.pow(decimals);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, rest) = (
        value.unsigned_abs() / divisor,
        value.unsigned_abs() % divisor,
    );
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{rest:0width$}", width = decimals as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        let cases = [
            ("12", 0, 12),
            ("12.0", 0, 12),
            ("0.25", 2, 25),
            ("-3.5", 1, -35),
            ("7.", 0, 7),
            ("0.000001", 6, 1),
            ("0.30000000000000004", 1, 3),
            ("1.9999999", 6, 2_000_000),
            ("9223372036854775807", 0, i64::MAX),
        ];
        for (text, decimals, expected) in cases {
            let count = Count::parse(text).unwrap();
            assert_eq!(count.at(decimals.max(count.decimals)), {
                let extra = count.decimals.saturating_sub(decimals);
                Some(expected * 10_i64.pow(extra))
            });
        }
        assert_eq!(Count::parse("9223372036854775808").unwrap().at(0), None);
        assert_eq!(Count::parse(&"9".repeat(400)).unwrap().at(6), None);
    }

    #[test]
    fn nothing_else_is_a_count() {
        for text in [
            "", "-", ".5", "1e3", "+1", "1.2.3", "0x1", "١", "inf", "1-", "--1",
        ] {
            assert_eq!(Count::parse(text), None, "{text}");
        }
    }

    #[test]
    fn units_carry_the_decimals() {
        for decimals in 0..=MAX_DECIMALS {
            assert_eq!(decimals_of(&unit(decimals)), decimals);
        }
        assert_eq!(decimals_of("bytes/second"), 0);
        assert_eq!(format(-3_500, 3), "-3.5");
        assert_eq!(format(12, 0), "12");
        assert_eq!(format(50, 3), "0.05");
    }
}
