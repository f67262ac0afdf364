//! The name of a capture on disk, which says all about it that a list needs:
//! `20261121T133532.123Z-000042-10000ms-81920b`. Names sort by time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a name says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Name {
    /// The begin, in milliseconds since 1970.
    pub(crate) start_ms: u64,
    /// Counts the captures of a slot, so that two of the same millisecond differ and the order of writing is known
    /// even where the clock was set back.
    pub(crate) sequence: u64,
    /// How long it went on.
    pub(crate) length_ms: u64,
    /// The bytes of all its files. Fewer on disk: it was cut by a power loss.
    pub(crate) bytes: u64,
}

/// The last millisecond of the year 9999, the last whose name sorts.
const MAX_MS: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

impl Name {
    pub(crate) fn start(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.start_ms)
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_millis(self.length_ms)
    }

    /// The name of a folder, if it is exactly one that [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('-');
        let start_ms = parse_time(words.next()?)?;
        let sequence = words.next()?.parse().ok()?;
        let length_ms = words.next()?.strip_suffix("ms")?.parse().ok()?;
        let bytes = words.next()?.strip_suffix('b')?.parse().ok()?;
        let name = Self {
            start_ms,
            sequence,
            length_ms,
            bytes,
        };
        (words.next().is_none() && name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.start_ms / DAY_MS);
        let ms = self.start_ms % DAY_MS;
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        let (seconds, millis) = (ms / 1_000 % 60, ms % 1_000);
        write!(
            f,
            "{year:04}{month:02}{day:02}T{hours:02}{minutes:02}{seconds:02}.{millis:03}Z"
        )?;
        write!(
            f,
            "-{:06}-{}ms-{}b",
            self.sequence, self.length_ms, self.bytes
        )
    }
}

/// Milliseconds since 1970, at most to the end of the year 9999.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).map_or(MAX_MS, |ms| ms.min(MAX_MS))
}

/// `20261121T133532.123Z`.
fn parse_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != 20 || bytes[8] != b'T' || bytes[15] != b'.' || bytes[19] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let mut digits = bytes[from..to].iter();
        digits.try_fold(0u64, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + u64::from(digit - b'0'))
        })
    };
    let days = days(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
    let ms = number(9, 11)? * 3_600_000
        + number(11, 13)? * 60_000
        + number(13, 15)? * 1_000
        + number(16, 19)?;
    Some(days * DAY_MS + ms)
}

/// Days since 1970 to year, month, day.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Year, month, day to days since 1970; `None` before that. `days_from_civil` of the same source.
pub(crate) fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(start_ms: u64) -> Name {
        Name {
            start_ms,
            sequence: 42,
            length_ms: 10_000,
            bytes: 81_920,
        }
    }

    #[test]
    fn a_name_says_when_which_how_long_and_how_much() {
        // `date -u -d '2026-11-21 13:35:32.123' +%s%3N` says so.
        let text = "20261121T133532.123Z-000042-10000ms-81920b";
        assert_eq!(name(1_795_268_132_123).to_string(), text);
        assert_eq!(Name::parse(text), Some(name(1_795_268_132_123)));
    }

    #[test]
    fn days_of_eight_thousand_years_read_back_and_sort() {
        let mut previous = String::new();
        // Every 11th: each day of the month, of the week and of a leap year is among them.
        for day in (0..=MAX_MS / DAY_MS).step_by(11) {
            let text = name(day * DAY_MS + day % DAY_MS).to_string();
            assert_eq!(
                Name::parse(&text).map(|name| name.start_ms),
                Some(day * DAY_MS + day % DAY_MS)
            );
            assert!(previous < text, "{previous} before {text}");
            previous = text;
        }
        assert!(name(MAX_MS).to_string().starts_with("99991231T235959.999Z"));
    }

    #[test]
    fn what_is_not_exactly_a_name_is_none() {
        for text in [
            "",
            "20261121T133532.123Z-000042-10000ms",
            "20261121T133532.123Z-000042-10000ms-81920b.part",
            "20261121T133532.123Z-42-10000ms-81920b",
            "20261121T133532.123Z-000042-+10000ms-81920b",
            "20261131T133532.123Z-000042-10000ms-81920b",
            "20261121T253532.123Z-000042-10000ms-81920b",
            "20261121T133532,123Z-000042-10000ms-81920b",
            "2026112\u{e9}T13353.123Z-000042-10000ms-81920b",
            "backup-20261121T133532.123Z-000042-10000ms-81920b",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
