//! Limits that must be broken for a while.

use super::{Ruling, Verdict};
use crate::{
    budgets::{Budget, Sustained},
    limit::Limit,
    measure::Data,
    metric::Series,
    units::Dimension,
};

/// The statistics that are of one moment among many; others are of all the time already.
const OF_A_MOMENT: [&str; 4] = ["max", "end", "live", "peak"];

/// What a budget asks to be sustained of this value, if anything. Where a service alone tells values over time, a
/// run's are judged as a whole.
pub(super) fn asked(budget: &Budget, limit: &Limit, data: &Data) -> Option<Sustained> {
    let of_a_moment =
        budget.metric.spec().series == Series::Run && OF_A_MOMENT.contains(&limit.stat.as_str());
    let over_time = of_a_moment || !data.series.is_empty();
    budget.sustained.filter(|_| over_time)
}

/// Whether values were beyond a limit for so long without a break.
pub(super) fn judge(limit: &Limit, data: &Data, sustained: Sustained) -> Ruling {
    let seconds = sustained.seconds;
    let series = match sustained.every {
        None => data.series.clone(),
        Some(every) => means(&data.series, every),
    };
    let (Some(first), Some(last)) = (series.first(), series.last()) else {
        return match limit.holds(data.value) {
            true => (Verdict::Held, "held throughout".to_owned()),
            false => (
                Verdict::CannotTell,
                "there are no values over time".to_owned(),
            ),
        };
    };
    let mut since: Option<f64> = None;
    let mut longest = 0.0_f64;
    for &(at, value) in &series {
        since = match limit.holds(value) {
            true => None,
            false => since.or(Some(at)),
        };
        longest = longest.max(since.map_or(0.0, |since| at - since));
    }
    let for_how_long = format!("beyond the limit for {}", Dimension::Time.show(longest));
    let whole = last.0 - first.0;
    if longest >= seconds {
        (Verdict::Breach, for_how_long)
    } else if since.is_some() && whole < seconds {
        let lasted = Dimension::Time.show(whole);
        (
            Verdict::CannotTell,
            format!("{for_how_long}, until the end of a run of {lasted}"),
        )
    } else {
        let reason = match longest > 0.0 {
            true => for_how_long,
            false => "held throughout".to_owned(),
        };
        (Verdict::Held, reason)
    }
}

/// The mean of each stretch of so many seconds, at the stretch's beginning.
fn means(series: &[(f64, f64)], every: f64) -> Vec<(f64, f64)> {
    let start = series.first().map_or(0.0, |first| first.0);
    let slot = |point: &(f64, f64)| ((point.0 - start) / every).floor();
    let slots = series.chunk_by(|a, b| slot(a) == slot(b));
    let mean = |points: &[(f64, f64)]| {
        let sum: f64 = points.iter().map(|point| point.1).sum();
        sum / points.len() as f64
    };
    slots
        .map(|points| (start + slot(&points[0]) * every, mean(points)))
        .collect()
}
