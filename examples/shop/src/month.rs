//! A calendar month as the reports take it: `2024-03`.

use crate::error::ApiError;

/// A month; days compare as text, as SQLite keeps them (`YYYY-MM-DD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Month {
    year: u16,
    month: u8,
}

impl Month {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        parts(text)
            .filter(|month| (1..=12).contains(&month.month))
            .ok_or_else(|| ApiError::BadRequest(format!("month is {text:?}; write it as 2024-03")))
    }

    /// The month's first day.
    pub(crate) fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.year, self.month)
    }

    /// The first day that is no longer in the month.
    pub(crate) fn end(self) -> String {
        match self.month {
            12 => format!("{:04}-01-01", self.year + 1),
            month => format!("{:04}-{:02}-01", self.year, month + 1),
        }
    }
}

fn parts(text: &str) -> Option<Month> {
    let (year, month) = text.split_once('-')?;
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) {
        return None;
    }
    Some(Month {
        year: year.parse().ok()?,
        month: month.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let days = |text| {
            Month::parse(text)
                .map(|month| (month.first_day(), month.end()))
                .unwrap()
        };
        assert_eq!(
            days("2024-03"),
            ("2024-03-01".to_owned(), "2024-04-01".to_owned())
        );
        assert_eq!(
            days("2024-12"),
            ("2024-12-01".to_owned(), "2025-01-01".to_owned())
        );
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "2024",
            "2024-13",
            "2024-00",
            "24-03",
            "2024-3",
            "2024-03-01",
            "+024-03",
        ] {
            assert!(Month::parse(text).is_err(), "{text:?}");
        }
    }
}
