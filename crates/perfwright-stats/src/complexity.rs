//! How a cost grows with the size of what is worked on.

use std::fmt;

use crate::{Rng, student_quantile};

/// A class of growth.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Class {
    /// The same for every size.
    Constant,
    /// As the logarithm.
    Logarithmic,
    /// In proportion.
    Linear,
    /// As the size times its logarithm.
    Linearithmic,
    /// As the square.
    Quadratic,
    /// As the third power.
    Cubic,
}

impl Class {
    /// All of them, the slowest growing first.
    pub const ALL: [Class; 6] = [
        Class::Constant,
        Class::Logarithmic,
        Class::Linear,
        Class::Linearithmic,
        Class::Quadratic,
        Class::Cubic,
    ];

    fn of(self, n: f64) -> f64 {
        match self {
            Class::Constant => 1.0,
            Class::Logarithmic => n.ln(),
            Class::Linear => n,
            Class::Linearithmic => n * n.ln(),
            Class::Quadratic => n * n,
            Class::Cubic => n * n * n,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Class::Constant => "O(1)",
            Class::Logarithmic => "O(log n)",
            Class::Linear => "O(n)",
            Class::Linearithmic => "O(n log n)",
            Class::Quadratic => "O(n^2)",
            Class::Cubic => "O(n^3)",
        })
    }
}

/// A cost fitted as `overhead + coefficient * class(n)`, logarithms being natural ones.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Fit {
    /// The class that fits best.
    pub class: Class,
    /// What it costs whatever the size; 0 or more.
    pub overhead: f64,
    /// What the growing part is multiplied by; 0 for [`Class::Constant`].
    pub coefficient: f64,
    /// How far off the fit is: the root of the mean square of relative differences. Above some hundredths no class
    /// fits well.
    pub relative_rms: f64,
    /// How often each class fits best when the differences between costs and fit are dealt out anew, the most frequent
    /// first. They sum up to 1; classes that never do are left out.
    pub wins: Vec<(Class, f64)>,
    /// The power of the size with which the cost grows, on average over the sizes.
    pub exponent: Exponent,
}

impl Fit {
    /// How often the class that fits best did so when the differences were dealt out anew, 0 to 1.
    pub fn confidence(&self) -> f64 {
        let of = |&&(class, _): &&(Class, f64)| class == self.class;
        self.wins.iter().find(of).map_or(0.0, |&(_, share)| share)
    }
}

/// The slope of the logarithm of the cost over that of the size, with its 95 % interval. An overhead lowers it, and a
/// logarithmic factor raises it by 1 over the logarithm of the size.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Exponent {
    /// The slope.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Below this many sizes every class fits.
pub const FEWEST_SIZES: usize = 4;
/// Enough for shares that are printed in percent.
const RESAMPLES: usize = 500;

/// Fits costs, one or more of each size; pairs of (size, cost). Of sizes that come several times the median counts.
/// `None` if there are fewer than [`FEWEST_SIZES`] sizes above 1 with a cost above 0.
///
/// Differences count relative to the cost, as measurements err: a size of 10 says as much as one of 10,000. Of each
/// class `overhead + coefficient * class(n)` is fitted by least squares with neither below 0, and the classes are
/// compared by Akaike's criterion, corrected for few points, so that an overhead has to earn its place. (Google
/// Benchmark fits without overhead and absolute differences, by the largest sizes alone.) The confidence is a
/// bootstrap of the residuals.
///
/// Sources: Hurvich and Tsai, "Regression and time series model selection in small samples" (Biometrika 76, 1989);
/// Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 9.4.
pub fn fit(costs: &[(f64, f64)], seed: u64) -> Option<Fit> {
    let points = medians(costs);
    if points.len() < FEWEST_SIZES {
        return None;
    }
    let best = best(&points);
    Some(Fit {
        class: best.class,
        overhead: best.overhead,
        coefficient: best.coefficient,
        relative_rms: (best.squares / points.len() as f64).sqrt(),
        wins: wins(&points, best, seed),
        exponent: exponent(&points),
    })
}

#[derive(Clone, Copy)]
struct Model {
    class: Class,
    overhead: f64,
    coefficient: f64,
    /// The sum of squared relative differences.
    squares: f64,
    score: f64,
}

impl Model {
    fn new(class: Class, overhead: f64, coefficient: f64, points: &[(f64, f64)]) -> Model {
        let mut model = Model {
            class,
            overhead,
            coefficient,
            squares: 0.0,
            score: 0.0,
        };
        model.squares = points.iter().map(|&point| model.off(point).powi(2)).sum();
        let count = points.len() as f64;
        // The variance is a parameter, too.
        let parameters = 1.0 + f64::from(overhead > 0.0) + f64::from(coefficient > 0.0);
        // Costs without any noise would have a score of minus infinity for several classes.
        let spread = (model.squares / count).max(1e-24);
        let penalty = 2.0 * parameters * count / (count - parameters - 1.0).max(0.5);
        model.score = count * spread.ln() + penalty;
        model
    }

