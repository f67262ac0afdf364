//! Limits: `p95 < 200ms`, and what may change against a baseline: `+3%`.

use std::{fmt, ops::Range};

use crate::{
    metric::{Metric, quantile, threshold},
    units::{Dimension, Wrong, nearest},
};

/// How a value has to stand to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Relation {
    /// Whether it bounds values from above.
    pub(crate) fn is_upper(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }

    fn is_strict(self) -> bool {
        matches!(self, Self::Below | Self::Above)
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// A bound of one statistic.
#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    pub(crate) stat: String,
    pub(crate) relation: Relation,
    pub(crate) value: f64,
    pub(crate) dimension: Dimension,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = self.relation.sign();
        write!(
            f,
            "{} {sign} {}",
            self.stat,
            self.dimension.show(self.value)
        )
    }
}

impl Limit {
    /// Whether a value is within the limit.
    pub(crate) fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::Below => value < self.value,
            Relation::AtMost => value <= self.value,
            Relation::Above => value > self.value,
            Relation::AtLeast => value >= self.value,
        }
    }

    /// Reads a limit on `metric`.
    pub(crate) fn parse(text: &str, metric: Metric) -> Result<Self, Wrong> {
        let example = || format!("write a limit as `{}`", metric.spec().example);
        let Some(sign) = text.find(['<', '>']) else {
            return Err(Wrong {
                at: 0..text.len(),
                what: "no `<`, `<=`, `>` or `>=` in this limit".to_owned(),
                help: example(),
            });
        };
        let is_equal = text[sign + 1..].starts_with('=');
        let relation = match (text[sign..].starts_with('<'), is_equal) {
            (true, false) => Relation::Below,
            (true, true) => Relation::AtMost,
            (false, false) => Relation::Above,
            (false, true) => Relation::AtLeast,
        };
        let number = sign + 1 + usize::from(is_equal);
        let (stat, dimension) = stat_of(&text[..sign], metric)?;
        let value = dimension.parse(&text[number..]).map_err(|wrong| Wrong {
            at: number + wrong.at.start..number + wrong.at.end,
            ..wrong
        })?;
        let limit = Self {
            stat,
            relation,
            value,
            dimension,
        };
        match limit.is_useless() {
            Some(what) => Err(Wrong {
                at: 0..text.len(),
                what: what.to_owned(),
                help: example(),
            }),
            None => Ok(limit),
        }
    }

    /// Why a limit is no limit: no value holds, or every value does.
    fn is_useless(&self) -> Option<&'static str> {
        const NEVER: &str = "no value can hold this limit";
        const ALWAYS: &str = "every value holds this limit";
        let most = match self.dimension {
            Dimension::Share { exceeds: false } => 1.0,
            _ => f64::INFINITY,
        };
        let least = match self.dimension.is_positive() {
            true => 0.0,
            false => f64::NEG_INFINITY,
        };
        let value = self.value;
        match self.relation {
            Relation::Below if value <= least => Some(NEVER),
            Relation::AtMost if value < least => Some(NEVER),
            Relation::Above if value >= most => Some(NEVER),
            Relation::AtLeast if value > most => Some(NEVER),
            Relation::Below if value > most => Some(ALWAYS),
            Relation::AtMost if value >= most => Some(ALWAYS),
            Relation::Above if value < least => Some(ALWAYS),
            Relation::AtLeast if value <= least => Some(ALWAYS),
            _ => None,
        }
    }

    /// Whether this lower and that upper bound leave no value. `p50 > 300ms` and `p95 < 200ms` do not either.
    pub(crate) fn excludes(&self, upper: &Self) -> bool {
        if self.relation.is_upper() || !upper.relation.is_upper() {
            return false;
        }
        let ordered = self.stat == upper.stat
            || (self.dimension == upper.dimension && is_never_above(&self.stat, &upper.stat));
        let strict = self.relation.is_strict() || upper.relation.is_strict();
        ordered && (self.value > upper.value || (strict && self.value == upper.value))
    }

    /// Whether it bounds the same statistic from the same side.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        self.stat == other.stat && self.relation.is_upper() == other.relation.is_upper()
    }

    /// Whether values hold this limit that do not hold `other`.
    pub(crate) fn is_looser_than(&self, other: &Self) -> bool {
        let wider = match self.relation.is_upper() {
            true => self.value > other.value,
            false => self.value < other.value,
        };
        let equal = self.value == other.value;
        wider || (equal && other.relation.is_strict() && !self.relation.is_strict())
    }
}

/// Whether of two statistics of the same values the first is never greater than the second.
fn is_never_above(low: &str, high: &str) -> bool {
    if let (Some(low), Some(high)) = (threshold(low), threshold(high)) {
        // Fewer are above more.
        return low > high;
    }
    matches!((rank(low), rank(high)), (Some(low), Some(high)) if low < high)
}

fn rank(stat: &str) -> Option<f64> {
    match stat {
        "self" | "end" | "avg" | "live" | "in_use" => Some(0.0),
        "total" | "max" | "peak" | "connections" => Some(1.0),
        _ => quantile(stat),
    }
}

