//! Numbers with units, as budget files write them: `200ms`, `15%`, `4KiB`, `2000/s`.

use std::ops::Range;

/// What a number measures, and so which units it takes. Values are in the base unit: seconds, bytes, parts
/// of 1, or a plain number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dimension {
    /// A part of a whole, in parts of 1; `true`: it can exceed the whole, as two busy cores do.
    Share { exceeds: bool },
    /// In seconds.
    Time,
    /// In bytes.
    Bytes,
    /// A plain number.
    Count,
    /// In things per second.
    PerSecond,
    /// In bytes per second.
    BytesPerSecond,
    /// Whatever the limit says: a metric of somebody else.
    Any,
}

const TIMES: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

const BYTES: [(&str, f64); 9] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

const RATES: [(&str, f64); 3] = [("/s", 1.0), ("/m", 1.0 / 60.0), ("/h", 1.0 / 3600.0)];

/// What is wrong with a number, and where in the text.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Dimension {
    /// Whether values are never negative.
    pub(crate) fn is_positive(self) -> bool {
        !matches!(self, Self::BytesPerSecond | Self::Any)
    }

    /// Its units, where it is not made of others.
    #[cfg(feature = "schema")]
    pub(crate) fn units(self) -> Vec<&'static str> {
        let names = |units: &[(&'static str, f64)]| units.iter().map(|(name, _)| *name).collect();
        match self {
            Self::Share { .. } => vec!["%"],
            Self::Time => names(&TIMES),
            Self::Bytes => names(&BYTES),
            Self::PerSecond => names(&RATES),
            Self::Count | Self::BytesPerSecond | Self::Any => Vec::new(),
        }
    }

    /// Whether values may be of a clock; numbers of things and bytes are not.
    pub(crate) fn is_of_a_clock(self) -> bool {
        !matches!(self, Self::Count | Self::Bytes)
    }

    /// The units it takes, as an example for people.
    fn examples(self) -> &'static str {
        match self {
            Self::Share { .. } => "a share is written with %, such as 15%",
            Self::Time => "a time is written with ns, us, ms, s, m, h or d, such as 200ms",
            Self::Bytes => {
                "a size is written with B, kB, MB, GB, KiB, MiB or GiB, such as 4KiB (1024 bytes) or 4kB (1000)"
            }
            Self::Count => "a count has no unit, such as 12",
            Self::PerSecond => "a rate is written with /s, /m or /h, such as 2000/s",
            Self::BytesPerSecond => "a growth is written as a size per time, such as 1MiB/h",
            Self::Any => {
                "write a plain number, or one with a unit such as 15%, 200ms, 4KiB or 10/s"
            }
        }
    }

    fn factor(self, unit: &str) -> Option<f64> {
        let of = |units: &[(&str, f64)]| units.iter().find(|(name, _)| *name == unit).map(|u| u.1);
        match self {
            Self::Share { .. } => (unit == "%").then_some(0.01),
            Self::Time => of(&TIMES),
            Self::Bytes => of(&BYTES),
            Self::Count => unit.is_empty().then_some(1.0),
            Self::PerSecond => of(&RATES),
            Self::BytesPerSecond => {
                let (size, time) = unit.split_once('/')?;
                Some(Self::Bytes.factor(size)? / Self::Time.factor(time)?)
            }
            Self::Any => [
                Self::Count,
                Self::Share { exceeds: true },
                Self::Time,
                Self::Bytes,
                Self::PerSecond,
                Self::BytesPerSecond,
            ]
            .iter()
            .find_map(|dimension| dimension.factor(unit)),
        }
    }

    /// Reads a number with its unit; spaces between are allowed. The result is finite.
    pub(crate) fn parse(self, text: &str) -> Result<f64, Wrong> {
        let start = text.len() - text.trim_start().len();
        let body = text.trim();
        let digits = number_len(body);
        let number: Option<f64> = body[..digits].replace('_', "").parse().ok();
        let Some(number) = number.filter(|number| number.is_finite()) else {
            return Err(Wrong {
                at: start..start + body.len().max(1),
                what: "a number is expected here".to_owned(),
                help: self.examples().to_owned(),
            });
        };
        let unit = body[digits..].trim_start();
        let at = start + body.len() - unit.len()..start + body.len();
        let value = self.factor(unit).map(|factor| number * factor);
        if let Some(value) = value.filter(|value| value.is_finite()) {
            return Ok(value);
        }
        let (at, what) = match unit {
            "" => (start..start + body.len(), "a unit is missing".to_owned()),
            _ if self == Self::Count => (at, format!("`{unit}`: no unit is expected here")),
            _ if Self::Any.factor(unit).is_some() => (at, format!("`{unit}` does not fit here")),
            _ => (at, format!("unknown unit `{unit}`")),
        };
        let help = match self.near(unit) {
            Some(near) => format!("did you mean `{near}`? {}", self.examples()),
            None => self.examples().to_owned(),
        };
        Err(Wrong { at, what, help })
    }

    /// A unit that the writer may have meant.
    fn near(self, unit: &str) -> Option<&'static str> {
        let units: &[(&'static str, f64)] = match self {
            Self::Time => &TIMES,
            Self::Bytes => &BYTES,
            Self::PerSecond => &RATES,
            _ => return None,
        };
        let names = units.iter().map(|&(name, _)| name);
        nearest(unit, names.filter(|_| !unit.is_empty()))
    }

    /// A value for people.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Share { .. } => {
                let percent = value * 100.0;
                match percent.abs() {
                    small if small != 0.0 && small < 0.995 => format!("{percent:.2} %"),
                    _ => format!("{percent:.1} %"),
                }
            }
            Self::Time => scaled(
                value,
                &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")],
            ),
            Self::Bytes => show_bytes(value),
            Self::Count | Self::Any => plain(value),
            Self::PerSecond => format!("{}/s", plain(value)),
            Self::BytesPerSecond => format!("{}/h", show_bytes(value * 3600.0)),
        }
    }
}