    fn at(&self, n: f64) -> f64 {
        self.overhead + self.coefficient * self.class.of(n)
    }

    /// How far a cost is off, relative to it.
    fn off(&self, (n, cost): (f64, f64)) -> f64 {
        1.0 - self.at(n) / cost
    }
}

/// The model with the lowest score; of equals the one that grows slowest.
fn best(points: &[(f64, f64)]) -> Model {
    let constant = constant(points);
    Class::ALL[1..]
        .iter()
        .fold(constant, |best, &class| match growing(class, points) {
            Some(model) if model.score < best.score => model,
            _ => best,
        })
}

fn constant(points: &[(f64, f64)]) -> Model {
    let sum = |of: fn(f64) -> f64| points.iter().map(|&(_, cost)| of(cost)).sum::<f64>();
    let overhead = sum(|cost| 1.0 / cost) / sum(|cost| 1.0 / (cost * cost));
    Model::new(Class::Constant, overhead, 0.0, points)
}

/// Least squares of 1 = overhead / cost + coefficient * class / cost; `None` where the cost does not grow. Without an
/// overhead where it would be below 0.
fn growing(class: Class, points: &[(f64, f64)]) -> Option<Model> {
    let (mut aa, mut ab, mut bb, mut a, mut b) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(n, cost) in points {
        let (one, grown) = (1.0 / cost, class.of(n) / cost);
        aa += one * one;
        ab += one * grown;
        bb += grown * grown;
        a += one;
        b += grown;
    }
    let without = Model::new(class, 0.0, b / bb, points);
    let determinant = aa * bb - ab * ab;
    let overhead = (a * bb - b * ab) / determinant;
    let coefficient = (aa * b - ab * a) / determinant;
    if coefficient <= 0.0 {
        return None;
    }
    let is_usable = overhead > 0.0 && overhead.is_finite() && coefficient.is_finite();
    let with = is_usable.then(|| Model::new(class, overhead, coefficient, points));
    Some(
        with.filter(|with| with.score < without.score)
            .unwrap_or(without),
    )
}

/// Deals the residuals out anew to the fitted costs, and counts which class fits best.
fn wins(points: &[(f64, f64)], best: Model, seed: u64) -> Vec<(Class, f64)> {
    let mut rng = Rng::new(seed);
    let parameters = f64::from(best.overhead > 0.0) + f64::from(best.coefficient > 0.0);
    let count = points.len() as f64;
    // A fit is closer to its points than the truth is.
    let wider = (count / (count - parameters).max(1.0)).sqrt();
    // As logarithms, so that no cost can become negative.
    let residuals: Vec<f64> = (points.iter())
        .map(|&(n, cost)| wider * (cost / best.at(n)).ln())
        .collect();
    let mut tally = [0_u32; Class::ALL.len()];
    let mut drawn = points.to_vec();
    for _ in 0..RESAMPLES {
        for (n, cost) in &mut drawn {
            *cost = best.at(*n) * residuals[rng.below(residuals.len())].exp();
        }
        tally[self::best(&drawn).class as usize] += 1;
    }
    let share = |class: Class| f64::from(tally[class as usize]) / RESAMPLES as f64;
    let mut wins: Vec<_> = Class::ALL.map(|class| (class, share(class))).into();
    wins.retain(|&(_, share)| share > 0.0);
    wins.sort_by(|a, b| b.1.total_cmp(&a.1));
    wins
}