fn stat_of(written: &str, metric: Metric) -> Result<(String, Dimension), Wrong> {
    let start = written.len() - written.trim_start().len();
    let stat = written.trim();
    let wrong = |what: String, help: String| Wrong {
        at: start..start + stat.len().max(1),
        what,
        help,
    };
    let known = || format!("{} has {}", metric.name(), metric.stat_names());
    if stat.is_empty() {
        let default = metric
            .default_stat()
            .and_then(|name| Some((name.to_owned(), metric.dimension(name)?)));
        let what = "which statistic is meant?".to_owned();
        return default.ok_or_else(|| wrong(what, known()));
    }
    let canonical = stat.split_whitespace().collect::<Vec<_>>().join(" ");
    match metric.dimension(&canonical) {
        Some(dimension) => Ok((canonical, dimension)),
        None => {
            let names = metric.spec().stats.iter().map(|(name, ..)| *name);
            let help = match nearest(stat, names) {
                Some(near) => format!("did you mean `{near}`? {}", known()),
                None => known(),
            };
            let what = format!("{} has no `{stat}`", metric.name());
            Err(wrong(what, help))
        }
    }
}

/// How much a value may change against its baseline, in one direction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Change {
    /// Growth is what is bounded; else decline.
    pub(crate) upwards: bool,
    pub(crate) amount: Amount,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Amount {
    /// Of the baseline.
    Relative(f64),
    /// In the metric's base unit.
    Absolute(f64),
}

impl Change {
    /// Reads `+3%`, `-10%`, `+4KiB`, and of shares `+2pp`.
    pub(crate) fn parse(text: &str, dimension: Dimension) -> Result<Self, Wrong> {
        let start = text.len() - text.trim_start().len();
        let body = text.trim();
        let upwards = match body.as_bytes().first() {
            Some(b'+') => true,
            Some(b'-') => false,
            _ => {
                return Err(Wrong {
                    at: start..start + body.len().max(1),
                    what: "in which direction?".to_owned(),
                    help: "write `+3%` if growth is bad, `-3%` if decline is".to_owned(),
                });
            }
        };
        let amount = amount(&body[1..], dimension).map_err(|wrong| Wrong {
            at: start + 1 + wrong.at.start..start + 1 + wrong.at.end,
            ..wrong
        })?;
        Ok(Self { upwards, amount })
    }

    /// The farthest a value may go from this baseline.
    pub(crate) fn bound(self, baseline: f64) -> f64 {
        let step = match self.amount {
            Amount::Relative(share) => baseline.abs() * share,
            Amount::Absolute(step) => step,
        };
        match self.upwards {
            true => baseline + step,
            false => baseline - step,
        }
    }

    /// How many times the baseline's error is that of [`Change::bound`].
    pub(crate) fn times(self) -> f64 {
        match (self.amount, self.upwards) {
            (Amount::Absolute(_), _) => 1.0,
            (Amount::Relative(share), true) => 1.0 + share,
            (Amount::Relative(share), false) => (1.0 - share).abs(),
        }
    }

    /// By how much a value is worse than its baseline; negative where it is better.
    pub(crate) fn worsening(self, value: f64, baseline: f64) -> f64 {
        match self.upwards {
            true => value - baseline,
            false => baseline - value,
        }
    }
}

fn amount(text: &str, dimension: Dimension) -> Result<Amount, Wrong> {
    let is_share = matches!(dimension, Dimension::Share { .. });
    let parsed = match text.strip_suffix("pp") {
        Some(points) if is_share => Dimension::Count
            .parse(points)
            .map(|points| Amount::Absolute(points / 100.0)),
        _ if text.ends_with('%') => Dimension::Share { exceeds: true }
            .parse(text)
            .map(Amount::Relative),
        _ => dimension.parse(text).map(Amount::Absolute),
    };
    let parsed = parsed.map_err(|wrong| Wrong {
        help: match is_share {
            true => "write `2%` of the baseline, or `2pp` for percentage points".to_owned(),
            false => format!(
                "{}; or write a share of the baseline, such as 2%",
                wrong.help
            ),
        },
        ..wrong
    })?;
    match parsed {
        Amount::Relative(value) | Amount::Absolute(value) if value < 0.0 => Err(Wrong {
            at: 0..text.len(),
            what: "an amount is not negative".to_owned(),
            help: "write one sign only".to_owned(),
        }),
        parsed => Ok(parsed),
    }
}

/// Reads what a change must at least be: `4KiB`, of shares `1pp`.
pub(crate) fn parse_floor(text: &str, dimension: Dimension) -> Result<f64, Wrong> {
    match amount(text.trim(), dimension)? {
        Amount::Absolute(value) => Ok(value),
        Amount::Relative(_) => Err(Wrong {
            at: 0..text.len(),
            what: "a floor is an amount".to_owned(),
            help:
                "write how much a change must be to count, such as `4KiB` or `1ms`, of shares `1pp`"
                    .to_owned(),
        }),
    }
}

/// The range of the whole text, at least one byte.
pub(crate) fn whole(text: &str) -> Range<usize> {
    0..text.len().max(1)
}