/// How much of `text` is a number with digits, a sign, a point and `_`.
fn number_len(text: &str) -> usize {
    text.char_indices()
        .find(|&(at, c)| {
            !(c.is_ascii_digit() || c == '.' || c == '_' || (at == 0 && (c == '-' || c == '+')))
        })
        .map_or(text.len(), |(at, _)| at)
}

fn show_bytes(bytes: f64) -> String {
    let kib = 1024.0;
    match bytes.abs() {
        // What is exact stays so: sizes of files differ by single bytes.
        small if small < 10.0 * kib && bytes.fract() == 0.0 => format!("{bytes} B"),
        _ => scaled(
            bytes,
            &[
                (kib * kib * kib, "GiB"),
                (kib * kib, "MiB"),
                (kib, "KiB"),
                (1.0, "B"),
            ],
        ),
    }
}

/// To three digits, in the largest unit that fits.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |&&(factor, _): &&(f64, &str)| value.abs() >= factor * 0.9995;
    let last = units.last().copied().unwrap_or((1.0, ""));
    let (factor, unit) = units.iter().find(fits).copied().unwrap_or(last);
    let number = value / factor;
    let decimals = match number.abs() {
        large if large >= 99.95 => 0,
        middle if middle >= 9.995 => 1,
        0.0 => 0,
        _ => 2,
    };
    format!("{number:.decimals$} {unit}")
}

fn plain(value: f64) -> String {
    match value {
        whole if whole.fract() == 0.0 && whole.abs() < 1e15 => format!("{whole}"),
        _ if value.abs() >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The one of `names` that differs from `word` by the fewest letters, if that is few.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = 1 + word.len() / 4;
    names
        .map(|name| (distance(word, name), name))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in characters; of texts too long to be a name, their length.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > 64 {
        return a.len().max(b.len());
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_scale_to_the_base() {
        let check = |dimension: Dimension, text, expected: f64| {
            let value = dimension.parse(text).unwrap();
            assert!((value - expected).abs() <= expected.abs() * 1e-12, "{text}");
        };
        check(Dimension::Time, "200ms", 0.2);
        check(Dimension::Time, " 1.5 h", 5400.0);
        check(Dimension::Bytes, "4KiB", 4096.0);
        check(Dimension::Bytes, "4kB", 4000.0);
        check(Dimension::Share { exceeds: false }, "15%", 0.15);
        check(Dimension::PerSecond, "120/m", 2.0);
        check(Dimension::BytesPerSecond, "1MiB/h", 1_048_576.0 / 3600.0);
        check(Dimension::Count, "1_000", 1000.0);
    }

    #[test]
    fn what_is_no_number_or_unit_is_told_with_its_place() {
        let wrong = Dimension::Time.parse(" 200mss").unwrap_err();
        assert_eq!(
            (wrong.at, wrong.what.as_str()),
            (4..7, "unknown unit `mss`")
        );
        assert!(wrong.help.contains("did you mean `ms`"), "{}", wrong.help);
        assert_eq!(Dimension::Time.parse("200").unwrap_err().at, 0..3);
        assert_eq!(Dimension::Count.parse("").unwrap_err().at, 0..1);
        for text in ["1e400s", "nan", "inf", "--1s", "1.2.3s", "s"] {
            assert!(Dimension::Time.parse(text).is_err(), "{text}");
        }
        assert!(
            Dimension::Bytes
                .parse("99999999999999999999999999999999999999TiB")
                .is_ok()
        );
    }

    #[test]
    fn values_are_shown_to_three_digits() {
        assert_eq!(Dimension::Time.show(0.2), "200 ms");
        assert_eq!(Dimension::Bytes.show(307_201.0), "300 KiB");
        assert_eq!(Dimension::Bytes.show(1025.0), "1025 B");
        assert_eq!(Dimension::Share { exceeds: false }.show(0.1234), "12.3 %");
        assert_eq!(Dimension::PerSecond.show(2000.0), "2000/s");
    }
}
