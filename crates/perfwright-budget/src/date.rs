//! Days of the calendar, without a clock.

use std::fmt;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day of this many seconds since the Unix epoch (UTC), until the year 9999.
    pub fn from_unix(seconds: u64) -> Self {
        // Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let days = (seconds / 86_400).min(2_932_896) + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
        }
    }

    /// The seconds from the Unix epoch to its beginning (UTC); 0 for days before.
    pub(crate) fn to_unix(self) -> u64 {
        // Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
        let (month, day) = (u64::from(self.month), u64::from(self.day));
        let year = u64::from(self.year) + 400 - u64::from(month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        days.saturating_sub(719_468 + 146_097) * 86_400
    }

    /// Reads `2027-01-31`; `None` if that is no day.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = |len: usize| {
            let part = parts.next()?;
            let digits = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok())?
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self {
            year,
            month: month as u8,
            day: day as u8,
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_epoch() {
        let day = |seconds| Date::from_unix(seconds).to_string();
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_798_761_599), "2026-12-31");
        assert_eq!(day(u64::MAX), "9999-12-31");
    }

    #[test]
    fn days_go_to_the_epoch_and_back() {
        for day in (0..2_932_896).step_by(13) {
            assert_eq!(Date::from_unix(day * 86_400 + 5).to_unix(), day * 86_400);
        }
        assert_eq!(Date::parse("1969-12-31").unwrap().to_unix(), 0);
    }

    #[test]
    fn only_days_that_exist_are_read() {
        assert_eq!(
            Date::parse("2028-02-29").map(|d| d.to_string()).as_deref(),
            Some("2028-02-29")
        );
        for text in [
            "2027-02-29",
            "2027-13-01",
            "2027-1-1",
            "2027-01-01-1",
            "",
            "2027-00-10",
            "+027-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }
}