/// Ordinary least squares of logarithms, with Student's interval.
fn exponent(points: &[(f64, f64)]) -> Exponent {
    let logs: Vec<(f64, f64)> = points.iter().map(|(n, cost)| (n.ln(), cost.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let spread: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
    let slope = logs
        .iter()
        .map(|log| (log.0 - x) * (log.1 - y))
        .sum::<f64>()
        / spread;
    let off = |log: &(f64, f64)| (log.1 - y - slope * (log.0 - x)).powi(2);
    let variance = logs.iter().map(off).sum::<f64>() / (count - 2.0) / spread;
    let reach = student_quantile(0.025, count - 2.0) * variance.sqrt();
    Exponent {
        value: slope,
        low: slope - reach,
        high: slope + reach,
    }
}

/// Usable sizes, ascending, with the median of their costs.
fn medians(costs: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let usable =
        |&(n, cost): &(f64, f64)| n > 1.0 && n.is_finite() && cost > 0.0 && cost.is_finite();
    let mut costs: Vec<(f64, f64)> = costs.iter().copied().filter(usable).collect();
    costs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    costs
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            let (low, high) = (same[(same.len() - 1) / 2].1, same[same.len() / 2].1);
            (same[0].0, (low + high) / 2.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Box and Muller.
    fn normal(rng: &mut Rng) -> f64 {
        let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.uniform()).cos()
    }

    /// Nine sizes from 64 to 16,384, five costs each with so much relative noise.
    fn costs(cost: impl Fn(f64) -> f64, noise: f64, rng: &mut Rng) -> Vec<(f64, f64)> {
        let sizes = (6..=14).map(|power| f64::from(1 << power));
        let each = sizes.flat_map(|n| [n; 5]);
        each.map(|n| (n, cost(n) * (noise * normal(rng)).exp()))
            .collect()
    }

    /// Which classes are found of so many trials of this cost.
    fn found(times: u64, cost: impl Fn(f64) -> f64, noise: f64) -> Vec<Class> {
        let mut rng = Rng::new(times);
        (0..times)
            .map(|_| best(&medians(&costs(&cost, noise, &mut rng))).class)
            .collect()
    }

    #[test]
    fn every_class_is_found_in_noise_also_below_an_overhead() {
        for class in &Class::ALL[1..] {
            for overhead in [0.0, 3.0] {
                let cost = |n| 2.5 * (overhead * class.of(64.0) + class.of(n));
                let found = found(200, cost, 0.05);
                assert!(
                    found.iter().all(|found| found == class),
                    "{class} {overhead}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_grow_is_found_to_grow_in_few_trials() {
        // The criterion takes a growth of chance for one in about 5 of 100 trials; 5 standard deviations are 48.
        let found = found(1_000, |_| 7.0, 0.05);
        let grew = found
            .iter()
            .filter(|&&class| class != Class::Constant)
            .count();
        assert!((2..=98).contains(&grew), "{grew}");
    }

    #[test]
    fn a_fit_tells_overhead_coefficient_and_error() {
        let costs: Vec<_> = (1..=8)
            .map(|n| f64::from(100 * n))
            .map(|n| (n, 50.0 + 3.0 * n))
            .collect();
        let fit = fit(&costs, 1).unwrap();
        assert_eq!((fit.class, fit.confidence()), (Class::Linear, 1.0));
        assert!(
            (fit.overhead - 50.0).abs() < 1e-6 && (fit.coefficient - 3.0).abs() < 1e-9,
            "{fit:?}"
        );
        assert!(fit.relative_rms < 1e-9);
    }

    #[test]
    fn it_is_not_sure_where_the_sizes_do_not_tell() {
        // From 1,000 to 1,600 n log n is n to the power of 1.14.
        let narrow: Vec<f64> = (0..7)
            .map(|step| 1_000.0 + 100.0 * f64::from(step))
            .collect();
        let mut rng = Rng::new(3);
        let (mut hits, mut sure) = (0.0, 0.0);
        for seed in 0..40 {
            let noisy = |&n: &f64| (n, n * n.ln() * (0.05 * normal(&mut rng)).exp());
            let fit = fit(&narrow.iter().map(noisy).collect::<Vec<_>>(), seed).unwrap();
            hits += f64::from(fit.class == Class::Linearithmic) / 40.0;
            sure += fit.confidence() / 40.0;
            let sum: f64 = fit.wins.iter().map(|win| win.1).sum();
            assert!((sum - 1.0).abs() < 1e-9);
        }
        // A standard deviation of the hits of 40 trials is 0.07.
        assert!(sure < 0.9 && (hits - sure).abs() < 0.35, "{hits} {sure}");
    }

    #[test]
    fn the_exponents_interval_holds_as_often_as_it_says() {
        let mut rng = Rng::new(5);
        let holds = (0..2_000).filter(|_| {
            let fitted = exponent(&medians(&costs(|n| n.powf(1.3), 0.1, &mut rng)));
            fitted.low <= 1.3 && 1.3 <= fitted.high
        });
        // 1,900 are expected, 5 standard deviations are 49.
        assert!(holds.count().abs_diff(1_900) < 49);
    }

    #[test]
    fn what_cannot_be_fitted_is_none() {
        let few = [(10.0, 1.0), (20.0, 1.0), (30.0, 1.0), (30.0, 2.0)];
        assert_eq!(fit(&few, 1), None);
        let useless = [
            (1.0, 1.0),
            (0.0, 1.0),
            (f64::NAN, 1.0),
            (5.0, 0.0),
            (6.0, -1.0),
            (7.0, f64::INFINITY),
        ];
        assert_eq!(fit(&useless, 1), None);
        let shrinks: Vec<_> = (2..9)
            .map(|n| (f64::from(n), 100.0 / f64::from(n)))
            .collect();
        let fit = fit(&shrinks, 1).unwrap();
        assert_eq!(fit.class, Class::Constant);
        assert!((fit.exponent.value + 1.0).abs() < 1e-9);
    }
}
