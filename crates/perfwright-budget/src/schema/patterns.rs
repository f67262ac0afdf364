//! Texts of a budget file as regular expressions, as JSON schemas have them.

use crate::{metric::Spec, units::Dimension};

/// A text that is not empty.
pub(super) const TEXT: &str = r"\S";
/// A day: which there are is for the reader to say.
pub(super) const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
/// A path that stays below the root.
pub(super) const PATH: &str = r"^(?!/)(?!(.*/)?\.\.(/|$)).*\S";

const UNSIGNED: &str = r"([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)";

/// A number with its unit.
pub(super) fn number(dimension: Dimension) -> String {
    format!("[+-]?{}", unsigned(dimension))
}

fn unsigned(dimension: Dimension) -> String {
    match unit(dimension).as_str() {
        "" => UNSIGNED.to_owned(),
        unit => format!(r"{UNSIGNED}\s*({unit})"),
    }
}

fn unit(dimension: Dimension) -> String {
    let all = |units: Vec<&str>| units.join("|");
    match dimension {
        Dimension::Count => String::new(),
        Dimension::BytesPerSecond => {
            let (bytes, times) = (Dimension::Bytes.units(), Dimension::Time.units());
            format!("({})/({})", all(bytes), all(times))
        }
        Dimension::Any => {
            let kinds = [
                Dimension::Share { exceeds: true },
                Dimension::Time,
                Dimension::Bytes,
                Dimension::PerSecond,
                Dimension::BytesPerSecond,
            ];
            let units: Vec<_> = kinds.into_iter().map(unit).collect();
            format!("({})?", units.join("|"))
        }
        other => all(other.units()),
    }
}

/// A statistic's name.
pub(super) fn statistic(spec: &Spec) -> String {
    let mut names: Vec<String> = spec.stats.iter().map(|(name, ..)| escaped(name)).collect();
    names.extend(spec.percentiles.map(|_| percentile()));
    names.extend(spec.has_shares_above.then(above));
    names.join("|")
}

fn percentile() -> String {
    r"p[0-9]{1,2}(\.[0-9]+)?".to_owned()
}

fn above() -> String {
    format!(r"above\s+{}", number(Dimension::Time))
}

/// A limit: statistic, relation, number with the statistic's unit.
pub(super) fn limit(spec: &Spec) -> String {
    let of =
        |stat: &str, dimension: Dimension| format!(r"{stat}\s*(<=?|>=?)\s*{}", number(dimension));
    let named = spec.stats.iter().enumerate();
    let named = named.map(
        |(at, (name, dimension, _))| match at == 0 && !spec.names_stat {
            true => of(&format!("({})?", escaped(name)), *dimension),
            false => of(&escaped(name), *dimension),
        },
    );
    let mut limits: Vec<String> = named.collect();
    limits.extend(
        spec.percentiles
            .map(|dimension| of(&percentile(), dimension)),
    );
    let share = Dimension::Share { exceeds: false };
    limits.extend(spec.has_shares_above.then(|| of(&above(), share)));
    format!(r"^\s*({})\s*$", limits.join("|"))
}

/// A change as a share of the baseline.
pub(super) fn share_of_baseline() -> String {
    format!(r"{UNSIGNED}\s*%")
}

/// A change as an amount: of any of the statistics.
pub(super) fn amounts(spec: &Spec) -> String {
    let mut kinds: Vec<Dimension> = Vec::new();
    let all = spec.stats.iter().map(|stat| stat.1);
    for dimension in all.chain(spec.percentiles) {
        if !kinds.contains(&dimension) {
            kinds.push(dimension);
        }
    }
    let amounts = kinds.into_iter().map(|kind| match kind {
        Dimension::Share { .. } => format!(r"{UNSIGNED}\s*pp"),
        other => unsigned(other),
    });
    amounts.collect::<Vec<_>>().join("|")
}

/// Without a meaning in regular expressions.
fn escaped(name: &str) -> String {
    name.replace('.', r"\.")
}
